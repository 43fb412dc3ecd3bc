"""Requests that need the model: answered by the worker, awaited by a service callback.

A callback that blocks makes later requests vanish, and an awaited future that nobody announces
never wakes the executor: so services await a future that belongs to the executor and wakes it.
Their callbacks must be in a reentrant group, else one that waits holds up all others of its group.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import rclpy.task
from rclpy.executors import Executor
from rclpy.impl.rcutils_logger import RcutilsLogger

from vljepa_ros.msg import Status
from vljepa_ros.ros.conversions import status_message
from vljepa_ros.ros.worker import MAX_REQUESTS, Stopped, Worker

R = TypeVar("R")


class RequestError(Exception):
    """A request that gets an error code; the message is the sentence that the client reads."""

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code


async def ask(worker: Worker[Any], executor: Executor, request: Callable[[], R]) -> R:
    """What `request` returns on the worker's thread; what it raises is raised here.

    Raises:
        RequestError: BUSY when too many requests wait, NOT_ACTIVE when the worker ends first.
    """
    working = worker.ask(request)
    if working is None:
        raise RequestError(
            Status.BUSY, f"{MAX_REQUESTS} requests wait already; ask again when they are answered"
        )
    waiting = rclpy.task.Future(executor=executor)

    def announce(done: Future[R]) -> None:
        waiting.set_result(done)
        executor.wake()

    working.add_done_callback(announce)
    done: Future[R] = await waiting
    try:
        return done.result()
    except Stopped as error:
        raise RequestError(Status.NOT_ACTIVE, "the node was cleaned up meanwhile") from error


def error_status(error: Exception, log: RcutilsLogger) -> Status:
    """The answer to a request that failed; a fault of ours also goes to the log."""
    if isinstance(error, RequestError):
        return status_message(error.error_code, str(error))
    log.error(f"a request failed: {error!r}\n{''.join(traceback.format_exception(error))}")
    return status_message(Status.INTERNAL, f"{type(error).__name__}: {error}; see the node's log")
