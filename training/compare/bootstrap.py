"""Intervals of scores and of differences, over test episodes and training seeds.

Items of one episode hang together, and so do all answers of one trained model: both are drawn
again, each as a whole. Two learners are compared on the same draws.

Shapes: S seeds, R items, E episodes, K kinds, D draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.evaluate.measures import Interval

DRAWS = 4000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a learner's answers to the same items are worth, one row a training seed."""

    worth_SR: Floats
    episode_R: npt.NDArray[np.int64]
    kind_R: npt.NDArray[np.str_] | None = None
    """With kinds, a score is the mean over kinds; without, over items."""

    def _sums(self) -> tuple[Floats, Floats]:
        """Summed worth (S, E, K) and items (E, K)."""
        episodes, at_R = np.unique(self.episode_R, return_inverse=True)
        kinds_R = np.zeros(len(at_R), np.int64)
        if self.kind_R is not None:
            kinds_R = np.unique(self.kind_R, return_inverse=True)[1]
        shape = (len(episodes), int(kinds_R.max()) + 1)
        items_EK = np.zeros(shape)
        np.add.at(items_EK, (at_R, kinds_R), 1.0)
        worth_SEK = np.zeros((len(self.worth_SR), *shape))
        for row, worth_R in enumerate(self.worth_SR):
            np.add.at(worth_SEK[row], (at_R, kinds_R), worth_R)
        return worth_SEK, items_EK

    def scores(self, weight_DE: Floats) -> Floats:
        """Scores (S, D) under so many copies of each episode; kinds that were not drawn are left
        out."""
        worth_SEK, items_EK = self._sums()
        items_DK = weight_DE @ items_EK
        with np.errstate(invalid="ignore", divide="ignore"):
            mean_SDK = np.einsum("de,sek->sdk", weight_DE, worth_SEK) / items_DK
        return np.asarray(np.nanmean(mean_SDK, axis=2))

    @property
    def episodes(self) -> int:
        return len(np.unique(self.episode_R))


def estimate(answers: Answers, level: float = 0.95, draws: int = DRAWS) -> Interval:
    """A learner's score over its seeds."""
    return _estimate([(answers, 1.0)], level, draws)


def difference(ours: Answers, theirs: Answers, level: float = 0.95, draws: int = DRAWS) -> Interval:
    """Our score less theirs.

    Raises:
        ValueError: not the same items and seeds.
    """
    same = np.array_equal(ours.episode_R, theirs.episode_R)
    if not same or ours.worth_SR.shape != theirs.worth_SR.shape:
        raise ValueError("only answers to the same items by as many seeds can be compared")
    return _estimate([(ours, 1.0), (theirs, -1.0)], level, draws)


def _estimate(signed: Sequence[tuple[Answers, float]], level: float, draws: int) -> Interval:
    rng = np.random.default_rng(0)
    seeds, episodes = len(signed[0][0].worth_SR), signed[0][0].episodes
    weight_DE = rng.multinomial(episodes, np.full(episodes, 1 / episodes), draws).astype(float)
    seed_DS = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    once_1E = np.ones((1, episodes))
    value = sum(sign * float(a.scores(once_1E).mean()) for a, sign in signed)
    drawn_D = sum(sign * np.einsum("sd,ds->d", a.scores(weight_DE), seed_DS) for a, sign in signed)
    low, high = np.quantile(drawn_D, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))
