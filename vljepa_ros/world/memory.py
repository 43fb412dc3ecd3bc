"""What the robot has seen: a record on disk, and an exact search over it.

Every event goes in, and between events a thinned stream of states. SQLite in WAL mode is the
record, so what was noted outlives a killed process; the embeddings lie in RAM besides, as float16.
One process writes a record, on one thread; others may read meanwhile.

Shapes: N entries, E embedding width.
"""

from __future__ import annotations

import fcntl
import math
import sqlite3
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from vljepa_ros.config import MemoryConfig
from vljepa_ros.types import EmbeddingE, Step
from vljepa_ros.world.entries import Entries

APPLICATION_ID = 0x564A4D31
VERSION = 1
IN_RAM = ":memory:"
PRUNE_EVERY = 128
"""Entries between two looks at age and size."""
READ_ROWS = 4096

_TABLES = """
CREATE TABLE source(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, camera TEXT NOT NULL, query TEXT NOT NULL,
    space_id TEXT NOT NULL, UNIQUE(run, camera, query, space_id)
);
CREATE TABLE seen(
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source(id),
    stamp_ns INTEGER NOT NULL, state_id INTEGER NOT NULL, is_event INTEGER NOT NULL,
    caption TEXT NOT NULL, written_s INTEGER NOT NULL, embedding BLOB NOT NULL
);
"""


class MemoryStoreError(Exception):
    """A record that cannot be opened or written; the message says the mend."""


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


@dataclass(frozen=True)
class _Source:
    """What many entries have in common."""

    run: int
    camera: str
    query: str
    space_id: str


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
            MemoryStoreError: the record cannot be opened.
        """
        self.config, self._space_id = config, space_id
        self._path = Path(config.path).expanduser() if config.path else None
        self._lock: IO[str] | None = None
        if self._path is not None and not read_only:
            self._lock = _locked(self._path)
        try:
            self._database = _opened(self._path, read_only)
        except Exception:
            self._unlock()
            raise
        self._run = time.time_ns()
        self._sources: dict[int, _Source] = {}
        self._source_ids: dict[_Source, int] = {}
        self._cameras: dict[str, _Camera] = {}
        self._entries = Entries(width)
        self._until_pruned = PRUNE_EVERY
        self.lost = 0
        """Entries that could not be written."""
        self.foreign = 0
        """Entries of other models, which are kept but not searched."""
        self._read()

    def __len__(self) -> int:
        """Entries that can be found."""
        return len(self._entries)

    # --- writing -------------------------------------------------------------------------------

    def note(self, step: Step) -> None:
        """Keep an event, or a state if the camera's last entry is old enough.

        Raises:
            MemoryStoreError: it could not be written, as on a full disk; it is counted as lost,
                and the record stays as it was.
        """
        state, event = step.state, step.event
        camera = self._cameras.get(state.camera)
        if event is None and camera is not None:
            waited_s = abs(state.stamp_ns - camera.noted_ns) / 1e9
            if not self.config.state_interval_s or waited_s < self.config.state_interval_s:
                return
        caption = event.caption if event is not None else camera.caption if camera else ""
        self._cameras[state.camera] = _Camera(state.stamp_ns, caption)
        source = _Source(self._run, state.camera, state.query, self._space_id)
        half_E = state.embedding_E.astype(np.float16)
        try:
            with self._database:
                source_id = self._source_id(source)
                row = (source_id, state.stamp_ns, state.state_id, event is not None)
                written = self._database.execute(
                    "INSERT INTO seen VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, caption, int(time.time()), half_E.tobytes()),
                )
        except sqlite3.Error as error:
            self.lost += 1
            self._source_ids.pop(source, None)
            raise MemoryStoreError(
                f"the memory could not be written: {error}; make room on the disk of "
                f"{self._path or 'RAM'}, or set memory.max_mb lower"
            ) from error
        self._sources[source_id] = source
        self._entries.add(written.lastrowid or 0, source_id, state.stamp_ns, state.state_id, half_E)
        self._until_pruned -= 1
        if not self._until_pruned:
            self._until_pruned = PRUNE_EVERY
            self._prune()

    def _source_id(self, source: _Source) -> int:
        found = self._source_ids.get(source)
        if found is None:
            row = (source.run, source.camera, source.query, source.space_id)
            added = self._database.execute("INSERT INTO source VALUES (NULL, ?, ?, ?, ?)", row)
            found = self._source_ids[source] = added.lastrowid or 0
        return found

    def _prune(self) -> None:
        """Drop what is too old, and the oldest if it is too much."""
        # By the time of writing: a camera with a wrong clock must not wipe out the others.
        oldest_s = int(time.time() - self.config.max_age_s)
        with suppress(sqlite3.Error), self._database:  # a full disk is told by the next `note`
            gone = self._ids("SELECT id FROM seen WHERE written_s < ?", oldest_s)
            gone += self._ids("SELECT id FROM seen ORDER BY id LIMIT ?", self._too_many())
            if gone:
                self._database.executemany("DELETE FROM seen WHERE id = ?", ((i,) for i in gone))
                self._entries.drop(np.array(gone, np.int64))

    def _too_many(self) -> int:
        """Entries that must go for the record to have its size, and room until the next look."""
        size_mb = self.size_mb()
        if size_mb <= self.config.max_mb:
            return 0
        (entries,) = self._database.execute("SELECT COUNT(*) FROM seen").fetchone()
        return math.ceil(int(entries) * (1.0 - self.config.max_mb / size_mb)) + PRUNE_EVERY

    def _ids(self, select: str, limit: int) -> list[int]:
        return [int(row[0]) for row in self._database.execute(select, (limit,))]

    def size_mb(self) -> float:
        """What the entries take in the record [MB]; room that pruning left is used again."""
        pages = self._number("page_count") - self._number("freelist_count")
        return pages * self._number("page_size") / 1e6

    def _number(self, pragma: str) -> int:
        return int(self._database.execute(f"PRAGMA {pragma}").fetchone()[0])

    def close(self) -> None:
        """Let others write. What was noted is on disk already."""
        self._database.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

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
        (caption,) = self._database.execute(
            "SELECT caption FROM seen WHERE id = ?", (entry.id,)
        ).fetchone()
        return Seen(
            entry.stamp_ns, source.camera, entry.state_id, source.query, caption, similarity
        )

    # --- opening -------------------------------------------------------------------------------

    def _read(self) -> None:
        """Take the embeddings of this space into RAM."""
        for id_, *rest in self._database.execute("SELECT * FROM source"):
            source = _Source(*rest)
            if source.space_id == self._space_id:
                self._sources[id_] = source
        rows = self._database.execute(
            "SELECT id, source, stamp_ns, state_id, embedding FROM seen ORDER BY id"
        )
        while some := rows.fetchmany(READ_ROWS):
            for id_, source_id, stamp_ns, state_id, blob in some:
                if source_id not in self._sources:
                    self.foreign += 1
                    continue
                half_E: npt.NDArray[np.float16] = np.frombuffer(blob, np.float16)
                self._entries.add(id_, source_id, stamp_ns, state_id, half_E)


def _opened(path: Path | None, read_only: bool) -> sqlite3.Connection:
    try:
        if path is None:
            database = sqlite3.connect(IN_RAM, check_same_thread=False)
        elif read_only:
            database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        else:
            database = sqlite3.connect(path, check_same_thread=False)
        try:
            _check(database, path, read_only)
        except Exception:
            database.close()
            raise
    except sqlite3.Error as error:
        raise MemoryStoreError(
            f"{path} cannot be used as a memory: {error}; set memory.path to another file, or move "
            "this one away"
        ) from error
    return database


def _check(database: sqlite3.Connection, path: Path | None, read_only: bool) -> None:
    """Make the tables of a new record; refuse what is none of ours."""
    application = int(database.execute("PRAGMA application_id").fetchone()[0])
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    tables = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if not tables and not read_only:
        with database:
            for statement in (*_TABLES.split(";\n"), f"PRAGMA application_id = {APPLICATION_ID}"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")
    elif application != APPLICATION_ID:
        raise MemoryStoreError(
            f"{path} is a database of something else; set memory.path to another file"
        )
    elif version > VERSION:
        raise MemoryStoreError(
            f"{path} was written by a newer vljepa_ros (format {version}, this one knows "
            f"{VERSION}); update vljepa_ros, or set memory.path to another file"
        )
    if not read_only:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")


def _locked(path: Path) -> IO[str]:
    """A lock that ends with the process, however that ends."""
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = beside.open("w")
    except OSError as error:
        raise MemoryStoreError(
            f"{path} cannot be written: {error}; set memory.path to a file that can"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise MemoryStoreError(
            f"another process writes to {path}; give each its own memory.path"
        ) from error
    return lock
