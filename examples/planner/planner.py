"""A planner on `world_state`, to be copied. It knows topics and services, and nothing of the world.

Step by step: imagine sequences of the robot's skills, do the first action of the one that ends
nearest to the goal, and look what came of it; until what was seen is what the goal says.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from builtin_interfaces.msg import Duration
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from vljepa_ros.action import RolloutTransitions
from vljepa_ros.msg import ActionSequence, CandidateAction, SemanticEvent, SemanticState
from vljepa_ros.srv import EncodeText, QueryTransitions

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FIRST, LAST = 8, 2
"""How many skills are tried as the first and as the last of three."""
NEAR, NEARNESS_SPREAD = 0.42, 0.04
"""Similarity to the goal at which an end is as likely it as not, and how sharply that turns."""
STEP_KEPT = 0.75
"""Of the chance to arrive, for each step: the world seldom does quite what was imagined."""
TRIED_KEPT = 0.5
"""The same for each time that the first action was done already: doing it again rarely helps."""
SAME = 0.9
"""Two sentences with at least this cosine say the same."""
STILL_S = 2.0
"""So long after an action a clip shows nothing of it any more."""
PATIENCE_S = 120.0
SEARCH_S = 90.0
"""So long may the node imagine for one request."""
MOST_AT_ONCE = 1024
"""Sequences of one request; the node takes twice as many."""
POLL_S = 0.05

T = TypeVar("T")
Plan = tuple[str, ...]
"""Texts of actions, in order."""


def promise(plan: Plan, near: float, doubt: float, tried: int) -> float:
    """How probably a plan arrives, roughly: its end is the goal, and no step goes otherwise."""
    arrives = 1 / (1 + math.exp((NEAR - near) / NEARNESS_SPREAD))
    return float(arrives * (1 - doubt) * STEP_KEPT ** len(plan) * TRIED_KEPT**tried)


class PlannerError(RuntimeError):
    """Something the planner depends on does not answer, or refuses."""


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
        self._meanwhile = meanwhile
        self._node = Node("planner")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._state: SemanticState | None = None
        self._moved_ns = 0
        self._events: list[SemanticEvent] = []
        self._skills: list[str] = []
        self._status: dict[str, str] = {}
        hear, reliable = self._node.create_subscription, QoSProfile(depth=10)
        hear(SemanticState, f"{perception}/semantic_state", self._on_state, QoSProfile(depth=1))
        hear(SemanticEvent, f"{perception}/semantic_event", self._events.append, LATCHED)
        hear(String, f"{robot}/skills", self._on_skills, LATCHED)
        hear(String, f"{robot}/act_status", self._on_status, reliable)
        self._act = self._node.create_publisher(String, f"{robot}/act", reliable)
        self._transitions = self._node.create_client(
            QueryTransitions, f"{world_state}/query_transitions"
        )
        self._encode = self._node.create_client(EncodeText, f"{world_state}/encode_text")
        self._rollout = ActionClient(
            self._node, RolloutTransitions, f"{world_state}/rollout_transitions"
        )

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()

    def pursue(self, goal: str, steps: int, tell: Callable[[Step], None]) -> bool:
        """Try to make the goal come true in at most so many steps; True if it seems to be.

        Args:
            goal: what shall have happened, as perception would say it.
            tell: called after each step.

        Raises:
            PlannerError: a node is missing, fails, or is too slow.
        """
        useless: set[str] = set()
        tried: Counter[str] = Counter()
        self._moved_ns = self._now_ns()
        for _ in range(steps):
            self._wait_until_still()
            skills = [s for s in self._skills if s not in useless]
            plan, similarity = self.search(goal, skills, tried)
            refused = self._do(plan[0])
            tried[plan[0]] += 1
            # What the robot refused it will refuse again, until the scene is another one.
            useless = useless | {plan[0]} if refused else set()
            seen = () if refused else self._seen()
            tell(Step(plan, similarity, refused, seen))
            if any(self._say_the_same(goal, said) for said in seen):
                return True
        return False

    # --- imagining ------------------------------------------------------------------------------

    def search(
        self, goal: str, skills: Sequence[str], tried: Mapping[str, int]
    ) -> tuple[Plan, float]:
        """The most promising sequence of up to three skills, and how near to the goal it ends.

        What is half-way to a goal need not resemble it. So every two skills are tried, and those
        that come closest as the second of two are tried as the last of three.
        """
        change = {skill: found.change for skill, found in self.imagine(goal, skills).items()}
        pairs = [(one, two) for one in skills for two in skills if one != two]
        found = self.roll_out(goal, [*((skill,) for skill in skills), *pairs])
        nearest: dict[str, float] = {}
        for plan, near, _ in found:
            nearest[plan[-1]] = max(near, nearest.get(plan[-1], -1.0))
        first = sorted(skills, key=lambda skill: -change[skill])[:FIRST]
        last = sorted(skills, key=lambda skill: -nearest[skill])[:LAST]
        middles = [pair for pair in pairs if pair[0] in first]
        found += self.roll_out(goal, [(*m, end) for m in middles for end in last if end != m[1]])

        def chance(way: tuple[Plan, float, float]) -> float:
            plan, near, doubt = way
            return promise(plan, near, doubt, tried.get(plan[0], 0))

        plan, near, _ = max(found, key=chance)
        return plan, near

    def imagine(self, goal: str, skills: Sequence[str]) -> dict[str, Any]:
        """What each skill alone would lead to now: TransitionPrediction by skill."""
        request = QueryTransitions.Request(
            actions=_actions(skills), goal_text=goal, deadline=Duration(sec=round(PATIENCE_S))
        )
        answer = self._ask(self._transitions, request)
        return dict(zip(skills, answer.predictions, strict=True))

    def roll_out(self, goal: str, plans: Sequence[Plan]) -> list[tuple[Plan, float, float]]:
        """Every plan, how near its end is to the goal, and how probably a step goes otherwise."""
        parts = [plans[at : at + MOST_AT_ONCE] for at in range(0, len(plans), MOST_AT_ONCE)]
        return [found for part in parts for found in self._roll_out(goal, part)]

    def _roll_out(self, goal: str, plans: Sequence[Plan]) -> list[tuple[Plan, float, float]]:
        sequences = [
            ActionSequence(id=str(at), actions=_actions(plan)) for at, plan in enumerate(plans)
        ]
        request = RolloutTransitions.Goal(
            sequences=sequences, goal_text=goal, deadline=Duration(sec=round(SEARCH_S))
        )
        self._wait(self._rollout.server_is_ready, "the action rollout_transitions")
        goal_handle = self._result(self._rollout.send_goal_async(request))
        result = self._result(goal_handle.get_result_async()).result
        _check(result.status)
        found = zip(result.ranked, result.goal_similarity, result.uncertainty, strict=True)
        return [(plans[int(s.id)], float(near), float(doubt)) for s, near, doubt in found]

    # --- acting and looking ---------------------------------------------------------------------

    def _do(self, action: str) -> str:
        """Have the robot do it; returns its reason where it refuses."""
        self._wait(self._act.get_subscription_count, "the robot")
        self._events.clear()
        self._status = {}
        self._act.publish(String(data=action))
        self._wait(lambda: self._status.get("phase") in ("finished", "refused"), "the robot's word")
        if self._status["phase"] == "finished":
            self._moved_ns = self._now_ns()
        return self._status["reason"]

    def _wait_until_still(self) -> None:
        """Until the newest state is of a clip in which the robot does not move."""
        still_ns = self._moved_ns + round(STILL_S * 1e9)
        self._wait(lambda: self._skills and self._stamp_ns() >= still_ns, "a still scene")

    def _seen(self) -> tuple[str, ...]:
        self._wait_until_still()
        return tuple(event.caption for event in self._events if event.caption)

    def _say_the_same(self, one: str, other: str) -> bool:
        answer = self._ask(self._encode, EncodeText.Request(texts=[one, other]))
        one_E, other_E = (np.asarray(embedding.data) for embedding in answer.embeddings)
        return float(one_E @ other_E) >= SAME

    def _on_state(self, state: SemanticState) -> None:
        self._state = state

    def _on_skills(self, message: String) -> None:
        self._skills = json.loads(message.data)

    def _on_status(self, message: String) -> None:
        self._status = json.loads(message.data)

    def _now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _stamp_ns(self) -> int:
        if self._state is None:
            return 0
        stamp = self._state.header.stamp
        return int(stamp.sec) * 10**9 + int(stamp.nanosec)

    # --- waiting --------------------------------------------------------------------------------

    def _ask(self, client: Any, request: Any) -> Any:
        self._wait(client.service_is_ready, f"the service {client.srv_name}")
        answer = self._result(client.call_async(request))
        _check(answer.status)
        return answer

    def _result(self, future: Any) -> Any:
        self._wait(future.done, "an answer")
        return future.result()

    def _wait(self, happened: Callable[[], Any], what: str) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not happened():
            if time.monotonic() > end_s:
                raise PlannerError(f"{what} did not come within {PATIENCE_S:.0f} s")
            self._meanwhile()
            self._executor.spin_once(timeout_sec=POLL_S)


def _actions(texts: Sequence[str]) -> list[CandidateAction]:
    return [CandidateAction(id=str(at), type="text", text=text) for at, text in enumerate(texts)]


def _check(status: Any) -> None:
    if not status.success:
        raise PlannerError(
            f"world_state answered with error {status.error_code}: {status.error_msg}"
        )
