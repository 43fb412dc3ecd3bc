"""Whether `change` tells actions after which the scene is another one from those without effect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.evaluate.measures import auroc
from training.evaluate.observe import Observed
from training.tabletop.effects import by_effect
from training.tabletop.language import action_instruction
from vljepa_ros.model.engine import Engine
from vljepa_ros.world.world_model import WorldModel

MOMENTS = 200
ACTIONS = 6
"""Of each moment, half of them changing something where there are so many."""


def score_change(engine: Engine, moments: Sequence[Observed], seed: int) -> dict[str, float]:
    """`change_auroc`, as docs/evaluation.md has it; NaN of a model that cannot imagine."""
    if not engine.can_imagine:
        return {"change_auroc": float("nan"), "change_items": 0}
    rng, world = np.random.default_rng([seed, 23]), WorldModel(engine)
    found: dict[bool, list[float]] = {True: [], False: []}
    for row in rng.permutation(len(moments))[:MOMENTS]:
        drawn = _drawn(moments[row], rng)
        if not drawn:
            continue
        instructions = [text for text, _ in drawn]
        transitions = world.transitions(moments[row].tokens_TND[None], instructions)
        for (_, changes), transition in zip(drawn, transitions, strict=True):
            found[changes].append(transition.change)
    scores_of = {changes: np.array(values) for changes, values in found.items()}
    return {
        "change_auroc": auroc(scores_of[False], scores_of[True]),
        "change_items": sum(map(len, found.values())),
    }


def _drawn(moment: Observed, rng: np.random.Generator) -> list[tuple[str, bool]]:
    """Instructions, and whether the scene's caption is another one afterwards."""
    groups = by_effect(moment.truth.state)
    texts_of = {
        changes: [action_instruction(action, rng) for action, _ in actions]
        for changes, actions in groups.items()
    }
    return [
        (texts[at], changes)
        for changes, texts in texts_of.items()
        for at in rng.permutation(len(texts))[: ACTIONS // 2]
    ]
