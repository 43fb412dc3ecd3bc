"""Chooses what to do next so that rare outcomes come up: an outcome first, then an object."""

from __future__ import annotations

import numpy as np

from training.tabletop.actions import Action, next_state, possible, possible_actions
from training.tabletop.contact import Result
from training.tabletop.rarity import RARE, RARITY
from training.tabletop.state import SceneState

REPEATED = 0.35
"""How much less often the same action comes twice in a row."""
KEEP_OBJECTS = 2
"""Nothing is pushed off the table when so few are left."""
AMBIGUOUS_KEPT = 0.25
"""Actions with an outcome too close to call are mostly not tried."""


def choose(state: SceneState, rng: np.random.Generator, last: str = "") -> tuple[Action, Result]:
    """An action to try in `state`."""
    options = [
        (action, result)
        for action, result in possible(state)
        if _wanted(state, result) and (not result.ambiguous or rng.random() < AMBIGUOUS_KEPT)
    ]
    pairs = sorted({(action.name, result.outcome) for action, result in options})
    weights = np.array([RARITY.get(p, 1.0) * (REPEATED if p[0] == last else 1.0) for p in pairs])
    pair = pairs[int(rng.choice(len(pairs), p=weights / weights.sum()))]
    options = [o for o in options if (o[0].name, o[1].outcome) == pair]
    return options[int(rng.integers(len(options)))]


def _wanted(state: SceneState, result: Result) -> bool:
    if result.outcome != "falls_off":
        return True
    return sum(o.place != "gone" for o in state.objects) > KEEP_OBJECTS


def rare(state: SceneState) -> list[tuple[Action, Result]]:
    """What has a rare outcome here, none too close to call."""
    return [
        (action, result)
        for action, result in possible(state)
        if (action.name, result.outcome) in RARE and not result.ambiguous
    ]


def leading_to_rare(state: SceneState) -> list[Action]:
    """What makes for a scene in which something has a rare outcome."""
    steps = [(action, next_state(state, action)) for action in possible_actions(state)]
    return [action for action, (after, result) in steps if not result.ambiguous and rare(after)]
