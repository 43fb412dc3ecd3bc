"""A node that asks and waits, spinning by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

PATIENCE_S = 120.0
POLL_S = 0.05


class PlannerError(RuntimeError):
    """Something the planner depends on does not answer, or refuses."""


class Link:
    """The planner's node."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        """Needs rclpy to be initialised.

        Args:
            meanwhile: called again and again while something is waited for; may raise to end that.
        """
        self.node = Node("planner")
        self._meanwhile = meanwhile
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()

    def now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def ask(self, client: Any, request: Any) -> Any:
        """The answer of a service of `world_state`.

        Raises:
            PlannerError: it is not there, too slow, or refuses.
        """
        self.wait(client.service_is_ready, f"the service {client.srv_name}")
        answer = self.result(client.call_async(request))
        check(answer.status)
        return answer

    def result(self, future: Any) -> Any:
        self.wait(future.done, "an answer")
        return future.result()

    def wait(self, happened: Callable[[], Any], what: str) -> None:
        """Spin until it has happened.

        Raises:
            PlannerError: that takes too long.
        """
        end_s = time.monotonic() + PATIENCE_S
        while not happened():
            if time.monotonic() > end_s:
                raise PlannerError(f"{what} did not come within {PATIENCE_S:.0f} s")
            self._meanwhile()
            self._executor.spin_once(timeout_sec=POLL_S)


def check(status: Any) -> None:
    """
    Raises:
        PlannerError: an answer that is none.
    """
    if not status.success:
        raise PlannerError(
            f"world_state answered with error {status.error_code}: {status.error_msg}"
        )
