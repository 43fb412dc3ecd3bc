"""Meanings that differ from a given one in one attribute: the hardest wrong texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from training.tabletop.catalogue import OUTCOMES_OF, plausible, with_outcome
from training.tabletop.meaning import Item, Meaning
from training.tabletop.names import (
    ACTIONS,
    ALL_OBJECTS,
    COLOURS,
    HELDOUT_OBJECTS,
    SHAPES,
    TRAIN_OBJECTS,
    ObjectName,
)

TRIES = 15
"""Attempts for each edit wanted; few meanings have so few edits that they run out."""

Mutator = Callable[[Meaning, np.random.Generator, Sequence[ObjectName]], Meaning | None]


def names_in(m: Meaning) -> tuple[ObjectName, ...]:
    """Every object that a meaning names."""
    found = [m.object, m.target, m.other, m.held, m.content]
    for item in m.items:
        found += [item.name, item.top]
    return tuple(n for n in found if n is not None)


def pool_for(m: Meaning) -> tuple[ObjectName, ...]:
    """Objects an edit may name: held-out pairs only where the meaning holds one itself."""
    return ALL_OBJECTS if any(n in HELDOUT_OBJECTS for n in names_in(m)) else TRAIN_OBJECTS


def action_edits(m: Meaning, rng: np.random.Generator, n: int) -> list[Meaning]:
    """Up to n action captions, each one attribute away from `m`."""
    pool = pool_for(m)
    renaming = max(1, len(names_in(m))) * 2.0
    options: dict[Mutator, float] = {
        _renamed_action: renaming,
        _other_action: 2.0,
        _other_outcome: 2.0,
    }
    return _gather(m, rng, n, pool, options)


def scene_edits(m: Meaning, rng: np.random.Generator, n: int) -> list[Meaning]:
    """Up to n scene captions, each one attribute away from `m`; further ones are two away."""
    pool = pool_for(m)
    options: dict[Mutator, float] = {
        _renamed_scene: 4.0,
        _swapped: 2.0,
        _drawer_moved: 1.0,
        _toppled: 1.0,
        _restacked: 1.0,
        _regrasped: 1.0,
    }
    found = _gather(m, rng, n, pool, options)
    tries = 0
    while found and len(found) < n and tries < 20 * n:
        tries += 1
        step = _gather(found[int(rng.integers(len(found)))], rng, 1, pool, options)
        found += [e for e in step if e != m and e not in found]
    return found[:n]


def neighbours_swapped(m: Meaning, rng: np.random.Generator, n: int) -> list[Meaning]:
    """Up to n scene captions, in each of which another two neighbours have changed places."""
    firsts = rng.permutation(max(0, len(m.items) - 1))[:n]
    return [_with_swapped(m, int(i), int(i) + 1) for i in firsts]


def _gather(
    m: Meaning,
    rng: np.random.Generator,
    n: int,
    pool: Sequence[ObjectName],
    options: Mapping[Mutator, float],
) -> list[Meaning]:
    """Up to n different results of the mutators, each taken as often as its weight says."""
    mutators = list(options)
    weights = np.array(list(options.values()))
    found: dict[Meaning, None] = {}
    for _ in range(TRIES * n):
        if len(found) == n:
            break
        edit = mutators[int(rng.choice(len(mutators), p=weights / weights.sum()))](m, rng, pool)
        if edit is not None and edit != m:
            found[edit] = None
    return list(found)


def _pick(rng: np.random.Generator, options: Sequence[ObjectName]) -> ObjectName | None:
    return options[int(rng.integers(len(options)))] if options else None


def _relative(
    name: ObjectName,
    taken: Sequence[ObjectName],
    rng: np.random.Generator,
    pool: Sequence[ObjectName],
) -> ObjectName | None:
    """Another object of the same shape or of the same colour."""
    if rng.random() < 0.5:
        options = [ObjectName(c, name.shape) for c in COLOURS]
    else:
        options = [ObjectName(name.colour, s) for s in SHAPES]
    return _pick(rng, [o for o in options if o in pool and o not in taken])


# --- actions -------------------------------------------------------------------------------------


def _renamed_action(
    m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]
) -> Meaning | None:
    slots = [s for s in ("object", "target", "other") if getattr(m, s) is not None]
    if not slots:
        return None
    slot = slots[int(rng.integers(len(slots)))]
    new = _relative(getattr(m, slot), names_in(m), rng, pool)
    if new is None:
        return None
    edit = replace(m, **{slot: new})  # type: ignore[arg-type]
    return edit if plausible(edit) else None


def _spare(m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]) -> list[ObjectName]:
    left = [o for o in pool if o not in names_in(m)]
    return [left[i] for i in rng.permutation(len(left))[:3]]


def _other_action(
    m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]
) -> Meaning | None:
    options = [a for a in ACTIONS if a != m.action and m.outcome in OUTCOMES_OF[a]]
    if not options:
        return None
    action = options[int(rng.integers(len(options)))]
    edit = with_outcome(m, action, m.outcome, _spare(m, rng, pool))
    return edit if plausible(edit) else None


def _other_outcome(
    m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]
) -> Meaning | None:
    options = [o for o in OUTCOMES_OF[m.action] if o != m.outcome]
    outcome = options[int(rng.integers(len(options)))]
    bare = replace(m, other=None) if rng.random() < 0.7 else m
    edit = with_outcome(bare, m.action, outcome, _spare(m, rng, pool))
    return edit if plausible(edit) else None


# --- scenes --------------------------------------------------------------------------------------


def _places(m: Meaning) -> Iterator[tuple[ObjectName, Callable[[ObjectName], Meaning]]]:
    """Every name of a scene meaning, with a way to change it."""
    for i, item in enumerate(m.items):
        yield item.name, lambda n, i=i, item=item: _with_item(m, i, replace(item, name=n))  # type: ignore[misc]
        if item.top is not None:
            yield item.top, lambda n, i=i, item=item: _with_item(m, i, replace(item, top=n))  # type: ignore[misc]
    if m.held is not None:
        yield m.held, lambda n: replace(m, held=n)
    if m.content is not None:
        yield m.content, lambda n: replace(m, content=n)


def _with_item(m: Meaning, index: int, item: Item) -> Meaning:
    return replace(m, items=(*m.items[:index], item, *m.items[index + 1 :]))


def sensible(m: Meaning) -> bool:
    """Whether a scene meaning can be true: only flat things carry, only long things lie."""
    for item in m.items:
        if item.lying and (item.name.shape not in ("cylinder", "cone") or item.top is not None):
            return False
        if item.top is not None and (
            item.name.shape not in ("cube", "cylinder") or item.top.shape == "ball"
        ):
            return False
    return len(set(names_in(m))) == len(names_in(m))


def _renamed_scene(
    m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]
) -> Meaning | None:
    places = list(_places(m))
    if not places:
        return None
    name, change = places[int(rng.integers(len(places)))]
    new = _relative(name, names_in(m), rng, pool)
    edit = change(new) if new is not None else None
    return edit if edit is not None and sensible(edit) else None


def _swapped(m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]) -> Meaning | None:
    if len(m.items) < 2:
        return None
    i, j = sorted(int(k) for k in rng.permutation(len(m.items))[:2])
    return _with_swapped(m, i, j)


def _with_swapped(m: Meaning, i: int, j: int) -> Meaning:
    items = list(m.items)
    items[i], items[j] = items[j], items[i]
    return replace(m, items=tuple(items))


def _drawer_moved(
    m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]
) -> Meaning | None:
    if m.content is not None:
        return (
            replace(m, drawer="closed", content=None)
            if rng.random() < 0.5
            else replace(m, content=None)
        )
    if m.drawer == "open":
        if rng.random() < 0.5:
            return replace(m, drawer="closed")
        return replace(m, content=_pick(rng, [o for o in pool if o not in names_in(m)]))
    return replace(m, drawer="open")


def _toppled(m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]) -> Meaning | None:
    if not m.items:
        return None
    i = int(rng.integers(len(m.items)))
    edit = _with_item(m, i, replace(m.items[i], lying=not m.items[i].lying))
    return edit if sensible(edit) else None


def _restacked(m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]) -> Meaning | None:
    """What stands on top goes elsewhere, or one object onto its neighbour."""
    i = int(rng.integers(len(m.items))) if m.items else -1
    if i < 0:
        return None
    item = m.items[i]
    if item.top is not None:
        bare = replace(item, top=None, top_lying=False)
        pair = [bare, Item(item.top)]
        items = (*m.items[:i], *(pair if rng.random() < 0.5 else pair[::-1]), *m.items[i + 1 :])
        return replace(m, items=items)
    j = i + 1 if i + 1 < len(m.items) else i - 1
    if j < 0 or m.items[j].top is not None or item.lying:
        return None
    edit = _with_item(m, j, replace(m.items[j], top=item.name))
    edit = replace(edit, items=(*edit.items[:i], *edit.items[i + 1 :]))
    return edit if sensible(edit) else None


def _regrasped(m: Meaning, rng: np.random.Generator, pool: Sequence[ObjectName]) -> Meaning | None:
    """The held object is put on the table, or another one is held."""
    if m.held is None:
        single = [i for i, item in enumerate(m.items) if item.top is None and not item.lying]
        if not single or len(m.items) < 2:
            return None
        i = single[int(rng.integers(len(single)))]
        return replace(m, held=m.items[i].name, items=(*m.items[:i], *m.items[i + 1 :]))
    i = int(rng.integers(len(m.items) + 1))
    return replace(m, held=None, items=(*m.items[:i], Item(m.held), *m.items[i:]))
