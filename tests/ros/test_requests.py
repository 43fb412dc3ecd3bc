"""What a service answers when the worker is full, ends, or fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logger
from ros_harness import PATIENCE_S
from vljepa_ros.msg import Status

from vljepa_ros.ros.requests import RequestError, ask, error_status
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
    worker: Worker[Any] = Worker(lambda camera, frame: None, lambda camera, error: None)
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
    never_started: Worker[Any] = Worker(lambda c, f: None, lambda c, e: None, max_requests=1)
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
