"""A process that runs nodes: each on an executor thread of its own, signals on the main thread.

The main thread does nothing but wait for the end, so SIGINT and SIGTERM are heard at once, however
busy the nodes are, and may come as often as they like: the nodes are closed once, in order, and
the process ends with 0.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from vljepa_ros.config import ConfigError
from vljepa_ros.ros.executor_thread import ExecutorThread

EXIT_OK, EXIT_FAILED = 0, 1


class Runnable(Protocol):
    """What `run` needs of a node."""

    @property
    def node(self) -> Node:
        """The rclpy node, already created."""

    def start(self) -> None:
        """Called on the executor's thread before anything else."""

    def close(self) -> None:
        """Called on the main thread once the executor has stopped; must not raise."""


class Finish:
    """How a process is told to end: by its node, from any thread, or by a signal.

    A pipe, because a signal handler may take no lock: it runs on the main thread, which could be
    inside `wait` with that very lock in its hands, and would then wait for itself.
    """

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._write_fd, False)
        self.exit_code = EXIT_OK

    def __call__(self, exit_code: int = EXIT_OK) -> None:
        self.exit_code = self.exit_code or exit_code
        with contextlib.suppress(BlockingIOError):  # full: it has been told often enough
            os.write(self._write_fd, b"!")

    def wait(self) -> None:
        """Return once told, at once if that was before."""
        os.read(self._read_fd, 1)


def run(
    create: Callable[[Finish], Runnable | Sequence[Runnable]], args: Sequence[str] | None = None
) -> int:
    """Run nodes until a signal comes or one of them finishes; returns the exit code.

    They are started in the order given, and closed in the other. A ConfigError while they are made
    is said in one line, without a traceback: it is the user's to mend.
    """
    finish = Finish()

    def end(_signum: int, _frame: FrameType | None) -> None:
        finish(EXIT_OK)

    # rclpy's own handlers would shut the context down under the nodes' feet, and Python's would
    # raise KeyboardInterrupt in the middle of closing them.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, end)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        created = create(finish)
    except ConfigError as error:
        rclpy.logging.get_logger("vljepa_ros").fatal(str(error))
        rclpy.try_shutdown()
        return EXIT_FAILED
    runnables = list(created) if isinstance(created, Sequence) else [created]
    threads = [ExecutorThread(runnable.node, shut_down=finish) for runnable in runnables]
    for thread, runnable in zip(threads, runnables, strict=True):
        thread.start(runnable.start)
    finish.wait()
    # Python gives the signals their default back before it has ended: one more SIGINT, as launch
    # and a terminal send it, would then kill a process that is ending well.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    if not all(thread.stop() for thread in reversed(threads)):
        # Inside a call that cannot be interrupted: a model being loaded, a hung GPU. Nothing that
        # must be closed is lost, and launch would send SIGKILL before long.
        sys.stderr.write("ending in the middle of a callback that takes long\n")
        sys.stderr.flush()
        os._exit(finish.exit_code)
    for runnable in reversed(runnables):
        runnable.close()
        runnable.node.destroy_node()
    rclpy.try_shutdown()
    return finish.exit_code
