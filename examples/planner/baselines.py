"""How far chance and full knowledge get: both act in the simulator itself, without ROS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from examples.planner.goals import Goal
from examples.tabletop_world.skills import after, skills

TRIES = 20
"""How often chance tries each goal."""


def random_share(goals: Sequence[Goal], seed: int = 0) -> float:
    """Share of tries in which chance reaches a goal at any moment within its budget [0..1].

    It draws each step evenly from all skills; one that makes no sense costs a step as well.
    """
    rng = np.random.default_rng(seed)
    return float(np.mean([_by_chance(goal, rng) for goal in goals for _ in range(TRIES)]))


def oracle_share(goals: Sequence[Goal]) -> float:
    """Share of goals that the plans which were searched with the simulator reach [0..1]."""
    return float(np.mean([_by_plan(goal) for goal in goals]))


def _by_chance(goal: Goal, rng: np.random.Generator) -> bool:
    state, options = goal.start, skills(goal.start)
    for _ in range(goal.budget):
        state = after(state, options[int(rng.integers(len(options)))])
        if goal.holds(state):
            return True
    return False


def _by_plan(goal: Goal) -> bool:
    state = goal.start
    for action in goal.plan[: goal.budget]:
        state = after(state, action)
    return goal.holds(state)
