"""Requests that need the model: answered by the worker, awaited by a callback.

A callback that blocks makes later requests vanish, and an awaited future that nobody announces
never wakes the executor: so callbacks await a future that belongs to the executor and wakes it.
They must be in a reentrant group, else one that waits holds up all others of its group.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

import rclpy.task
from rclpy.executors import Executor
from rclpy.impl.rcutils_logger import RcutilsLogger

from vljepa_ros.msg import Status
from vljepa_ros.ros.conversions import status_message
from vljepa_ros.ros.worker import MAX_REQUESTS, Stopped, Worker

P = TypeVar("P")
R = TypeVar("R")

Work: TypeAlias = Generator[P, None, R]
"""A request as the worker does it: yields after each batch (how far it is), returns the answer."""


class RequestError(Exception):
    """A request that gets an error code; the message is the sentence that the client reads."""

    def __init__(self, error_code: int, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code


class GivenUp(Exception):
    """The one who asked wants no more answer."""


class Alarm(Protocol):
    """Gives errands up when they are late; see `alarm.py`."""

    def watch(self, errand: Errand) -> None: ...

    def forget(self, errand: Errand) -> None: ...


class Errand:
    """One request on its way through the worker. Belongs to the executor's thread."""

    def __init__(
        self,
        worker: Worker[Any],
        executor: Executor,
        *,
        within_s: float = math.inf,
        alarm: Alarm | None = None,
        lets_batches_end: bool = False,
    ) -> None:
        """
        Args:
            within_s: after this time, in real seconds, nobody waits for the answer any more.
            alarm: gives the errand up at that time; without one it ends at the next batch.
            lets_batches_end: given up in the middle of a batch, it waits for the end of that batch,
                so that afterwards nobody else has the work in hands.
        """
        self._worker, self._executor = worker, executor
        self._within_s = within_s
        self.until_s = time.monotonic() + within_s
        """When it is too late, by `time.monotonic`."""
        self._alarm = alarm
        self._lets_batches_end = lets_batches_end
        self._begun = self._given_up = False
        self._working: Future[Any] | None = None
        self._waiting: rclpy.task.Future | None = None
        self.model_s = 0.0
        """Time the worker spent on it [s]."""

    def give_up(self) -> None:
        """Wait no longer: a batch that has not begun never does."""
        self._given_up = True
        if self._working is None or self._waiting is None or self._working.cancel():
            return  # a cancelled future announces itself
        if not self._lets_batches_end:
            self._waiting.set_result(None)

    async def run(
        self, work: Work[P, R], *, told: Callable[[P], None] = lambda progress: None
    ) -> R:
        """What `work` returns after all its batches; what it raises is raised here.

        Args:
            told: called after each batch with what it yields.

        Raises:
            RequestError: BUSY when too many requests wait, NOT_ACTIVE when the worker ends first,
                DEADLINE when it takes too long.
            GivenUp: `give_up` was called before time was up.
        """
        if self._alarm is not None:
            self._alarm.watch(self)
        try:
            while True:
                ended, value = await self.batch(partial(self._advance, work))
                if ended:
                    answer: R = value
                    return answer
                told(value)
        finally:
            if self._alarm is not None:
                self._alarm.forget(self)

    async def batch(self, request: Callable[[], R]) -> R:
        """What `request` returns on the worker's thread; see `run`."""
        self._check_wanted()
        working = self._worker.ask(request, going_on=self._begun)
        if working is None:
            raise RequestError(
                Status.BUSY,
                f"{MAX_REQUESTS} requests wait already; ask again when they are answered",
            )
        self._begun = True
        waiting = rclpy.task.Future(executor=self._executor)
        self._working, self._waiting = working, waiting

        def announce(_done: Future[R]) -> None:
            waiting.set_result(None)
            self._executor.wake()

        working.add_done_callback(announce)
        await waiting
        self._check_wanted()
        try:
            return working.result()
        except Stopped as error:
            raise RequestError(Status.NOT_ACTIVE, "the node was cleaned up meanwhile") from error
        except CancelledError as error:
            raise GivenUp from error

    def _advance(self, work: Work[P, R]) -> tuple[bool, Any]:
        """One batch, on the worker's thread: (False, what it yields) or (True, the answer).

        More than one where nobody waits for the worker or for what it yields: a way over the
        executor and back takes longer than a look.
        """
        began_s = time.monotonic()
        try:
            while True:
                if time.monotonic() >= self.until_s:
                    raise self._late()
                progress = next(work)
                if progress is not None or self._given_up or self._worker.is_waited_for:
                    return False, progress
        except StopIteration as end:
            return True, end.value
        finally:
            self.model_s += time.monotonic() - began_s

    def _check_wanted(self) -> None:
        if time.monotonic() >= self.until_s:
            raise self._late()
        if self._given_up:
            raise GivenUp

    def _late(self) -> RequestError:
        return RequestError(
            Status.DEADLINE,
            f"the answer was not ready within {self._within_s:g} s; ask for less at once, allow "
            "more time, or ask again when there is less to do",
        )


async def ask(worker: Worker[Any], executor: Executor, request: Callable[[], R]) -> R:
    """What `request` returns on the worker's thread; what it raises is raised here.

    Raises:
        RequestError: BUSY when too many requests wait, NOT_ACTIVE when the worker ends first.
    """
    return await Errand(worker, executor).batch(request)


def known_camera(name: str, cameras: Sequence[str]) -> str:
    """The camera meant; empty where there is only one.

    Raises:
        RequestError: there is no such camera, or it is not said which of several.
    """
    if not name and len(cameras) == 1:
        return cameras[0]
    if name not in cameras:
        wrong = f"camera {name!r} is not known" if name else "camera is empty, there are several"
        raise RequestError(Status.INVALID_REQUEST, f"{wrong}; use one of: {', '.join(cameras)}")
    return name


def error_status(error: Exception, log: RcutilsLogger) -> Status:
    """The answer to a request that failed; a fault of ours also goes to the log."""
    if isinstance(error, RequestError):
        return status_message(error.error_code, str(error))
    log.error(f"a request failed: {error!r}\n{''.join(traceback.format_exception(error))}")
    return status_message(Status.INTERNAL, f"{type(error).__name__}: {error}; see the node's log")
