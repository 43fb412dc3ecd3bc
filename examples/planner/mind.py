"""What a planner asks `world_state`: the services behind `search.Mind`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Duration
from rclpy.action import ActionClient
from vljepa_ros.action import RolloutTransitions
from vljepa_ros.msg import ActionSequence, CandidateAction, Embedding
from vljepa_ros.srv import EncodeText, QueryTransitions, QueryWorldState

from examples.planner.link import PATIENCE_S, Link, check
from examples.planner.search import Plan
from vljepa_ros.types import EmbeddingE

Embeddings = npt.NDArray[np.float32]

SEARCH_S = 90.0
"""So long may the node imagine for one request."""
MOST_AT_ONCE = 256
"""Sequences of one request: each has its deadline, on a busy machine too."""
ANSWER_SPREAD = 0.1
"""How sharply the difference of the cosines to `yes` and to `no` turns the answer."""


class AskingMind(ABC):
    """What `search.Mind` wants to know, made of two questions: texts, and rollouts."""

    def believe(self, questions: Sequence[str], after: Sequence[Plan]) -> list[dict[str, float]]:
        """How probably each question is answered by yes once these were done; () = now.

        To the model an action is a query like any other, so a question may be the last action of a
        sequence: it is asked of the scene that was imagined. Whether it comes nearer to `yes` than
        to `no` is one cosine, to the direction from one to the other.
        """
        yes_E, no_E = self._embeddings(["yes", "no"])
        apart = float(np.linalg.norm(yes_E - no_E))
        asked = [(*plan, question) for plan in after for question in questions]
        found = {p: near for p, near, _ in self._roll_out(asked, (yes_E - no_E) / apart)}
        return [{q: _yes(apart * found[(*plan, q)]) for q in questions} for plan in after]

    def alike(self, one: str, other: str) -> float:
        """Cosine between two texts."""
        one_E, other_E = self._embeddings([one, other])
        return float(one_E @ other_E)

    def roll_out(self, goal: str, plans: Sequence[Plan]) -> list[tuple[Plan, float, float]]:
        """Every plan, how near its end is to the goal, and how probably a step goes otherwise."""
        return self._roll_out(plans, goal)

    @abstractmethod
    def _embeddings(self, texts: Sequence[str]) -> Embeddings:
        """Of the texts (n, E), unit norm."""

    @abstractmethod
    def _roll_out(
        self, plans: Sequence[Plan], goal: str | EmbeddingE
    ) -> list[tuple[Plan, float, float]]: ...


class WorldMind(AskingMind):
    """The world model of a running node, about the scene that its camera sees."""

    def __init__(self, link: Link, world_state: str) -> None:
        self._link = link
        self._space_id = ""
        create = link.node.create_client
        self._transitions = create(QueryTransitions, f"{world_state}/query_transitions")
        self._questions = create(QueryWorldState, f"{world_state}/query_world_state")
        self._encode = create(EncodeText, f"{world_state}/encode_text")
        self._rollout = ActionClient(
            link.node, RolloutTransitions, f"{world_state}/rollout_transitions"
        )

    def foresee(self, skills: Sequence[str]) -> dict[str, str]:
        """What each skill would lead to now, in words."""
        request = QueryTransitions.Request(
            actions=_actions(skills), return_captions=True, deadline=_seconds(PATIENCE_S)
        )
        answer = self._link.ask(self._transitions, request)
        return {s: p.caption for s, p in zip(skills, answer.predictions, strict=True)}

    def choose(self, question: str, answers: Sequence[str]) -> dict[str, float]:
        """How probable each answer is now."""
        request = QueryWorldState.Request(question=question, candidates=list(answers))
        scores = self._link.ask(self._questions, request).scores
        return {score.label: float(score.probability) for score in scores}

    def _embeddings(self, texts: Sequence[str]) -> Embeddings:
        answer = self._link.ask(self._encode, EncodeText.Request(texts=list(texts)))
        self._space_id = answer.embeddings[0].space_id
        return np.array([embedding.data for embedding in answer.embeddings], np.float32)

    def _roll_out(
        self, plans: Sequence[Plan], goal: str | EmbeddingE
    ) -> list[tuple[Plan, float, float]]:
        parts = [plans[at : at + MOST_AT_ONCE] for at in range(0, len(plans), MOST_AT_ONCE)]
        wanted: dict[str, Any] = {"goal_text": goal}
        if not isinstance(goal, str):
            embedding = Embedding(space_id=self._space_id, data=goal.tolist())
            wanted = {"goal_embedding": embedding}
        return [found for part in parts for found in self._rolled_out(part, **wanted)]

    def _rolled_out(self, plans: Sequence[Plan], **goal: Any) -> list[tuple[Plan, float, float]]:
        sequences = [
            ActionSequence(id=str(at), actions=_actions(plan)) for at, plan in enumerate(plans)
        ]
        request = RolloutTransitions.Goal(sequences=sequences, deadline=_seconds(SEARCH_S), **goal)
        self._link.wait(self._rollout.server_is_ready, "the action rollout_transitions")
        handle = self._link.result(self._rollout.send_goal_async(request))
        result = self._link.result(handle.get_result_async()).result
        check(result.status)
        found = zip(result.ranked, result.goal_similarity, result.uncertainty, strict=True)
        return [(plans[int(s.id)], float(near), float(doubt)) for s, near, doubt in found]


def _yes(difference: float) -> float:
    return 1 / (1 + math.exp(-difference / ANSWER_SPREAD))


def _seconds(length_s: float) -> Duration:
    return Duration(sec=round(length_s))


def _actions(texts: Sequence[str]) -> list[CandidateAction]:
    return [CandidateAction(id=str(at), type="text", text=text) for at, text in enumerate(texts)]
