"""Blind scores: what can be had without looking.

A score says little until it is held against the best of three: the same model with its videos
shuffled, a text-only model, and a model of the candidates alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

SMOOTHING = 1.0


def shuffled_rows(rng: np.random.Generator, groups: Sequence[int]) -> npt.NDArray[np.int64]:
    """For each row, a row of another group (another episode).

    Raises:
        ValueError: all rows are of one episode.
    """
    groups_R = np.asarray(groups)
    if len(np.unique(groups_R)) < 2:
        raise ValueError("all windows come from one episode; evaluate more episodes")
    rows = np.arange(len(groups_R))
    return np.array([rng.choice(rows[groups_R != group]) for group in groups_R])


def text_only_embedding(targets_RE: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The best answer to one fixed query without a video.

    Without a video a model of one fixed query can only output one constant vector; over unit
    targets the mean direction of the training targets has the highest expected cosine.
    """
    mean_E = targets_RE.mean(axis=0)
    unit_E: npt.NDArray[np.float32] = mean_E / max(float(np.linalg.norm(mean_E)), 1e-9)
    return unit_E


class CandidateOnly:
    """Words of right against wrong candidates, counted; sees neither query nor video."""

    def __init__(self) -> None:
        self._right: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()

    def count(self, candidates: Sequence[str], right: int) -> None:
        for index, text in enumerate(candidates):
            (self._right if index == right else self._wrong).update(features(text))

    def scores(self, candidates: Sequence[str]) -> npt.NDArray[np.float64]:
        """Mean log odds of the words of each candidate."""
        return np.array([self._score(text) for text in candidates])

    def _score(self, text: str) -> float:
        right_total = sum(self._right.values()) + SMOOTHING
        wrong_total = sum(self._wrong.values()) + SMOOTHING
        odds = [
            np.log((self._right[f] + SMOOTHING) / right_total)
            - np.log((self._wrong[f] + SMOOTHING) / wrong_total)
            for f in features(text)
        ]
        return float(np.mean(odds)) if odds else 0.0


def features(text: str) -> list[str]:
    """Words and pairs of words of a text, and how many there are."""
    words = text.lower().replace(",", " ").replace(".", " ").split()
    return [*words, *(f"{a} {b}" for a, b in pairwise(words)), f"#{len(words)}"]
