"""What a service answers when the worker is full, ends, or fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from ros_harness import PATIENCE_S
from vljepa_ros.msg import Status

from vljepa_ros.ros.alarm import AlarmClock
from vljepa_ros.ros.requests import Errand, GivenUp, RequestError, Work, ask, error_status
from vljepa_ros.ros.worker import Worker


@pytest.fixture
def executor() -> Iterator[SingleThreadedExecutor]:
    context = Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    yield executor
    executor.shutdown()
    context.try_shutdown()


@pytest.fixture
def worker() -> Iterator[Worker[Any]]:
    worker: Worker[Any] = Worker(lambda frames: None, lambda cameras, error: None)
    worker.start()
    yield worker
    worker.stop()


def answer(executor: SingleThreadedExecutor, coroutine: Any) -> Any:
    """What an async service callback would get, on a spinning executor."""
    task = executor.create_task(coroutine)
    executor.spin_until_future_complete(task, PATIENCE_S)
    return task.result()


def test_a_request_is_answered_from_the_workers_thread(
    executor: SingleThreadedExecutor, worker: Worker[Any]
) -> None:
    name = answer(executor, ask(worker, executor, lambda: threading.current_thread().name))
    assert name == "perception_worker"


def test_a_full_queue_is_busy_and_an_ended_worker_not_active(
    executor: SingleThreadedExecutor,
) -> None:
    never_started: Worker[Any] = Worker(lambda f: None, lambda c, e: None, max_requests=1)
    waiting = executor.create_task(ask(never_started, executor, lambda: 1))
    executor.spin_once(timeout_sec=0.1)
    with pytest.raises(RequestError, match="ask again") as busy:
        answer(executor, ask(never_started, executor, lambda: 2))
    assert busy.value.error_code == Status.BUSY
    never_started.stop()
    with pytest.raises(RequestError) as ended:
        executor.spin_until_future_complete(waiting, PATIENCE_S)
    assert ended.value.error_code == Status.NOT_ACTIVE


def test_errors_keep_their_code_and_faults_are_internal(
    executor: SingleThreadedExecutor, worker: Worker[Any]
) -> None:
    with pytest.raises(ZeroDivisionError) as fault:
        answer(executor, ask(worker, executor, lambda: 1 // 0))
    log = get_logger("requests_test")
    internal = error_status(fault.value, log)
    assert (internal.error_code, internal.success) == (Status.INTERNAL, False)
    assert "ZeroDivisionError" in internal.error_msg
    refused = error_status(RequestError(Status.TOO_MANY, "fewer"), log)
    assert (refused.error_code, refused.error_msg) == (Status.TOO_MANY, "fewer")


def count_to(most: int, batch_s: float = 0.0) -> Work[int, str]:
    for n in range(most):
        time.sleep(batch_s)
        yield n
    return threading.current_thread().name


def test_work_is_done_batch_by_batch_and_tells_how_far_it_is(
    executor: SingleThreadedExecutor, worker: Worker[Any]
) -> None:
    told: list[int] = []
    errand = Errand(worker, executor)
    assert answer(executor, errand.run(count_to(3, 0.01), told=told.append)) == "perception_worker"
    assert told == [0, 1, 2]
    assert 0.03 <= errand.model_s < PATIENCE_S


def test_a_request_lets_others_in_between_its_batches_and_goes_on_where_nobody_waits(
    executor: SingleThreadedExecutor,
) -> None:
    steps: list[str] = []
    worker: Worker[str] = Worker(lambda frames: steps.append("frame"), lambda c, e: None)
    worker.start()

    def work(*, meets_a_frame: bool) -> Work[None, None]:
        for at in range(3):
            if meets_a_frame and at == 1:
                worker.offer("camera", "frame")
            steps.append(str(at))
            yield

    handed_over: list[int] = []
    for meets_a_frame in (False, True):
        errand = Errand(worker, executor)
        told: list[None] = []
        answer(executor, errand.run(work(meets_a_frame=meets_a_frame), told=told.append))
        handed_over.append(len(told))
    worker.stop()
    assert handed_over == [0, 1]
    assert steps == ["0", "1", "2", "0", "1", "frame", "2"]


def test_what_waits_at_its_deadline_is_told_so_and_never_computed(
    executor: SingleThreadedExecutor, worker: Worker[Any]
) -> None:
    node = Node("requests_test", context=executor.context)
    executor.add_node(node)
    alarm = AlarmClock(node)
    held = threading.Event()
    worker.ask(held.wait)
    ran: list[int] = []

    def work() -> Work[None, None]:
        ran.append(1)
        yield

    began_s = time.monotonic()
    with pytest.raises(RequestError, match=r"within 0\.1 s") as late:
        answer(executor, Errand(worker, executor, within_s=0.1, alarm=alarm).run(work()))
    assert late.value.error_code == Status.DEADLINE and time.monotonic() - began_s < PATIENCE_S / 2
    held.set()
    worker.call(lambda: None)
    assert not ran
    with pytest.raises(RequestError) as late:  # in the middle of its batches
        errand = Errand(worker, executor, within_s=0.1, alarm=alarm)
        answer(executor, errand.run(count_to(1000, 0.01)))
    assert late.value.error_code == Status.DEADLINE


@pytest.mark.parametrize("lets_batches_end", [False, True])
def test_who_gives_up_gets_no_answer_and_may_wait_for_the_batch_under_way(
    executor: SingleThreadedExecutor, worker: Worker[Any], lets_batches_end: bool
) -> None:
    began, may_end = threading.Event(), threading.Event()

    def work() -> Work[None, None]:
        began.set()
        may_end.wait(PATIENCE_S)
        yield

    async def gives_up() -> bool:
        try:
            await errand.run(work())
        except GivenUp:
            return True
        return False

    errand = Errand(worker, executor, lets_batches_end=lets_batches_end)
    task = executor.create_task(gives_up())
    while not began.is_set():
        executor.spin_once(timeout_sec=0.01)
    errand.give_up()
    executor.wake()
    for _ in range(20):
        executor.spin_once(timeout_sec=0.01)
    assert task.done() is not lets_batches_end
    may_end.set()
    executor.spin_until_future_complete(task, PATIENCE_S)
    assert task.result()
