"""Tokens of cached frames with their dense labels: what the symbolic learner is taught by.

Shapes: B rows, T tubelets, N tokens, D token width, G cells of a side, P fields of the pose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.tabletop.cache import MAPS, CachedEpisode, FrameCache

Arrays = dict[str, npt.NDArray[np.generic]]


class LabelBatches(Dataset[dict[str, Tensor]]):
    """Random tubelets of the streams; the batch of a step is a pure function of (seed, step)."""

    def __init__(
        self, cache: FrameCache, episodes: Sequence[CachedEpisode], batch_size: int, seed: int
    ) -> None:
        self._cache, self._episodes = cache, episodes
        self._batch_size, self._seed = batch_size, seed
        self._read: dict[int, Arrays] = {}

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Tokens (B, N, D) of a tubelet, and the maps (B, G, G) and pose (B, P) of its newer
        frame."""
        rng = np.random.default_rng([self._seed, step])
        picks = [self._arrays(self._any(rng)) for _ in range(self._batch_size)]
        at = [int(rng.integers(len(arrays["tokens_BND"]))) for arrays in picks]
        names = ("tokens_BND", *MAPS, "pose_BP")
        rows = {n: np.stack([a[n][i] for a, i in zip(picks, at, strict=True)]) for n in names}
        return {name: torch.from_numpy(values) for name, values in rows.items()}

    def _any(self, rng: np.random.Generator) -> CachedEpisode:
        return self._episodes[int(rng.integers(len(self._episodes)))]

    def _arrays(self, cached: CachedEpisode) -> Arrays:
        """An episode's rows in memory: small random reads of a mapped file are slow."""
        if cached.seed not in self._read:
            shard, first = self._cache.shards[cached.shard], cached.start // 2
            newest = slice(cached.start + 1, cached.start + cached.count, 2)
            arrays = {name: np.array(shard.arrays[name][newest]) for name in MAPS}
            arrays["pose_BP"] = np.array(shard.arrays["pose"][newest])
            arrays["tokens_BND"] = np.array(shard.tokens[first : first + cached.count // 2])
            self._read[cached.seed] = arrays
        return self._read[cached.seed]
