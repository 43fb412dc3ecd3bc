"""A planner on `world_state`, to be copied. It knows topics and services, and nothing of the world.

Step by step: imagine sequences of the robot's skills (search.py), do the first action of the most
promising one, and look what came of it; until what was seen is what the goal says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from vljepa_ros.msg import SemanticEvent, SemanticState

from examples.planner.link import Link, PlannerError
from examples.planner.mind import WorldMind
from examples.planner.search import Past, Plan, search
from examples.planner.sense import tells, things

__all__ = ["Planner", "PlannerError", "Step"]

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SAME = 0.9
"""Two sentences with at least this cosine say the same, if they name the same."""
STILL_S = 2.0
"""So long after an action a clip shows nothing of it any more."""


@dataclass(frozen=True)
class Step:
    """One thing that was done towards the goal."""

    plan: Plan
    """What was meant to be done; its first action was."""
    similarity: float
    """Cosine between the imagined end of the plan and the goal."""
    refused: str
    """Why the robot did not even try; empty where it did."""
    seen: tuple[str, ...]
    """What perception said meanwhile."""


class Planner:
    """Pursues goals in words. Spins by itself, in the calls."""

    def __init__(
        self,
        *,
        perception: str = "/vljepa/perception",
        world_state: str = "/vljepa/world_state",
        robot: str = "/vljepa/tabletop",
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Needs rclpy to be initialised.

        Args:
            meanwhile: called again and again while the planner waits; may raise to end that.
        """
        self._link = Link(meanwhile)
        self._mind = WorldMind(self._link, world_state)
        self._state: SemanticState | None = None
        self._moved_ns = 0
        self._events: list[SemanticEvent] = []
        self._skills: list[str] = []
        self._status: dict[str, str] = {}
        hear, reliable = self._link.node.create_subscription, QoSProfile(depth=10)
        hear(SemanticState, f"{perception}/semantic_state", self._on_state, QoSProfile(depth=1))
        hear(SemanticEvent, f"{perception}/semantic_event", self._events.append, LATCHED)
        hear(String, f"{robot}/skills", self._on_skills, LATCHED)
        hear(String, f"{robot}/act_status", self._on_status, reliable)
        self._act = self._link.node.create_publisher(String, f"{robot}/act", reliable)

    def close(self) -> None:
        self._link.close()

    def pursue(self, goal: str, steps: int, tell: Callable[[Step], None]) -> bool:
        """Try to make the goal come true in at most so many steps; True if it seems to be.

        Args:
            goal: what shall have happened, as perception would say it.
            tell: called after each step.

        Raises:
            PlannerError: a node is missing, fails, or is too slow.
        """
        refusing: set[str] = set()
        tried: Counter[str] = Counter()
        self._moved_ns = self._link.now_ns()
        for _ in range(steps):
            self._wait_until_still()
            choice = search(self._mind, goal, self._skills, Past(tried, frozenset(refusing)))
            action, *rest = choice.plan
            refused = self._do(action)
            tried[action] += 1
            # What the robot refused it will refuse again, until the scene is another one.
            refusing = refusing | {action} if refused else set()
            seen = () if refused else self._seen()
            tell(Step(choice.plan, choice.similarity, refused, seen))
            # Words that come while something moves are often wrong: they are believed only where
            # the goal was to come true now.
            if not rest and any(self._says(goal, caption, action) for caption in seen):
                return True
        return False

    def _do(self, action: str) -> str:
        """Have the robot do it; returns its reason where it refuses."""
        self._link.wait(self._act.get_subscription_count, "the robot")
        self._events.clear()
        self._status = {}
        self._act.publish(String(data=action))
        ended = ("finished", "refused")
        self._link.wait(lambda: self._status.get("phase") in ended, "the robot's word")
        if self._status["phase"] == "finished":
            self._moved_ns = self._link.now_ns()
        return self._status["reason"]

    def _wait_until_still(self) -> None:
        """Until the newest state is of a clip in which the robot does not move."""
        still_ns = self._moved_ns + round(STILL_S * 1e9)
        self._link.wait(lambda: self._skills and self._stamp_ns() >= still_ns, "a still scene")

    def _seen(self) -> tuple[str, ...]:
        self._wait_until_still()
        return tuple(event.caption for event in self._events if event.caption)

    def _says(self, goal: str, caption: str, action: str) -> bool:
        may_be = tells(goal, caption, action, things(self._skills))
        return may_be and self._mind.alike(goal, caption) >= SAME

    def _on_state(self, state: SemanticState) -> None:
        self._state = state

    def _on_skills(self, message: String) -> None:
        self._skills = json.loads(message.data)

    def _on_status(self, message: String) -> None:
        self._status = json.loads(message.data)

    def _stamp_ns(self) -> int:
        if self._state is None:
            return 0
        stamp = self._state.header.stamp
        return int(stamp.sec) * 10**9 + int(stamp.nanosec)
