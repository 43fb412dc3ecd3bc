"""Questions to what can be seen: the nearest candidate answer, by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from training.evaluate.blind import shuffled_rows
from training.evaluate.blind_choices import blind
from training.evaluate.choices import Item, answered, by_kind, macro, predicted
from training.evaluate.observe import Observed
from training.evaluate.rewording import rewording
from training.tabletop.questions import questions
from training.tabletop.windows import WindowTruth, truth
from training.tabletop.world import Episode
from vljepa_ros.model.engine import Engine


def score_questions(
    engine: Engine,
    moments: Sequence[Observed],
    windows: Sequence[Observed],
    seed: int,
    split: str = "test",
) -> dict[str, float]:
    """Scores of questions, named as in docs/evaluation.md.

    Args:
        moments: still moments, of whose scenes everything is asked.
        windows: clips of actions, of which only their action is asked.
    """
    rng, reword = np.random.default_rng([seed, 16]), rewording(split, seed)
    asked = [(seen, item) for seen in (*moments, *windows) for item in items_of(seen.truth, rng)]
    clips = [seen.tokens_TND for seen, _ in asked]
    items = [reword(item) for _, item in asked]
    queries = [item.query for item in items]
    right_R = answered(engine, predicted(engine, clips, queries), items)
    rows = shuffled_rows(np.random.default_rng([seed, 17]), [seen.episode for seen, _ in asked])
    shuffled_RE = predicted(engine, [clips[row] for row in rows], queries)
    found = blind(items, fit_items, answered(engine, shuffled_RE, items), seed)
    majority = majorities(items)
    return {
        "vqa_items": len(items),
        "vqa_macro": macro(right_R, items),
        "vqa_macro_blind": found.best(lambda right_R: macro(right_R, items)),
        "vqa_macro_majority": float(np.mean(list(majority.values()))),
        **{f"vqa_{kind}": score for kind, score in by_kind(right_R, items).items()},
        **{f"vqa_{kind}_majority": score for kind, score in majority.items()},
    }


def majorities(items: Iterable[Item]) -> dict[str, float]:
    """Of each kind, how often its most frequent answer is right."""
    answers: dict[str, Counter[str]] = {}
    for item in items:
        answers.setdefault(item.kind, Counter())[item.candidates[item.answer]] += 1
    return {kind: max(counts.values()) / counts.total() for kind, counts in sorted(answers.items())}


def fit_items(worlds: Sequence[Episode]) -> list[Item]:
    """Questions to training streams for the blind models."""
    rng = np.random.default_rng(18)
    return [item for episode in worlds for t in _truths(episode) for item in items_of(t, rng)]


def _truths(episode: Episode) -> list[WindowTruth]:
    """The truth at the end of every segment."""
    return [truth(episode, segment.end_s - 1e-3) for segment in episode.segments]


def items_of(about: WindowTruth, rng: np.random.Generator) -> list[Item]:
    """Whether a short idle stretch is idle yet is not asked."""
    return [
        Item(q.type, q.text, q.candidates, q.candidates.index(q.answer))
        for q in questions(about, rng)
        if about.decided or q.type != "action"
    ]
