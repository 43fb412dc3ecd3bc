"""Embeddings in RAM, in the order in which they came, and an exact search over them.

Shapes: N entries, M of them looked at, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vljepa_ros.types import EmbeddingE

FIRST_ROOM = 1024
BLOCK_ROWS = 4096
"""Embeddings that are compared at once: as float32 they stay in a processor's cache (131,072
of 256 took 9.3 ms this way, 20 ms in blocks of 16,384, 11 ms as a plain float32 product)."""
BLOCKS_AT_ONCE = 32
"""Blocks between two chances to interrupt: some milliseconds."""
RowsM = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Entry:
    """What is known of an entry besides its embedding."""

    id: int
    source: int
    stamp_ns: int
    state_id: int


class Entries:
    """Rows that grow at the end. float16 halves what they take; cosines move by less than .001."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._length = 0
        self._embedding_NE = torch.empty((FIRST_ROOM, width), dtype=torch.float16)
        self._columns_N4 = np.empty((FIRST_ROOM, 4), np.int64)
        """id, source, stamp_ns, state_id"""

    def __len__(self) -> int:
        return self._length

    def add(
        self, id_: int, source: int, stamp_ns: int, state_id: int, half_E: npt.NDArray[np.float16]
    ) -> None:
        """Append one; rows keep their numbers until `drop`."""
        if self._length == len(self._columns_N4):
            self._resize(2 * self._length)
        self._columns_N4[self._length] = id_, source, stamp_ns, state_id
        self._embedding_NE[self._length] = torch.from_numpy(np.array(half_E))
        self._length += 1

    def drop(self, ids: npt.NDArray[np.int64]) -> None:
        """Forget the entries with these ids."""
        kept = ~np.isin(self._columns_N4[: self._length, 0], ids)
        self._length = int(kept.sum())
        rows = np.flatnonzero(kept)
        self._columns_N4[: self._length] = self._columns_N4[rows]
        self._embedding_NE[: self._length] = self._embedding_NE[torch.from_numpy(rows)]
        if len(self._columns_N4) > max(FIRST_ROOM, 4 * self._length):
            self._resize(max(FIRST_ROOM, 2 * self._length))

    def entry(self, row: int) -> Entry:
        return Entry(*(int(value) for value in self._columns_N4[row]))

    def extent(self) -> tuple[list[int], int, int]:
        """Sources, earliest and latest stamp [ns]; there must be entries."""
        columns_N4 = self._columns_N4[: self._length]
        stamps_N = columns_N4[:, 2]
        return np.unique(columns_N4[:, 1]).tolist(), int(stamps_N.min()), int(stamps_N.max())

    def rows(self, sources: npt.NDArray[np.int64], start_ns: int = 0, end_ns: int = 0) -> RowsM:
        """Rows of these sources with a stamp in this range; 0 = open."""
        columns_N4 = self._columns_N4[: self._length]
        wanted_N = np.isin(columns_N4[:, 1], sources)
        if start_ns:
            wanted_N &= columns_N4[:, 2] >= start_ns
        if end_ns:
            wanted_N &= columns_N4[:, 2] <= end_ns
        return np.flatnonzero(wanted_N)

    def similarities(
        self, wanted_E: EmbeddingE, rows_M: RowsM
    ) -> Generator[None, None, npt.NDArray[np.float32]]:
        """Cosines (M,) of these rows; yields now and then."""
        wanted = torch.from_numpy(np.array(wanted_E, np.float32))
        similarity_M = torch.empty(len(rows_M))
        float_BE = torch.empty((min(BLOCK_ROWS, len(rows_M)), self._width))
        everything = len(rows_M) == self._length
        for count, first in enumerate(range(0, len(rows_M), BLOCK_ROWS), start=1):
            block = slice(first, min(first + BLOCK_ROWS, len(rows_M)))
            rows = block if everything else torch.from_numpy(rows_M[block])
            some = float_BE[: block.stop - block.start].copy_(self._embedding_NE[rows])
            torch.mv(some, wanted, out=similarity_M[block])
            if count % BLOCKS_AT_ONCE == 0:
                yield
        return similarity_M.numpy()

    def best_of_states(
        self,
        rows_M: RowsM,
        similarity_M: npt.NDArray[np.float32],
        k: int,
        key: Callable[[int, int], Hashable],
    ) -> list[int]:
        """Places in M of the k best, best first, at most one for each key.

        Args:
            key: of source and state id; a state that was seen for long must not fill the list.
        """
        looked_at = min(len(rows_M), 16 * k)
        while True:
            if looked_at < len(rows_M):
                some = np.argpartition(-similarity_M, looked_at)[:looked_at]
            else:
                some = np.arange(len(rows_M))
            # Equally good ones in the order in which they were seen.
            order = some[np.lexsort((some, -similarity_M[some]))]
            best: dict[Hashable, int] = {}
            for at in order:
                entry = self.entry(int(rows_M[at]))
                best.setdefault(key(entry.source, entry.state_id), int(at))
                if len(best) == k:
                    return list(best.values())
            if looked_at == len(rows_M):
                return list(best.values())
            looked_at = min(len(rows_M), 4 * looked_at)

    def _resize(self, rows: int) -> None:
        embedding_NE = torch.empty((rows, self._width), dtype=torch.float16)
        columns_N4 = np.empty((rows, 4), np.int64)
        embedding_NE[: self._length] = self._embedding_NE[: self._length]
        columns_N4[: self._length] = self._columns_N4[: self._length]
        self._embedding_NE, self._columns_N4 = embedding_NE, columns_N4
