"""Actions with outcomes that hardly a stream offers; the last line is one JSON object.

    python -m training.evaluate.rare --seed 5000000 --episodes 3000

training/evaluate/tabletop.py asks of every stream and so meets one such outcome or none. Here
streams are looked through without a picture, and those that offer one are asked, as there, of all
that the same action can lead to.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jsonargparse import auto_cli

from training.evaluate.blind import shuffled_rows
from training.evaluate.choices import Item, answered, by_kind, imagined_embeddings, item_of
from training.evaluate.observe import Observed, observe_at, still_moment_s
from training.evaluate.transitions import imagining
from training.tabletop.actions import Action, possible_actions
from training.tabletop.planner import rare
from training.tabletop.rarity import RARE_ACTIONS
from training.tabletop.state import SceneState
from training.tabletop.transitions import balanced
from training.tabletop.world import Episode, Segment
from vljepa_ros.model.engine import Engine


def offering(first_seed: int, episodes: int, split: str) -> list[Episode]:
    """Of these streams those in which a rare outcome can be had at a still moment."""
    worlds = (Episode.generate(first_seed + index, split) for index in range(episodes))
    return [world for world in worlds if any(rare(_state(idle)) for idle in _stills(world))]


def ask(
    engine: Engine, worlds: Sequence[Episode], seed: int
) -> tuple[tuple[Item, ...], list[Observed]]:
    """Items of the actions that have rare outcomes, and the still moment that each is asked of."""
    rng = np.random.default_rng([seed, 12])
    places = [
        (index, idle, _state(idle)) for index, world in enumerate(worlds) for idle in _stills(world)
    ]
    asked = balanced(((state, action) for _, _, state in places for action in _actions(state)), rng)
    place_of = {id(state): (index, idle) for index, idle, state in places}
    found = [place_of[id(item.before)] for item in asked]
    ends = ((index, still_moment_s(idle, rng)) for index, idle in found)
    items = tuple(item_of(item, item.outcome, item.query) for item in asked)
    return items, observe_at(engine, list(worlds), ends, rng)


def scores(
    engine: Engine, items: Sequence[Item], seen: Sequence[Observed], seed: int
) -> dict[str, dict[str, float]]:
    """Of each outcome: items, the share of right answers, and that with clips exchanged."""
    queries = [item.query for item in items]
    rows = shuffled_rows(np.random.default_rng([seed, 13]), [o.episode for o in seen])
    right, blind = (
        by_kind(answered(engine, imagined_embeddings(engine, clips, queries), items), items)
        for clips in ([o.tokens_TND for o in seen], [seen[row].tokens_TND for row in rows])
    )
    counts = Counter(item.kind for item in items)
    return {
        kind: {"items": counts[kind], "accuracy": right[kind], "accuracy_blind": blind[kind]}
        for kind in sorted(counts)
    }


def main(
    model: str = "models/tabletop",
    seed: int = 1,
    episodes: int = 3000,
    split: str = "test",
    threads: int = 0,
) -> None:
    """Look through the streams, ask, and print the scores.

    Raises:
        EngineError: the model cannot imagine.
    """
    torch.manual_seed(0)
    engine = imagining(model, threads)
    worlds = offering(seed, episodes, split)
    items, seen = ask(engine, worlds, seed)
    found = scores(engine, items, seen, seed)
    said = {"seed": seed, "sha256": engine.sha256, "streams": episodes, "offering": len(worlds)}
    print(json.dumps(said | {"outcomes": found}))


def _stills(world: Episode) -> Iterator[Segment]:
    return (segment for segment in world.segments if segment.action is None)


def _state(idle: Segment) -> SceneState:
    return idle.state(idle.onset_s)


def _actions(state: SceneState) -> Iterator[Action]:
    return (action for action in possible_actions(state) if action.name in RARE_ACTIONS)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
