"""One thread that runs the model: on the newest frame of each camera, and on requests in between.

Whoever offers a frame never waits. A frame that arrives while an older one of its camera still
waits takes its place, so the age of what is perceived is bounded by the step under way plus its
own. A step takes the frames of all cameras that have one: none waits for a camera that is silent,
and a fast one cannot be served twice before a slow one is. Between two steps at most one request
runs, so requests delay perception by one batch each.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from vljepa_ros.stream.pace import Pace

F = TypeVar("F")
R = TypeVar("R")

MAX_REQUESTS = 128


class Stopped(RuntimeError):
    """The worker ended before it came to the request."""


class Worker(Generic[F]):
    """Runs `step(frames)` on its own thread; `F` is whatever a frame is to the step."""

    def __init__(
        self,
        step: Callable[[Mapping[str, F]], None],
        failed: Callable[[Sequence[str], Exception], None],
        *,
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        """
        Args:
            step: one step of perception, given the newest frame of each camera that has a new
                one, by camera, the longest waiting first; runs on the worker's thread.
            failed: told of the cameras of a step that raised; the worker goes on with the next.
            max_requests: requests that may wait; more are refused.
        """
        self._step = step
        self._failed = failed
        self._changed = threading.Condition()
        self._frames: dict[str, F] = {}  # at most one a camera; the longest waiting first
        self._max_requests = max_requests
        self._requests: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._pace = Pace()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="perception_worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread after what it is at; requests that still wait fail with Stopped."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._refuse_waiting()

    def limit_rate(self, rate_hz: float) -> None:
        """At most so many steps a second; 0 = no limit."""
        with self._changed:
            self._pace = Pace(rate_hz)
            self._changed.notify_all()

    def offer(self, camera: str, frame: F) -> bool:
        """Leave a frame; True when an older one of this camera had to give way."""
        with self._changed:
            replaced = camera in self._frames
            self._frames[camera] = frame
            self._changed.notify_all()
        return replaced

    def forget_frames(self) -> list[str]:
        """Drop the frames that wait; returns their cameras."""
        with self._changed:
            cameras = list(self._frames)
            self._frames.clear()
        return cameras

    def ask(self, request: Callable[[], R], *, going_on: bool = False) -> Future[R] | None:
        """Run `request` on the worker's thread; None when too many requests wait already.

        The future may be cancelled: a request that has not begun by then never does.

        Args:
            going_on: it is the next part of a request that was taken in before, so it is never
                refused. Parts come one after the other, each at the end of the queue.
        """
        future: Future[R] = Future()
        with self._changed:
            if self._stopping:
                future.set_exception(Stopped("the worker has ended"))
                return future
            if len(self._requests) >= self._max_requests and not going_on:
                return None
            self._requests.append((future, request))
            self._changed.notify_all()
        return future

    @property
    def is_waited_for(self) -> bool:
        """Whether there is a frame or a request that waits for the end of what is under way."""
        return bool(self._frames or self._requests)

    def call(self, request: Callable[[], R]) -> R:
        """Run `request` on the worker's thread and wait for what it returns or raises."""
        while (future := self.ask(request)) is None:
            time.sleep(0.01)
        return future.result()

    # --- the worker's thread -------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait_for_work():
            self._answer_one_request()
            self._step_newest_frames()

    def _wait_for_work(self) -> bool:
        """True when there is something to do, False to end."""
        with self._changed:
            while not self._stopping:
                if self._requests:
                    return True
                wait_s = None
                if self._frames:
                    wait_s = self._pace.next_s - time.monotonic()
                    if wait_s <= 0.0:
                        return True
                self._changed.wait(wait_s)
        return False

    def _answer_one_request(self) -> None:
        found = self._next_request()
        if found is None:
            return
        future, request = found
        try:
            future.set_result(request())
        except Exception as error:  # noqa: BLE001 - handed to the one who asked
            future.set_exception(error)

    def _next_request(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """The request that has waited longest and is still wanted; it can be cancelled no more."""
        with self._changed:
            while self._requests:
                future, request = self._requests.popleft()
                if future.set_running_or_notify_cancel():
                    return future, request
        return None

    def _step_newest_frames(self) -> None:
        now_s = time.monotonic()
        with self._changed:
            if not self._frames or now_s < self._pace.next_s:
                return
            frames, self._frames = self._frames, {}
            self._pace.begin(now_s)
        try:
            self._step(frames)
        except Exception as error:  # noqa: BLE001 - reported; one bad step must not end perception
            self._failed(list(frames), error)

    def _refuse_waiting(self) -> None:
        while (found := self._next_request()) is not None:
            found[0].set_exception(Stopped("the worker has ended"))
