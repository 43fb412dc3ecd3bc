"""Children are ordinary programs here; nothing of ROS is needed to end them cleanly."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from vljepa_ros.ros import children as module
from vljepa_ros.ros.children import Child, ChildError, all_ended, node_command, wait_until

OBEDIENT = """
import signal, sys, time
def end(*_):
    print("closing"); time.sleep(.2); print("closed"); sys.exit(0)
signal.signal(signal.SIGINT, end); print("ready")
while True: time.sleep(.05)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
while True: time.sleep(.05)
"""


def start(program: str, log: Path, name: str = "child") -> Child:
    return Child(name, [sys.executable, "-u", "-c", program], log)


def ready(*some: Child) -> None:
    wait_until(
        lambda: all("ready" in child.tail() for child in some), some, timeout_s=30, what="start"
    )


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_children_are_asked_to_end_and_close_in_peace(tmp_path: Path) -> None:
    some: list[Child] = []
    with all_ended(some):
        some += [start(OBEDIENT, tmp_path / f"{i}.log") for i in range(2)]
        ready(*some)
    for child in some:
        assert child.exit_code == 0
        assert child.tail().split() == ["ready", "closing", "closed"]
        child.check(may_have_ended=True)


def test_an_error_inside_ends_them_too(tmp_path: Path) -> None:
    some: list[Child] = []
    handler_before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), all_ended(some):
        some.append(start(OBEDIENT, tmp_path / "log"))
        ready(*some)
        _ = 1 / 0
    assert gone(some[0].pid)
    assert signal.getsignal(signal.SIGINT) is handler_before


@pytest.mark.slow
def test_a_child_that_hears_nothing_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "END_TIMEOUT_S", 0.3)
    child = start(DEAF, tmp_path / "log")
    ready(child)
    child.end()
    assert child.exit_code == -signal.SIGKILL
    with pytest.raises(ChildError, match="ended by SIGKILL"):
        child.check(may_have_ended=True)


def test_a_child_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    child = start("print('before'); raise SystemExit('no such model')", tmp_path / "log", "node")
    with pytest.raises(ChildError, match=r"(?s)node ended with 1.*before.*no such model"):
        wait_until(lambda: False, [child], timeout_s=30, what="its start")


def test_ending_with_zero_is_an_error_only_where_it_should_still_run(tmp_path: Path) -> None:
    child = start("print('done')", tmp_path / "log")
    assert child.wait(30)
    child.check(may_have_ended=True)
    with pytest.raises(ChildError, match="ended with 0"):
        child.check()


def test_waiting_has_an_end(tmp_path: Path) -> None:
    some: list[Child] = []
    with all_ended(some):
        some.append(start(OBEDIENT, tmp_path / "log"))
        ready(*some)
        with pytest.raises(ChildError, match=r"(?s)the start took longer.*ready"):
            wait_until(lambda: False, some, timeout_s=0.2, what="the start")


def test_a_second_interrupt_leaves_nobody_behind(tmp_path: Path) -> None:
    some: list[Child] = []

    def interrupt_twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    with pytest.raises(KeyboardInterrupt), all_ended(some):
        some.append(start(OBEDIENT, tmp_path / "log"))
        ready(*some)
        threading.Thread(target=interrupt_twice).start()
        time.sleep(30)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert some[0].exit_code == 0


def test_values_reach_a_node_as_they_are() -> None:
    command = node_command("video_camera", {"source": "1: é#'\"[a].mp4", "loop": True, "width": 3})
    assert command[-6:] == [
        "-p",
        'source:="1: é#\'\\"[a].mp4"',
        "-p",
        "loop:=true",
        "-p",
        "width:=3",
    ]
    assert "from vljepa_ros.ros.perception_node import main" in " ".join(
        node_command("perception", {})
    )
