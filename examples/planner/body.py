"""The robot and its camera as a planner meets them: topics, and nothing behind them."""

from __future__ import annotations

import json

from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from vljepa_ros.msg import SemanticEvent, SemanticState

from examples.planner.link import Link
from examples.planner.planner import STILL_S

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class RosBody:
    """What `planner.Body` asks for, on the topics of a perception node and of a robot."""

    def __init__(self, link: Link, perception: str, robot: str) -> None:
        self._link = link
        self._state: SemanticState | None = None
        self._moved_ns = link.now_ns()
        self._events: list[SemanticEvent] = []
        self._skills: list[str] = []
        self._status: dict[str, str] = {}
        hear, reliable = link.node.create_subscription, QoSProfile(depth=10)
        hear(SemanticState, f"{perception}/semantic_state", self._on_state, QoSProfile(depth=1))
        hear(SemanticEvent, f"{perception}/semantic_event", self._on_event, LATCHED)
        hear(String, f"{robot}/skills", self._on_skills, LATCHED)
        hear(String, f"{robot}/act_status", self._on_status, reliable)
        self._act = link.node.create_publisher(String, f"{robot}/act", reliable)

    def arrive(self) -> list[str]:
        """Skills of the scene that is there now, once it has been seen at rest."""
        self._moved_ns = self._link.now_ns()
        self._wait_until_still()
        return self._skills

    def do(self, action: str) -> str:
        """Have the robot do it; returns its reason where it refuses.

        Raises:
            PlannerError: the robot does not answer.
        """
        self._link.wait(self._act.get_subscription_count, "the robot")
        self._events.clear()
        self._status = {}
        self._act.publish(String(data=action))
        ended = ("finished", "refused")
        self._link.wait(lambda: self._status.get("phase") in ended, "the robot's word")
        if self._status["phase"] == "finished":
            self._moved_ns = self._link.now_ns()
        return self._status["reason"]

    def seen(self) -> tuple[str, ...]:
        """What perception said since the last action began, once all is still."""
        self._wait_until_still()
        return tuple(event.caption for event in self._events if event.caption)

    def _wait_until_still(self) -> None:
        """Until the newest state is of a clip in which the robot does not move."""
        still_ns = self._moved_ns + round(STILL_S * 1e9)
        self._link.wait(lambda: self._skills and self._stamp_ns() >= still_ns, "a still scene")

    def _on_state(self, state: SemanticState) -> None:
        self._state = state

    def _on_event(self, event: SemanticEvent) -> None:
        self._events.append(event)

    def _on_skills(self, message: String) -> None:
        self._skills = json.loads(message.data)

    def _on_status(self, message: String) -> None:
        self._status = json.loads(message.data)

    def _stamp_ns(self) -> int:
        if self._state is None:
            return 0
        stamp = self._state.header.stamp
        return int(stamp.sec) * 10**9 + int(stamp.nanosec)
