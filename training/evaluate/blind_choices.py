"""What questions with candidates give away to somebody who does not look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from training.evaluate.blind import CandidateOnly
from training.evaluate.choices import Item, accuracy, chance
from training.evaluate.measures import Bools
from training.evaluate.text_only import TextOnly
from training.tabletop.splits import TRAIN_SEEDS
from training.tabletop.world import Episode

FIT_EPISODES = 100
CHECK_EPISODES = 20
FitItems: TypeAlias = Callable[[Sequence[Episode]], Sequence[Item]]
"""Items of streams that are not evaluated, without videos."""


@dataclass(frozen=True, eq=False)
class Blind:
    """Which items (R,) each of the three blind models gets right."""

    text_only_R: Bools
    candidate_only_R: Bools
    shuffled_R: Bools | None
    """The model itself on another episode's video; None where it cannot be asked."""

    def best(self, score: Callable[[Bools], float] = accuracy) -> float:
        """The best of them under a score; NaN of nothing."""
        found = [self.text_only_R, self.candidate_only_R]
        found += [self.shuffled_R] if self.shuffled_R is not None else []
        return max(score(right_R) for right_R in found)

    def of(self, some_R: Bools) -> Blind:
        """The same of some items only."""
        shuffled_R = None if self.shuffled_R is None else self.shuffled_R[some_R]
        return Blind(self.text_only_R[some_R], self.candidate_only_R[some_R], shuffled_R)


def blind(items: Sequence[Item], fit_items: FitItems, shuffled_R: Bools | None, seed: int) -> Blind:
    """Fit text-only and candidate-only models and ask them.

    Args:
        fit_items: makes items of the same kinds from training streams.
        shuffled_R: what the model gets right with videos of other episodes.
    """
    worlds = fit_worlds()
    fitted_on, checked_on = (
        fit_items(worlds[CHECK_EPISODES:]),
        fit_items(worlds[:CHECK_EPISODES]),
    )
    counts = CandidateOnly()
    for item in fitted_on:
        counts.count(item.candidates, item.answer)
    found = [int(counts.scores(item.candidates).argmax()) == item.answer for item in items]
    return Blind(
        TextOnly(fitted_on, checked_on, seed).right(items),
        np.array(found, dtype=np.bool_),
        shuffled_R,
    )


def candidate_only_excess(items: Sequence[Item], found: Blind) -> float:
    """How far above guessing the candidates alone lead."""
    return accuracy(found.candidate_only_R) - chance(items)


@lru_cache(maxsize=1)
def fit_worlds() -> tuple[Episode, ...]:
    """Training streams to fit blind models on; nobody has to see them."""
    seeds = TRAIN_SEEDS[-(FIT_EPISODES + CHECK_EPISODES) :]
    return tuple(Episode.generate(seed, "train") for seed in seeds)
