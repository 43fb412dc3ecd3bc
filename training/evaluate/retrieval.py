"""Caption retrieval: the rank of the true text among 100 (docs/evaluation.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.evaluate.blind import CandidateOnly, shuffled_rows, text_only_embedding
from training.evaluate.observe import Observed, predict
from training.evaluate.pools import Pool, hard_pool, random_pool
from training.tabletop import language
from training.tabletop.language import Meaning
from training.tabletop.names import COLOURS, SHAPES
from vljepa_ros.model.engine import Engine

MakePool = Callable[[Meaning, Sequence[Meaning], np.random.Generator, str], Pool]
MeaningOf = Callable[[Observed], Meaning | None]


@dataclass(frozen=True)
class RetrievalScores:
    """Shares of items whose truth ranks first (ties are wrong), and first five."""

    r1: float
    r5: float
    blind: float
    shape_blind_oracle: float
    colour_only_oracle: float


def ranks_first(scores_C: npt.NDArray[np.floating]) -> bool:
    """Whether candidate 0 beats all others strictly."""
    return bool(scores_C[0] > scores_C[1:].max())


def in_first_five(scores_C: npt.NDArray[np.floating]) -> bool:
    return int((scores_C[1:] >= scores_C[0]).sum()) < 5


def score_retrieval(
    engine: Engine,
    seen: list[Observed],
    meaning_of: MeaningOf,
    query: str,
    make_pool: MakePool,
    seed: int,
    split: str,
) -> RetrievalScores:
    """Rank the true caption of each window among 100, and what blind models and oracles reach."""
    rng = np.random.default_rng([seed, 3])
    items = [o for o in seen if meaning_of(o) is not None]
    truths = [meaning_of(o) for o in items]
    predicted_RE = predict(engine, items, query)
    pools = [
        make_pool(truth, one_per_episode(items, truths, row, rng), rng, split)  # type: ignore[arg-type]
        for row, truth in enumerate(truths)
    ]
    pool_RCE = np.stack([engine.encode_texts(pool.texts) for pool in pools])
    scores_RC = np.einsum("re,rce->rc", predicted_RE, pool_RCE)
    return RetrievalScores(
        r1=float(np.mean([ranks_first(s) for s in scores_RC])),
        r5=float(np.mean([in_first_five(s) for s in scores_RC])),
        blind=_blind(predicted_RE, pool_RCE, pools, [o.episode for o in items], rng),
        shape_blind_oracle=_oracle(pools, drop=SHAPES),
        colour_only_oracle=_oracle(pools, keep=COLOURS),
    )


def one_per_episode(
    items: Sequence[Observed], truths: Sequence[Meaning | None], row: int, rng: np.random.Generator
) -> list[Meaning]:
    """A caption of every episode but that of `row`."""
    by_episode: dict[int, list[Meaning]] = {}
    for other, meaning in zip(items, truths, strict=True):
        if other.episode != items[row].episode and meaning is not None:
            by_episode.setdefault(other.episode, []).append(meaning)
    return [meanings[int(rng.integers(len(meanings)))] for meanings in by_episode.values()]


def _blind(
    predicted_RE: npt.NDArray[np.float32],
    pool_RCE: npt.NDArray[np.float32],
    pools: Sequence[Pool],
    episodes: Sequence[int],
    rng: np.random.Generator,
) -> float:
    """Best of: videos shuffled, text only, candidates only (each fitted on the other half)."""
    shuffled_RE = predicted_RE[shuffled_rows(rng, episodes)]
    shuffled = np.mean([ranks_first(p @ e) for p, e in zip(pool_RCE, shuffled_RE, strict=True)])
    half_R = np.asarray(episodes) % 2
    text_hits: list[bool] = []
    candidate_hits: list[bool] = []
    for half in (0, 1):
        fit_rows, test_rows = (
            np.flatnonzero(half_R != half).tolist(),
            np.flatnonzero(half_R == half).tolist(),
        )
        if not fit_rows:
            continue
        constant_E = text_only_embedding(pool_RCE[fit_rows, 0])
        counts = CandidateOnly()
        for row in fit_rows:
            counts.count(pools[row].texts, right=0)
        for row in test_rows:
            text_hits.append(ranks_first(pool_RCE[row] @ constant_E))
            candidate_hits.append(ranks_first(counts.scores(pools[row].texts)))
    return float(max(shuffled, np.mean(text_hits or [False]), np.mean(candidate_hits or [False])))


def _oracle(pools: Sequence[Pool], drop: Sequence[str] = (), keep: Sequence[str] = ()) -> float:
    """Share of pools in which the truth stands alone for somebody who sees only some words."""

    def seen_words(meaning: Meaning) -> tuple[str, ...]:
        words = re.findall(r"[a-z]+", language.canonical(meaning))
        return tuple(w for w in words if (w in keep if keep else w not in drop))

    alone = []
    for pool in pools:
        views = [seen_words(meaning) for meaning in pool.meanings]
        alone.append(views.count(views[0]) == 1)
    return float(np.mean(alone))


def score_both_pools(
    engine: Engine,
    seen: list[Observed],
    meaning_of: MeaningOf,
    query: str,
    name: str,
    seed: int,
    split: str,
) -> dict[str, float]:
    """The scores of one kind of caption, named as in docs/evaluation.md."""
    scores: dict[str, float] = {}
    for suffix, make_pool in (("", hard_pool), ("_random", random_pool)):
        got = score_retrieval(engine, seen, meaning_of, query, make_pool, seed, split)
        scores[f"{name}_r1_of_100{suffix}"] = got.r1
        scores[f"{name}_r1_of_100{suffix}_blind"] = got.blind
        scores[f"{name}_r5_of_100{suffix}"] = got.r5
        scores[f"{name}_shape_blind_oracle{suffix}"] = got.shape_blind_oracle
        scores[f"{name}_colour_only_oracle{suffix}"] = got.colour_only_oracle
    return scores
