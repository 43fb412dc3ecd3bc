"""Nodes as child processes of a tool: started together, watched, and ended cleanly.

Each child writes to a log file of its own and leads its own process group, so that a Ctrl-C in the
terminal reaches the tool alone, which then ends its children in order.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Setting = str | int | float | bool | list[str]
END_TIMEOUT_S = 60.0
"""On a busy machine even Python's own end, with a model in memory, takes many seconds."""
TAIL_LINES = 15
POLL_S = 0.05


class ChildError(RuntimeError):
    """A child ended that should not have; the message holds its last words."""


class Child:
    """One process. Use `started`, which also ends it."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._interrupted = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def check(self, *, may_have_ended: bool = False) -> None:
        """
        Raises:
            ChildError: it failed, or ended although it should still run.
        """
        code = self.exit_code
        if code is None or (code == 0 and may_have_ended):
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        raise ChildError(f"{self.name} {how}; its last output ({self.log}):\n{self.tail()}")

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of its output."""
        said = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in said) or "    (nothing)"

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C would; once, however often this is called."""
        if self.exit_code is None and not self._interrupted:
            self._interrupted = True
            self._process.send_signal(signal.SIGINT)

    def wait(self, timeout_s: float | None = None) -> bool:
        """True when it has ended in time; None = in END_TIMEOUT_S."""
        try:
            self._process.wait(END_TIMEOUT_S if timeout_s is None else timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End it and all that it started, the gentlest way that works."""
        self.interrupt()
        if not self.wait():
            self._process.terminate()
            if not self.wait(2.0):
                self._process.kill()
                self._process.wait()


@contextmanager
def all_ended(children: list[Child]) -> Iterator[None]:
    """Whatever happens inside, all children in the list have ended afterwards. Main thread only.

    Once interrupted, further SIGINT and SIGTERM are ignored for good: terminals and launch systems
    send several, and none of them may stop the ending.
    """
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    interrupted = False
    try:
        yield
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        for signum in before:
            signal.signal(signum, signal.SIG_IGN)
        for child in children:
            child.interrupt()
        for child in children:
            child.end()
        if not interrupted:
            for signum, handler in before.items():
                signal.signal(signum, handler)


def wait_until(
    happened: Callable[[], bool],
    children: Sequence[Child],
    *,
    timeout_s: float,
    what: str,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Wait while the children run.

    Args:
        happened: what is waited for; asked some twenty times a second.
        what: the same as a noun, for the error.
        meanwhile: called between the questions.

    Raises:
        ChildError: a child ended first, or it took longer than `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    while not happened():
        for child in children:
            child.check()
        if time.monotonic() > deadline_s:
            last = "\n".join(f"{c.name} said last ({c.log}):\n{c.tail()}" for c in children)
            raise ChildError(f"{what} took longer than {timeout_s:.0f} s\n{last}")
        meanwhile()
        time.sleep(POLL_S)


def node_command(
    executable: str, parameters: Mapping[str, Setting], *, namespace: str = "/vljepa"
) -> list[str]:
    """Command line of one of this package's nodes, run by this Python.

    Args:
        executable: `perception` or `video_camera`.
        parameters: values by name, as in the node's parameter file.
    """
    module = {"perception": "perception_node"}.get(executable, executable)
    program = f"import sys; from vljepa_ros.ros.{module} import main; sys.exit(main())"
    command = [sys.executable, "-u", "-c", program, "--ros-args", "-r", f"__ns:={namespace}"]
    for name, value in parameters.items():
        # JSON is YAML, whatever is in the text.
        command += ["-p", f"{name}:={json.dumps(value, ensure_ascii=False)}"]
    return command
