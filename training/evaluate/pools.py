"""Pools of 100 captions: the truth, one-attribute edits of it, and truths of other episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.tabletop import language
from training.tabletop.language import Meaning

POOL_SIZE = 100
EDITS_IN_HARD_POOL = 30


@dataclass(frozen=True)
class Pool:
    """Texts of distinct meaning; the truth stands first."""

    meanings: tuple[Meaning, ...]
    texts: tuple[str, ...]


def hard_pool(
    truth: Meaning, others: Sequence[Meaning], rng: np.random.Generator, split: str
) -> Pool:
    """The truth, at least 30 one-attribute edits, the rest from other episodes."""
    edits = language.edits(truth, rng, EDITS_IN_HARD_POOL)
    return _pool(truth, [*edits, *_shuffled(others, rng)], rng, split)


def random_pool(
    truth: Meaning, others: Sequence[Meaning], rng: np.random.Generator, split: str
) -> Pool:
    """The truth and random captions of the same kind."""
    return _pool(truth, _shuffled(others, rng), rng, split)


def _pool(truth: Meaning, fill: Sequence[Meaning], rng: np.random.Generator, split: str) -> Pool:
    meanings = [truth]
    taken = {truth}
    for meaning in fill:
        if meaning not in taken and len(meanings) < POOL_SIZE:
            meanings.append(meaning)
            taken.add(meaning)
    while len(meanings) < POOL_SIZE:
        meaning = language.sample_meaning(truth.kind, rng, "test")
        if meaning not in taken:
            meanings.append(meaning)
            taken.add(meaning)
    texts = tuple(language.caption(meaning, rng, split) for meaning in meanings)
    return Pool(tuple(meanings), texts)


def _shuffled(meanings: Sequence[Meaning], rng: np.random.Generator) -> list[Meaning]:
    return [meanings[i] for i in rng.permutation(len(meanings))]
