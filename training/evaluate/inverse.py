"""⟨state before, state after⟩ → action, in words and in the paper's form with clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from training.evaluate.blind import shuffled_rows
from training.evaluate.blind_choices import blind
from training.evaluate.choices import Item, accuracy, answered, item_of, predicted
from training.evaluate.observe import Observed
from training.evaluate.rewording import rewording
from training.tabletop.transitions import inverse
from training.tabletop.world import Episode, Segment
from vljepa_ros.model.engine import Embeddings, Engine

CLIP_CANDIDATES = 4


@dataclass(frozen=True, eq=False)
class Step:
    """An action between two still moments, and what is asked of them."""

    before: Observed
    after: Observed
    acted: Segment
    item: Item


def steps(
    moments: Sequence[Observed], episodes: Sequence[Episode], query: str, seed: int
) -> list[Step]:
    """Every action of the streams that can be told from the scenes before and after."""
    rng = np.random.default_rng([seed, 12])
    found = []
    for before, after in pairwise(moments):
        if before.episode != after.episode:
            continue
        acted = episodes[before.episode].segment_at(before.truth.segment.end_s)
        item = _item(before.truth.segment, acted, query, rng)
        if item is not None:
            found.append(Step(before, after, acted, item))
    return found


def score_inverse(
    engine: Engine,
    moments: Sequence[Observed],
    windows: Sequence[Observed],
    episodes: Sequence[Episode],
    seed: int,
    split: str = "test",
) -> dict[str, float]:
    """Scores of inverse transitions, named as in docs/evaluation.md.

    Args:
        windows: clips of the same streams' actions.
    """
    query = engine.config.inverse_query
    asked = steps(moments, episodes, query, seed)
    items = list(map(rewording(split, seed), (step.item for step in asked)))
    right_R, shuffled_R = None, None
    clips, clips_blind = float("nan"), 1 / CLIP_CANDIDATES
    if engine.can_imagine and asked:
        joined_RE = _joined(engine, asked)
        right_R = answered(engine, joined_RE, items)
        groups = [step.before.episode for step in asked]
        rows = shuffled_rows(np.random.default_rng([seed, 13]), groups)
        shuffled_R = answered(engine, joined_RE[rows], items)
        clips_WE = _clip_embeddings(engine, windows)
        candidates = list(_clip_candidates(asked, windows, np.random.default_rng([seed, 15])))
        clips = _clip_accuracy(clips_WE, joined_RE, candidates)
        clips_blind = max(
            _clip_accuracy(clips_WE, joined_RE[rows], candidates), 1 / CLIP_CANDIDATES
        )
    return {
        "inverse_items": len(items),
        "inverse_accuracy": float("nan") if right_R is None else accuracy(right_R),
        "inverse_accuracy_blind": blind(items, partial(fit_items, query), shuffled_R, seed).best(),
        "inverse_clips_accuracy": clips,
        "inverse_clips_accuracy_blind": clips_blind,
    }


def fit_items(query: str, worlds: Sequence[Episode]) -> list[Item]:
    """Items of training streams for the blind models."""
    rng = np.random.default_rng(14)
    found = []
    for episode in worlds:
        for before, acted in pairwise(episode.segments):
            item = _item(before, acted, query, rng)
            if item is not None:
                found.append(item)
    return found


def _item(before: Segment, acted: Segment, query: str, rng: np.random.Generator) -> Item | None:
    if acted.action is None or acted.ambiguous:
        return None
    asked = inverse(before.state(before.onset_s), acted.action, rng)
    return None if asked is None else item_of(asked, asked.action.name, query)


def _joined(engine: Engine, asked: Sequence[Step]) -> Embeddings:
    """Embeddings (R, E) of both states joined."""
    clips = [
        engine.join_states(step.before.tokens_TND[None], step.after.tokens_TND[None])[0]
        for step in asked
    ]
    return predicted(engine, clips, [step.item.query for step in asked])


# --- the paper's form: which of four clips shows what lies between? -------------------------------


def _clip_embeddings(engine: Engine, windows: Sequence[Observed]) -> Embeddings:
    query = engine.config.caption_query
    return predicted(engine, [w.tokens_TND for w in windows], [query] * len(windows))


def _clip_accuracy(
    clips_WE: Embeddings, joined_RE: Embeddings, candidates: Sequence[tuple[int, list[int]]]
) -> float:
    """How often the true clip, which stands first, is the nearest."""
    right = [int((clips_WE[rows] @ joined_RE[row]).argmax()) == 0 for row, rows in candidates]
    return accuracy(np.array(right, dtype=np.bool_))


def _clip_candidates(
    asked: Sequence[Step], windows: Sequence[Observed], rng: np.random.Generator
) -> Iterator[tuple[int, list[int]]]:
    """Each step's row, and rows of windows: its own first, then others of the stream."""
    row_of = {id(window.truth.segment): row for row, window in enumerate(windows)}
    for row, step in enumerate(asked):
        own = row_of.get(id(step.acted))
        others = [
            other
            for other, window in enumerate(windows)
            if window.episode == step.before.episode
            and window.truth.segment.meaning != step.acted.meaning
        ]
        if own is not None and len(others) >= CLIP_CANDIDATES - 1:
            picks = rng.permutation(len(others))[: CLIP_CANDIDATES - 1]
            yield row, [own, *(others[i] for i in picks)]
