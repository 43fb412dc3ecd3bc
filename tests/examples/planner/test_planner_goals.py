"""The planner's goals, and how far chance and full knowledge get: in the simulator alone."""

from __future__ import annotations

from collections import Counter

import pytest

from examples.planner.baselines import oracle_share, random_share
from examples.planner.goals import KINDS, Goal, goals
from examples.tabletop_world.skills import after
from training.tabletop.actions import next_state, possible_actions
from training.tabletop.language import parse

pytestmark = pytest.mark.slow  # goals are searched for through many scenes

TUNE_SEED = 4_000_000


@pytest.fixture(scope="module")
def shown() -> list[Goal]:
    """The goals of the demo."""
    return goals(50)


def test_goals_are_unmet_and_no_single_action_reaches_them(shown: list[Goal]) -> None:
    for goal in shown:
        assert not goal.holds(goal.start)
        for action in possible_actions(goal.start):
            assert not goal.holds(next_state(goal.start, action)[0]), (goal, action)


def test_each_goal_has_a_scene_of_a_test_seed_to_itself(shown: list[Goal]) -> None:
    seeds = [goal.seed for goal in shown]
    assert len(set(seeds)) == len(seeds)
    assert 5_000_000 <= min(seeds) <= max(seeds) < 8_000_000


def test_every_kind_of_goal_comes_equally_often(shown: list[Goal]) -> None:
    counts = Counter(goal.kind for goal in shown)
    assert set(counts) == {kind.name for kind in KINDS}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_plan_of_two_or_three_steps_reaches_each_goal(shown: list[Goal]) -> None:
    assert {len(goal.plan) for goal in shown} == {2, 3}
    for goal in shown:
        state = goal.start
        for action in goal.plan:
            assert not goal.holds(state)
            state = after(state, action)
        assert goal.holds(state)


def test_the_text_of_a_goal_says_the_outcome_of_the_last_step(shown: list[Goal]) -> None:
    for goal in shown:
        meaning = parse(goal.text)
        assert meaning is not None
        assert meaning.action == goal.plan[-1].name


def test_goals_are_the_same_each_time() -> None:
    assert goals(4, TUNE_SEED) == goals(4, TUNE_SEED)
    assert goals(4, TUNE_SEED) == goals(7, TUNE_SEED)[:4]


def test_chance_hardly_reaches_them_and_full_knowledge_does(shown: list[Goal]) -> None:
    assert random_share(shown) <= 0.3
    assert oracle_share(shown) >= 0.95
