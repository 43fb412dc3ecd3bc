"""What the robot has seen: a record on disk, and an exact search over it.

Every event goes in, and between events a thinned stream of states. The record is on disk, so what
was noted outlives a killed process; the embeddings lie in RAM besides, as float16.
One process writes a record, on one thread; others may read meanwhile.

Shapes: N entries, E embedding width.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_ros.config import MemoryConfig
from vljepa_ros.types import EmbeddingE, Pose, Step
from vljepa_ros.world.entries import Entries
from vljepa_ros.world.record import MemoryStoreError, Record, Source

PRUNE_EVERY = 128
"""Entries between two looks at age and size."""


@dataclass(frozen=True)
class Seen:
    """One state that was found, at the moment of it that fits best."""

    stamp_ns: int
    """Of the newest frame of the clip."""
    camera: str
    state_id: int
    query: str
    """What the caption answers."""
    caption: str
    """Of the state's last event before that moment."""
    similarity: float
    """Cosine to what was searched for."""
    pose: Pose | None = None
    """Where the camera was at that moment, if that was noted."""


@dataclass(frozen=True)
class Extent:
    """What entries there are."""

    cameras: frozenset[str]
    first_ns: int
    """The earliest stamp."""
    last_ns: int
    """The latest."""


@dataclass
class _Camera:
    noted_ns: int
    caption: str


class Memory:
    """One record, open for writing (or only reading). One thread at a time."""

    def __init__(
        self, config: MemoryConfig, space_id: str, width: int, *, read_only: bool = False
    ) -> None:
        """
        Args:
            space_id, width: of the embeddings to come; only those of this space are searched.

        Raises:
            MemoryStoreError: the record cannot be opened, or is damaged.
        """
        self.config, self._space_id = config, space_id
        path = Path(config.path).expanduser() if config.path else None
        self._record = Record(path, read_only=read_only)
        self._run = time.time_ns()
        self._sources: dict[int, Source] = {}
        self._source_ids: dict[Source, int] = {}
        self._cameras: dict[str, _Camera] = {}
        self._entries = Entries(width)
        self._until_pruned = PRUNE_EVERY
        self.lost = 0
        """Entries that could not be written."""
        self.foreign = 0
        """Entries of other models, which are kept but not searched."""
        try:
            self._read()
        except MemoryStoreError:
            self._record.close()  # others may have it
            raise

    def __len__(self) -> int:
        """Entries that can be found."""
        return len(self._entries)

    def extent(self) -> Extent | None:
        """Cameras and times of the entries that can be found; None where there are none."""
        if not len(self):
            return None
        ids, first_ns, last_ns = self._entries.extent()
        return Extent(frozenset(self._sources[i].camera for i in ids), first_ns, last_ns)

    # --- writing -------------------------------------------------------------------------------

    def note(self, step: Step, pose: Pose | None = None) -> int | None:
        """Keep an event, or a state if the camera's last entry is old enough.

        Returns the entry's id; None where nothing was kept.

        Args:
            pose: of the camera at the stamp of the step, where it is known already.

        Raises:
            MemoryStoreError: it could not be written, as on a full disk; it is counted as lost,
                and the record stays as it was.
        """
        state, event = step.state, step.event
        camera = self._cameras.get(state.camera)
        if event is None and camera is not None:
            waited_s = abs(state.stamp_ns - camera.noted_ns) / 1e9
            if not self.config.state_interval_s or waited_s < self.config.state_interval_s:
                return None
        caption = event.caption if event is not None else camera.caption if camera else ""
        self._cameras[state.camera] = _Camera(state.stamp_ns, caption)
        half_E = state.embedding_E.astype(np.float16)
        is_event = event is not None
        try:
            source = self._source_id(Source(self._run, state.camera, state.query, self._space_id))
            id_ = self._record.add(
                source, state.stamp_ns, state.state_id, is_event, caption, half_E, pose
            )
        except sqlite3.Error as error:
            self.lost += 1
            raise self._unwritten(error) from error
        self._entries.add(id_, source, state.stamp_ns, state.state_id, half_E)
        self._until_pruned -= 1
        if not self._until_pruned:
            self._until_pruned = PRUNE_EVERY
            self._prune()
        return id_

    def place(self, id_: int, pose: Pose) -> None:
        """Add the pose of an entry, once it is known.

        Raises:
            MemoryStoreError: it could not be written; the entry stays as it was.
        """
        try:
            self._record.place(id_, pose)
        except sqlite3.Error as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: sqlite3.Error) -> MemoryStoreError:
        return MemoryStoreError(
            f"the memory could not be written: {error}; make room on the disk of "
            f"{self._record.path or 'RAM'}, or set memory.max_mb lower"
        )

    def _source_id(self, source: Source) -> int:
        found = self._source_ids.get(source)
        if found is None:
            found = self._source_ids[source] = self._record.add_source(source)
            self._sources[found] = source
        return found

    def _prune(self) -> None:
        """Drop what is too old, and the oldest if it is too much."""
        # By the time of writing: a camera with a wrong clock must not wipe out the others.
        oldest_s = int(time.time() - self.config.max_age_s)
        with suppress(sqlite3.Error):  # a full disk is told by the next `note`
            gone = self._record.forget(oldest_s, self.config.max_mb, PRUNE_EVERY)
            if gone:
                self._entries.drop(np.array(gone, np.int64))

    def size_mb(self) -> float:
        """What the entries take in the record [MB]; room that pruning left is used again."""
        return self._record.size_mb()

    def close(self) -> None:
        """Let others write. What was noted is on disk already."""
        self._record.close()

    # --- searching -----------------------------------------------------------------------------

    def search(
        self,
        wanted_E: EmbeddingE,
        *,
        camera: str = "",
        start_ns: int = 0,
        end_ns: int = 0,
        k: int = 10,
    ) -> Generator[None, None, list[Seen]]:
        """The k states that fit best, best first, each at its best moment.

        Args:
            camera: "" = all.
            start_ns, end_ns: first and last stamp; 0 = open.

        Yields after each block of entries, so that a long search can be interrupted.
        """
        sources = [i for i, s in self._sources.items() if camera in ("", s.camera)]
        rows_N = self._entries.rows(np.array(sources, np.int64), start_ns, end_ns)
        similarity_N = yield from self._entries.similarities(wanted_E, rows_N)
        found: list[Seen] = []
        for at in self._entries.best_of_states(rows_N, similarity_N, k, self._state_key):
            row = int(rows_N[at])
            found.append(self._seen(row, float(similarity_N[at])))
        return found

    def find(self, wanted_E: EmbeddingE, **which: Any) -> list[Seen]:
        """The same, for who has nobody to give a turn to."""
        search = self.search(wanted_E, **which)
        while True:
            try:
                next(search)
            except StopIteration as end:
                found: list[Seen] = end.value
                return found

    def _state_key(self, source: int, state_id: int) -> tuple[int, str, int]:
        """Ids of states begin again in each run."""
        of = self._sources[source]
        return (of.run, of.camera, state_id)

    def _seen(self, row: int, similarity: float) -> Seen:
        entry = self._entries.entry(row)
        source = self._sources[entry.source]
        caption, pose = self._record.words_and_pose(entry.id)
        return Seen(
            entry.stamp_ns, source.camera, entry.state_id, source.query, caption, similarity, pose
        )

    def _read(self) -> None:
        """Take the embeddings of this space into RAM."""
        for id_, source in self._record.sources().items():
            if source.space_id == self._space_id:
                self._sources[id_] = source
        for id_, source_id, stamp_ns, state_id, half_E in self._record.embeddings():
            if source_id in self._sources:
                self._entries.add(id_, source_id, stamp_ns, state_id, half_E)
            else:
                self.foreign += 1
