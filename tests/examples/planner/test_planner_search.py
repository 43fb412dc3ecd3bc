"""The planner's search with a mind that is never wrong, the simulator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from examples.planner.goals import Goal, goals
from examples.planner.search import Choice, Past, Plan, search
from examples.planner.sense import HELD, HOLDING, OPEN
from examples.tabletop_world.skills import SkillError, after, attempt, read_skill, skill_texts
from training.tabletop.language import canonical
from training.tabletop.meaning import action_meaning
from training.tabletop.state import SceneState

TUNE_SEED = 4_200_000
SAME, OTHER = 0.6, 0.2
"""Similarity to the goal of an end that is it, and of any other."""


class SimulatorMind:
    """What the model would say if it knew everything; what makes no sense changes nothing."""

    def __init__(self, state: SceneState) -> None:
        self.state = state
        self.imagined = 0

    def foresee(self, skills: Sequence[str]) -> dict[str, str]:
        return {skill: _outcome(self.state, skill) for skill in skills}

    def choose(self, question: str, answers: Sequence[str]) -> dict[str, float]:
        name = self.state.objects[self.state.held].name if self.state.held >= 0 else answers[:1] * 2
        true = name[HELD.index(question)]
        return {answer: float(answer == true) for answer in answers}

    def believe(self, questions: Sequence[str], plans: Sequence[Plan]) -> list[dict[str, float]]:
        states = [self._after(plan) for plan in plans]
        facts = [{HOLDING: s.held >= 0, OPEN: s.drawer_is_open} for s in states]
        return [{question: float(true[question]) for question in questions} for true in facts]

    def roll_out(self, goal: str, plans: Sequence[Plan]) -> list[tuple[Plan, float, float]]:
        self.imagined += len(plans)
        ends = [_outcome(self._after(plan[:-1]), plan[-1]) for plan in plans]
        return [
            (p, SAME if end == goal else OTHER, 0.0) for p, end in zip(plans, ends, strict=True)
        ]

    def _after(self, plan: Plan) -> SceneState:
        state = self.state
        for skill in plan:
            state = after(state, read_skill(skill, state))
        return state


def _outcome(state: SceneState, skill: str) -> str:
    action = read_skill(skill, state)
    try:
        return canonical(action_meaning(state, action, attempt(state, action).result))
    except SkillError:
        return ""


def _pursued(goal: Goal) -> SceneState:
    mind, tried = SimulatorMind(goal.start), Counter[str]()
    refused: frozenset[str] = frozenset()
    for _ in range(goal.budget):
        if goal.holds(mind.state):
            break
        choice = _searched(mind, goal, Past(tried, refused))
        before = mind.state
        mind.state = after(before, read_skill(choice.plan[0], before))
        tried[choice.plan[0]] += 1
        refused = refused | {choice.plan[0]} if mind.state == before else frozenset()
    return mind.state


def _searched(mind: SimulatorMind, goal: Goal, past: Past | None = None) -> Choice:
    return search(mind, goal.text, skill_texts(mind.state), past or Past())


@pytest.fixture(scope="module")
def tuning() -> list[Goal]:
    return goals(15, TUNE_SEED)


def test_with_a_mind_that_is_never_wrong_nearly_every_goal_is_reached(tuning: list[Goal]) -> None:
    reached = [goal.holds(_pursued(goal)) for goal in tuning]
    assert sum(reached) >= len(tuning) - 1, [
        g for g, ok in zip(tuning, reached, strict=True) if not ok
    ]


def test_what_was_refused_is_not_begun_with(tuning: list[Goal]) -> None:
    for goal in tuning[:5]:
        mind = SimulatorMind(goal.start)
        first = _searched(mind, goal).plan[0]
        assert _searched(mind, goal, Past(refused=frozenset({first}))).plan[0] != first


def test_a_short_way_that_is_sure_ends_the_search(tuning: list[Goal]) -> None:
    goal = next(goal for goal in tuning if goal.kind == "in the drawer")
    mind = SimulatorMind(goal.start)
    far = _searched(mind, goal)
    cost_far, mind.imagined = mind.imagined, 0
    for action in goal.plan[:-1]:
        mind.state = after(mind.state, action)
    near = _searched(mind, goal)
    assert len(near.plan) == 1 < len(far.plan)
    assert mind.imagined <= len(skill_texts(mind.state)) < cost_far


def test_without_skills_there_is_nothing_to_choose(tuning: list[Goal]) -> None:
    with pytest.raises(ValueError, match="no skill"):
        search(SimulatorMind(tuning[0].start), tuning[0].text, [], Past())
