"""The worker without ROS: order, drops, bounds and ends, with a step that the test holds open."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest

from vljepa_ros.ros.worker import Stopped, Worker

PATIENCE_S = 30.0


class Gate:
    """A step that tells when it begins and ends when it is told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []
        self.steps: list[dict[str, object]] = []
        self.errors: list[tuple[str, str]] = []
        self._began = threading.Semaphore(0)
        self._may_end = threading.Semaphore(0)

    def step(self, frames: Mapping[str, object]) -> None:
        self.seen.extend(frames.items())
        self.steps.append(dict(frames))
        self._began.release()
        assert self._may_end.acquire(timeout=PATIENCE_S)
        if "bad" in frames.values():
            raise RuntimeError("bad frame")

    def failed(self, cameras: Sequence[str], error: Exception) -> None:
        self.errors += [(camera, str(error)) for camera in cameras]

    def wait_for_a_step(self) -> None:
        assert self._began.acquire(timeout=PATIENCE_S)

    def let_go(self, steps: int = 1) -> None:
        self._may_end.release(steps)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def worker(gate: Gate) -> Iterator[Worker[object]]:
    worker: Worker[object] = Worker(gate.step, gate.failed, max_requests=3)
    worker.start()
    yield worker
    gate.let_go(1000)
    worker.stop()


def test_the_newest_frame_wins(worker: Worker[object], gate: Gate) -> None:
    assert not worker.offer("eye", 0)
    gate.wait_for_a_step()
    assert [worker.offer("eye", n) for n in range(1, 6)] == [False, True, True, True, True]
    gate.let_go()
    gate.wait_for_a_step()
    assert gate.seen == [("eye", 0), ("eye", 5)]


def test_a_step_takes_the_newest_frame_of_every_camera(worker: Worker[object], gate: Gate) -> None:
    worker.offer("left", 0)
    gate.wait_for_a_step()
    for n in (1, 2):
        worker.offer("left", n)
        worker.offer("right", n)
    gate.let_go()
    gate.wait_for_a_step()
    assert gate.steps == [{"left": 0}, {"left": 2, "right": 2}]


def test_a_fast_camera_does_not_starve_a_slow_one_nor_a_silent_one_hold_it(
    worker: Worker[object], gate: Gate
) -> None:
    worker.offer("fast", 0)
    for n in range(1, 10):
        gate.wait_for_a_step()
        worker.offer("fast", n)
        worker.offer("fast", n + 0.5)
        if n % 3 == 0:
            worker.offer("slow", n)
        gate.let_go()
    gate.wait_for_a_step()
    assert len(gate.steps) == 10
    assert [step.get("slow") for step in gate.steps] == [None, None, None, 3, None, None, 6, None,
                                                         None, 9]  # fmt: skip
    assert [step["fast"] for step in gate.steps[1:]] == [n + 0.5 for n in range(1, 10)]


def test_a_step_that_fails_is_told_of_each_of_its_cameras(
    worker: Worker[object], gate: Gate
) -> None:
    worker.offer("left", 0)
    gate.wait_for_a_step()
    worker.offer("right", "bad")
    worker.offer("left", 1)
    gate.let_go()
    gate.wait_for_a_step()
    gate.let_go()
    worker.call(lambda: None)
    assert gate.errors == [("right", "bad frame"), ("left", "bad frame")]


def test_between_two_frames_runs_one_request(worker: Worker[object], gate: Gate) -> None:
    worker.offer("eye", 0)
    gate.wait_for_a_step()
    order: list[object] = []
    for n in range(3):
        assert worker.ask(lambda n=n: order.append((n, len(gate.seen)))) is not None
    worker.offer("eye", 1)
    gate.let_go()
    gate.wait_for_a_step()
    assert order == [(0, 1)]
    gate.let_go()
    worker.call(lambda: None)
    assert [n for n, _ in order] == [0, 1, 2]


def test_requests_are_bounded_and_get_their_results_and_errors(
    worker: Worker[object], gate: Gate
) -> None:
    worker.offer("eye", 0)
    gate.wait_for_a_step()
    futures = [worker.ask(lambda: 7), worker.ask(lambda: 1 // 0), worker.ask(lambda: 9)]
    assert worker.ask(lambda: 10) is None
    gate.let_go()
    first, second, third = (future for future in futures if future is not None)
    assert first.result(PATIENCE_S) == 7 and third.result(PATIENCE_S) == 9
    with pytest.raises(ZeroDivisionError):
        second.result(PATIENCE_S)


def test_what_goes_on_is_never_refused_and_what_is_cancelled_never_runs(
    worker: Worker[object], gate: Gate
) -> None:
    worker.offer("eye", 0)
    gate.wait_for_a_step()
    ran: list[int] = []
    futures = [worker.ask(lambda n=n: ran.append(n)) for n in range(3)]
    assert worker.ask(lambda: ran.append(3)) is None
    going_on = worker.ask(lambda: ran.append(4), going_on=True)
    assert going_on is not None and futures[1] is not None and futures[1].cancel()
    gate.let_go()
    going_on.result(PATIENCE_S)
    assert ran == [0, 2, 4]


def test_a_step_that_fails_is_told_and_the_next_frame_seen(
    worker: Worker[object], gate: Gate
) -> None:
    for frame in ("bad", "good"):
        worker.offer("eye", frame)
        gate.wait_for_a_step()
        gate.let_go()
    worker.call(lambda: None)
    assert gate.errors == [("eye", "bad frame")]
    assert gate.seen[-1] == ("eye", "good")


def test_frames_can_be_forgotten(worker: Worker[object], gate: Gate) -> None:
    worker.offer("eye", 0)
    gate.wait_for_a_step()
    worker.offer("eye", 1)
    assert worker.forget_frames() == ["eye"]
    gate.let_go()
    worker.call(lambda: None)
    assert gate.seen == [("eye", 0)]


def test_stopping_refuses_what_waits_and_what_comes(gate: Gate) -> None:
    worker: Worker[object] = Worker(gate.step, gate.failed)
    worker.start()
    worker.offer("eye", 0)
    gate.wait_for_a_step()
    waiting = worker.ask(lambda: 1)
    assert waiting is not None
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    while not worker._stopping:
        pass
    gate.let_go()
    stopping.join(PATIENCE_S)
    assert not stopping.is_alive()
    late = worker.ask(lambda: 2)
    assert late is not None
    for future in (waiting, late):
        with pytest.raises(Stopped):
            future.result(0)


def test_a_rate_limit_holds_frames_back_but_not_requests(
    worker: Worker[object], gate: Gate
) -> None:
    worker.limit_rate(0.001)
    worker.offer("eye", 0)
    gate.wait_for_a_step()
    gate.let_go()
    assert not worker.offer("eye", 1)
    assert worker.call(lambda: "answer") == "answer"
    assert worker.offer("eye", 2)
    assert gate.seen == [("eye", 0)]
    worker.limit_rate(0.0)
    gate.wait_for_a_step()
    assert gate.seen[-1] == ("eye", 2)
