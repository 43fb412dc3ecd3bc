"""The bench's planner: asks the running node what actions would lead to, one query or many."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any

import rclpy

from vljepa_ros import msg, srv
from vljepa_ros.config import WorldStateConfig
from vljepa_ros.ros import qos
from vljepa_ros.ros.bench.probe import NAMESPACE
from vljepa_ros.ros.bench.query_figures import Answer, Asked
from vljepa_ros.ros.children import ChildError
from vljepa_ros.ros.executor_thread import ExecutorThread

SERVICE_TIMEOUT_S = 60.0
PATIENCE_S = WorldStateConfig().deadline_s + 10.0
"""After the node's own deadline what has not been answered is lost."""
GOAL = "The robot pushes the red cube to the left."
ACTIONS = tuple(
    f"Push the {colour} {shape} {where}."
    for shape, colour, where in itertools.product(
        ("cube", "ball", "cup", "plate"),
        ("red", "blue", "green", "yellow"),
        ("left", "right", "forward", "back"),
    )
)
"""64 of them: the largest query takes all."""


class Planner:
    """A client with an executor of its own. To be used while ROS runs, so inside of a Probe."""

    def __init__(self) -> None:
        self._node = rclpy.create_node("bench_planner", namespace=NAMESPACE)
        self._client = self._node.create_client(
            srv.QueryTransitions, "world_state/query_transitions", qos_profile=qos.SERVICE
        )
        self._thread = ExecutorThread(self._node)

    def __enter__(self) -> Planner:
        """
        Raises:
            ChildError: nobody offers the service.
        """
        self._thread.start()
        try:
            if not self._client.wait_for_service(SERVICE_TIMEOUT_S):
                raise ChildError(f"no query_transitions within {SERVICE_TIMEOUT_S:.0f} s")
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._thread.stop():
            self._node.destroy_node()

    def one_after_other(self, actions: Sequence[str], seconds: float, *, least: int) -> Asked:
        """Ask again as soon as there is an answer, for so long and at least so often.

        Raises:
            ChildError: an answer is missing.
        """
        inbox = _Inbox()
        start_s, sent = time.monotonic(), 0
        while time.monotonic() - start_s < seconds or sent < least:
            self._ask(actions, inbox)
            sent += 1
            if not inbox.wait_for(sent, PATIENCE_S):
                raise ChildError("a query was never answered; see the node's log")
        return Asked(len(actions), sent, time.monotonic() - start_s, inbox.answers())

    def steadily(
        self, actions: Sequence[str], rate_hz: float, seconds: float, *, after_s: float
    ) -> Future[Asked]:
        """Ask at an even pace from a thread of its own, whether there are answers or not.

        Args:
            after_s: when it begins, counted from now.
        """
        start_s = time.monotonic() + after_s
        done: Future[Asked] = Future()

        def work() -> None:
            try:
                done.set_result(self._steadily(actions, rate_hz, seconds, start_s))
            except Exception as error:  # noqa: BLE001 - raised where the result is wanted
                done.set_exception(error)

        # No thread of a pool: those would hold up the end of an interrupted bench.
        threading.Thread(target=work, name="planner", daemon=True).start()
        return done

    def _steadily(
        self, actions: Sequence[str], rate_hz: float, seconds: float, start_s: float
    ) -> Asked:
        inbox = _Inbox()
        sent = round(rate_hz * seconds)
        for nth in range(sent):
            time.sleep(max(start_s + nth / rate_hz - time.monotonic(), 0.0))
            self._ask(actions, inbox)
        time.sleep(max(start_s + sent / rate_hz - time.monotonic(), 0.0))
        took_s = time.monotonic() - start_s
        inbox.wait_for(sent, PATIENCE_S)
        return Asked(len(actions), sent, took_s, inbox.answers())

    def _ask(self, actions: Sequence[str], inbox: _Inbox) -> None:
        request = srv.QueryTransitions.Request(
            actions=[msg.CandidateAction(type="text", text=text) for text in actions],
            goal_text=GOAL,
        )
        began_s = time.monotonic()
        self._client.call_async(request).add_done_callback(
            lambda future: inbox.put(future.result(), time.monotonic() - began_s)
        )


class _Inbox:
    """Answers as they come; any thread may look."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._answers: list[Answer] = []

    def put(self, response: Any, seconds: float) -> None:
        status, model = response.status, response.compute_time
        answer = Answer(
            status.error_code, seconds, model.sec + model.nanosec / 1e9, status.error_msg
        )
        with self._changed:
            self._answers.append(answer)
            self._changed.notify_all()

    def wait_for(self, count: int, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self._answers) >= count, timeout_s)

    def answers(self) -> tuple[Answer, ...]:
        with self._changed:
            return tuple(self._answers)
