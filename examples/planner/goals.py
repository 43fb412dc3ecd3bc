"""Goals for the planner, each in the scene of a test seed: unmet at the start, and no single action
reaches it. What is true is read from the simulator here; the planner is given the text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice
from typing import Protocol

import numpy as np

from training.tabletop.actions import Action, index_of, next_state, possible, possible_actions
from training.tabletop.language import canonical
from training.tabletop.meaning import action_meaning
from training.tabletop.splits import TEST_SEEDS
from training.tabletop.state import GripperState, SceneState
from training.tabletop.world import Episode

SPLIT = "test"
MOST_STEPS = 3
"""Of the shortest way. A fourth would take the search for it from a second to a minute."""
SEEDS_TRIED = 200
"""A kind of goal that no scene offers in so many is not to be had."""

Starts = Callable[[SceneState, int], bool]


class Holds(Protocol):
    """Whether something is true of object number i (and j, what it is to be stacked on)."""

    def __call__(self, state: SceneState, *, i: int, j: int) -> bool: ...


@dataclass(frozen=True)
class Kind:
    """One sort of goal: that an action comes out so, for the first time."""

    name: str
    action: str
    starts: Starts
    """What must be true of the object at first for a goal to be of this kind."""
    holds: Holds
    """Success, whatever way it was reached."""
    outcome: str = "success"


@dataclass(frozen=True)
class Goal:
    """Something to reach in one scene."""

    seed: int
    kind: str
    text: str
    """What happens in the end, as the world's language says it."""
    plan: tuple[Action, ...]
    """The shortest way on which the text becomes true."""
    start: SceneState = field(repr=False)
    holds: Callable[[SceneState], bool] = field(repr=False, compare=False)

    @property
    def budget(self) -> int:
        """Steps that may be taken: twice the shortest way."""
        return 2 * len(self.plan)


def _outside(state: SceneState, i: int) -> bool:
    return state.objects[i].place in ("table", "object", "held")


def _covered(state: SceneState, i: int) -> bool:
    return state.on_top(i) >= 0


def _in_drawer(state: SceneState, i: int) -> bool:
    return i == state.content


def _is_inside(state: SceneState, *, i: int, j: int) -> bool:
    return i == state.content


def _is_held(state: SceneState, *, i: int, j: int) -> bool:
    return i == state.held


def _is_shut_in(state: SceneState, *, i: int, j: int) -> bool:
    return i == state.content and not state.drawer_is_open


def _is_on_other(state: SceneState, *, i: int, j: int) -> bool:
    return i == state.on_top(j)


KINDS = (
    Kind("in the drawer", "put_in_drawer", _outside, _is_inside),
    Kind("out of the drawer", "take_out_of_drawer", _in_drawer, _is_held),
    Kind("stacked", "stack_on", _outside, _is_on_other),
    Kind("uncovered and held", "pick_up", _covered, _is_held),
    Kind("shut in the drawer", "close_drawer", _outside, _is_shut_in, "with_object"),
)


def goals(count: int, first_seed: int = TEST_SEEDS.start) -> list[Goal]:
    """The first `count` goals from a seed on: the kinds in turn, each seed at most once.

    Raises:
        ValueError: a kind of goal that none of many scenes offers.
    """
    seeds = iter(range(first_seed, first_seed + count * SEEDS_TRIED))
    return [_next(kind, seeds) for kind in islice(cycle(KINDS), count)]


def _next(kind: Kind, seeds: Iterator[int]) -> Goal:
    for seed in islice(seeds, SEEDS_TRIED):
        start = Episode.generate(seed, SPLIT, max_actions=1).state(0.0)
        indices = range(len(start.objects))
        if any(kind.starts(start, i) for i in indices):
            offered = _offered(kind, start, seed)
            if offered:
                return offered[int(np.random.default_rng(seed).integers(len(offered)))]
    raise ValueError(f"no goal '{kind.name}' in {SEEDS_TRIED} scenes; start from another seed")


def _offered(kind: Kind, start: SceneState, seed: int) -> list[Goal]:
    """Every goal of a kind in a scene that takes 2 or 3 steps."""
    found: dict[str, Goal] = {}
    soon = [start, *(next_state(start, action)[0] for action in possible_actions(start))]
    for state, way in _reachable(start, MOST_STEPS - 1):
        for action, result in possible(state):
            if (action.name, result.outcome) != (kind.action, kind.outcome) or result.ambiguous:
                continue
            meaning = action_meaning(state, action, result)
            thing = index_of(start, meaning.object or meaning.other)
            holds = partial(kind.holds, i=thing, j=index_of(start, meaning.target))
            text = canonical(meaning)
            if text in found or not kind.starts(start, thing) or any(map(holds, soon)):
                continue
            found[text] = Goal(seed, kind.name, text, (*way, action), start, holds)
    return list(found.values())


def _reachable(start: SceneState, steps: int) -> Iterator[tuple[SceneState, tuple[Action, ...]]]:
    """Scenes with the actions that lead there, fewest first, where no outcome is a close call."""
    known = {_look(start)}
    level: list[tuple[SceneState, tuple[Action, ...]]] = [(start, ())]
    while True:
        yield from level
        if not steps:
            return
        steps -= 1
        level, before = [], level
        for state, way in before:
            for action, result in possible(state):
                after = next_state(state, action)[0]
                if not result.ambiguous and _look(after) not in known:
                    known.add(_look(after))
                    level.append((after, (*way, action)))


def _look(state: SceneState) -> SceneState:
    """The scene without what makes no difference: where an empty gripper is."""
    if state.held >= 0:
        return state
    return replace(state, gripper=GripperState(0.0, 0.0, 0.0, 0.0))
