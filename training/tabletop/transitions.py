"""⟨state, action⟩ → outcome, and back: items with candidates of balanced statistics.

The candidates of an item are four outcomes of the action; where it names an object, once for it and
once for another object of the scene. `balanced` draws items so that each of the four is right
equally often. So counting words tells nothing. All candidates are worded canonically.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.tabletop import catalogue, language
from training.tabletop.actions import Action, next_state, possible
from training.tabletop.edits import pool_for
from training.tabletop.meaning import Meaning, action_meaning
from training.tabletop.names import ObjectName
from training.tabletop.state import SceneState

OUTCOMES = 4
"""Different outcomes among the candidates."""
FEWEST_CANDIDATES = 3
ACTIONS_BACK = 8
"""Candidates of an inverse item."""

Happened = tuple[SceneState, Action]


@dataclass(frozen=True, eq=False)
class Transition:
    """A question about what an action leads to (or, inverse, which action led to `after`)."""

    before: SceneState
    after: SceneState
    action: Action
    outcome: str
    query: str
    """The action as a planner says it; empty for an inverse item."""
    candidates: tuple[str, ...]
    answer: int
    """Index of the true candidate."""


def transition(
    state: SceneState, action: Action, rng: np.random.Generator, among: Sequence[str] = ()
) -> Transition | None:
    """The item ⟨state, action⟩ → outcome.

    Args:
        among: outcomes to take the wrong ones from; none = any of the action's.

    Returns:
        None where the outcome is too close to call or hardly anything else could come of it.
    """
    after, result = next_state(state, action)
    if result.ambiguous:
        return None
    true = action_meaning(state, action, result)
    wrong = _wrong(true, state, rng, among)
    if len(wrong) + 1 < FEWEST_CANDIDATES:
        return None
    candidates, answer = _shuffled([language.canonical(m) for m in (true, *wrong)], rng)
    query = language.action_instruction(action, rng)
    return Transition(state, after, action, result.outcome, query, candidates, answer)


def balanced(happened: Iterable[Happened], rng: np.random.Generator) -> list[Transition]:
    """Items from what happened in streams, so that outcomes tell nothing by their frequency.

    Of each action and shape it is done to, four outcomes are drawn and one of them to be the truth,
    until not so many outcomes are left: the frequent ones are not used up.
    """
    groups: dict[tuple[str, str], dict[str, list[Happened]]] = {}
    for state, action in happened:
        result = next_state(state, action)[1]
        if not result.ambiguous:
            shape = action.target.shape if action.target else ""
            group = groups.setdefault((action.name, shape), defaultdict(list))
            group[result.outcome].append((state, action))
    items = [item for key in sorted(groups) for item in _drawn(groups[key], rng)]
    return [items[i] for i in rng.permutation(len(items))]


def _drawn(group: dict[str, list[Happened]], rng: np.random.Generator) -> Iterator[Transition]:
    left = {o: [some[i] for i in rng.permutation(len(some))] for o, some in sorted(group.items())}
    enough = max(2, min(OUTCOMES, len(left)))
    while len(left) >= enough:
        names = sorted(left)
        among = [names[i] for i in rng.permutation(len(names))[:OUTCOMES]]
        outcome = among[int(rng.integers(len(among)))]
        state, action = left[outcome].pop()
        if not left[outcome]:
            del left[outcome]
        item = transition(state, action, rng, among)
        if item is not None:
            yield item


def inverse(state: SceneState, action: Action, rng: np.random.Generator) -> Transition | None:
    """The item ⟨before, after⟩ → action among those possible before, different kinds first.

    None where it cannot be told: the outcome is too close to call, or another action leads to a
    scene that looks the same.
    """
    after, result = next_state(state, action)
    if result.ambiguous:
        return None
    others = [a for a, r in possible(state) if a != action and not r.ambiguous]
    if any(_same(next_state(state, a)[0], after) for a in others):
        return None
    kinds: dict[str, list[Action]] = {}
    for i in rng.permutation(len(others)):
        kinds.setdefault(others[i].name, []).append(others[i])
    firsts = [same_kind[0] for same_kind in kinds.values()]
    wrong = [firsts[i] for i in rng.permutation(len(firsts))]
    wrong += [a for same_kind in kinds.values() for a in same_kind[1:]]
    texts = [language.action_instruction(a) for a in (action, *wrong[: ACTIONS_BACK - 1])]
    candidates, answer = _shuffled(texts, rng)
    return Transition(state, after, action, result.outcome, "", candidates, answer)


def _shuffled(texts: Sequence[str], rng: np.random.Generator) -> tuple[tuple[str, ...], int]:
    """The texts in random order, and where the first of them went."""
    order = [int(i) for i in rng.permutation(len(texts))]
    return tuple(texts[i] for i in order), order.index(0)


def _same(a: SceneState, b: SceneState) -> bool:
    """Whether two scenes of the same objects look the same."""
    moved = [abs(a.gripper.x - b.gripper.x), abs(a.gripper.y - b.gripper.y)]
    for o, p in zip(a.objects, b.objects, strict=True):
        if o.place != "gone" or p.place != "gone":
            turned = 10 * abs(o.tilt - p.tilt)
            moved.append(abs(o.x - p.x) + abs(o.y - p.y) + abs(o.z - p.z) + turned)
    return max(moved) < 1.0 and abs(a.drawer - b.drawer) < 0.05


def _wrong(
    true: Meaning, state: SceneState, rng: np.random.Generator, among: Sequence[str]
) -> list[Meaning]:
    """Wrong outcomes that, with the truth, mention every object and outcome equally often."""
    names = tuple(state.objects[i].name for i in state.visible())
    first = [true]
    for outcome in _others(true, rng, among):
        wrong = _fitted(true, outcome, names, rng)
        if wrong is not None and len(first) < OUTCOMES:
            first.append(wrong)
    for row in _rows(true, names, rng):
        fitted = [_fitted(row, m.outcome, names, rng) for m in first]
        second = [m for m in fitted if m is not None]
        if len(second) == len(first) and not set(second) & set(first):
            return [*first[1:], *second]
    return first[1:]


def _others(true: Meaning, rng: np.random.Generator, among: Sequence[str]) -> list[str]:
    """Other outcomes in random order, of `among` or else all of the action's."""
    options = [o for o in among or catalogue.OUTCOMES_OF[true.action] if o != true.outcome]
    return [options[i] for i in rng.permutation(len(options))]


def _rows(true: Meaning, names: Sequence[ObjectName], rng: np.random.Generator) -> list[Meaning]:
    """The same with another object of the scene, in random order."""
    slot = "target" if true.target is not None else "object"
    if getattr(true, slot) is None:
        return []
    others = [n for n in names if n not in (true.object, true.target)]
    return [replace(true, **{slot: others[i]}) for i in rng.permutation(len(others))]


def _fitted(
    row: Meaning, outcome: str, names: Sequence[ObjectName], rng: np.random.Generator
) -> Meaning | None:
    """`row` with another outcome; what that names besides comes from the scene if it can."""
    bare = replace(row, other=None)
    taken = (row.object, row.target)
    here = [n for n in names if n not in taken]
    here = [here[i] for i in rng.permutation(len(here))]
    elsewhere = [n for n in pool_for(row) if n not in taken and n not in names]
    spare = [*here, *(elsewhere[i] for i in rng.permutation(len(elsewhere)))]
    for skipped in range(len(spare) - 2):
        m = catalogue.with_outcome(bare, row.action, outcome, spare[skipped:])
        if catalogue.plausible(m):
            return m
    return None
