"""Which sample is row g of all rows ever drawn: a pure function of the seed and g.

Blocks of `BLOCK` rows hold each stratum as often as its weight says, each block in an order of its
own. Within a stratum samples come epoch by epoch, each epoch in an order of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.data.catalogue import Stratum
from training.data.errors import DataError

BLOCK = 4096
"""Rows after which every stratum has had its share; a stratum has at least one of them."""
# What random numbers are for: equal numbers must not serve two purposes.
BLOCKS, EPOCHS = 1, 2

Integers = npt.NDArray[np.int64]


class Draw(NamedTuple):
    """A row's sample: the `position`-th of an epoch of a stratum."""

    stratum: int
    epoch: int
    position: int


class Mixture:
    """The endless list of samples that a seed makes of strata."""

    def __init__(self, strata: Sequence[Stratum], seed: int) -> None:
        """
        Raises:
            DataError: a negative seed, or more strata than a block has rows.
        """
        if seed < 0:
            raise DataError(f"seed is {seed}; use 0 or more")
        self.strata = strata
        self._seed = seed
        self._quotas = quotas([s.weight for s in strata])
        # Bound to the object: a cache on the method would keep every mixture alive.
        self._block = lru_cache(maxsize=2)(self._make_block)
        self._order = lru_cache(maxsize=2 * len(strata))(self._make_order)

    def __reduce__(self) -> tuple[type[Mixture], tuple[Sequence[Stratum], int]]:
        """Loaders that spawn their workers send it to them; the caches stay here."""
        return Mixture, (self.strata, self._seed)

    def draw(self, row: int) -> Draw:
        block, inside = divmod(row, BLOCK)
        strata, occurrences = self._block(block)
        stratum = int(strata[inside])
        nth = block * self._quotas[stratum] + int(occurrences[inside])
        return Draw(stratum, *divmod(nth, len(self.strata[stratum])))

    def index(self, draw: Draw, ahead: int = 0) -> int:
        """Number of the sample in its stratum, or of the one `ahead` of it in the same epoch."""
        order = self._order(draw.stratum, draw.epoch)
        return int(order[(draw.position + ahead) % len(order)])

    def _make_block(self, block: int) -> tuple[Integers, Integers]:
        """Of each row of a block: its stratum, and how many rows of that came before it."""
        rng = np.random.default_rng([self._seed, BLOCKS, block])
        strata = rng.permutation(np.repeat(np.arange(len(self._quotas)), self._quotas))
        occurrences = np.empty(BLOCK, np.int64)
        for stratum, quota in enumerate(self._quotas):
            occurrences[strata == stratum] = np.arange(quota)
        return strata, occurrences

    def _make_order(self, stratum: int, epoch: int) -> Integers:
        rng = np.random.default_rng([self._seed, EPOCHS, stratum, epoch])
        return rng.permutation(len(self.strata[stratum]))


def quotas(weights: Sequence[float]) -> list[int]:
    """Rows of a block for each weight: at least 1, `BLOCK` together, by largest remainders.

    Raises:
        DataError: more weights than rows.
    """
    if len(weights) > BLOCK:
        raise DataError(f"{len(weights)} strata (folder and task) are more than {BLOCK}; join some")
    # One row each, the rest by weight of what a stratum should have beyond it.
    wanted = np.array(weights) / np.sum(weights) * BLOCK
    above = np.maximum(wanted - 1, 0)
    spare = BLOCK - len(weights)
    exact = above / above.sum() * spare if spare and above.sum() else np.zeros(len(weights))
    floors = np.floor(exact).astype(int)
    left = spare - int(floors.sum())
    floors[np.argsort(floors - exact, kind="stable")[:left]] += 1
    return [int(1 + floor) for floor in floors]
