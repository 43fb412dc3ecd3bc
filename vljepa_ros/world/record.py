"""The file in which a memory is kept: SQLite in WAL mode. Needs numpy only.

Formats: 1 had no poses; a record of it gets room for them when it is next opened for writing.

Shapes: E embedding width.
"""

from __future__ import annotations

import fcntl
import math
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from vljepa_ros.types import Pose

APPLICATION_ID = 0x564A4D31
VERSION = 2
WITH_POSES = 2
"""The first format that has them."""
READ_ROWS = 4096

HalfE = npt.NDArray[np.float16]
"""An embedding as it is kept, float16, (E,)."""

_TABLES = """
CREATE TABLE source(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, camera TEXT NOT NULL, query TEXT NOT NULL,
    space_id TEXT NOT NULL, UNIQUE(run, camera, query, space_id)
);
CREATE TABLE seen(
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source(id),
    stamp_ns INTEGER NOT NULL, state_id INTEGER NOT NULL, is_event INTEGER NOT NULL,
    caption TEXT NOT NULL, written_s INTEGER NOT NULL, embedding BLOB NOT NULL
)
"""
_POSES = """
ALTER TABLE seen ADD COLUMN pose_frame TEXT;
ALTER TABLE seen ADD COLUMN pose BLOB
"""
"""Fixed frame, and x y z [m] and the quaternion x y z w as float64; NULL where it is not known."""


class MemoryStoreError(Exception):
    """A record that cannot be opened, read or written; the message says the mend."""


@dataclass(frozen=True)
class Source:
    """What many entries have in common."""

    run: int
    """Of the process that wrote them: when it began [ns]; ids of states begin again in each."""
    camera: str
    query: str
    """What the captions answer."""
    space_id: str


@dataclass(frozen=True, eq=False)
class Noted:
    """One entry."""

    id: int
    """Counts up within the record."""
    source: int
    stamp_ns: int
    """Of the newest frame of the clip."""
    state_id: int
    is_event: bool
    caption: str
    """Of the state's last event before that moment."""
    written_s: int
    """When it was written [s]."""
    half_E: HalfE
    pose: Pose | None


class Record:
    """An open record. Any thread, one at a time; what raises sqlite3.Error changed nothing.

    Reading raises MemoryStoreError where the file is damaged.
    """

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        """
        Args:
            path: None = in RAM, gone with the process.

        Raises:
            MemoryStoreError: the record cannot be opened.
        """
        self.path = path
        self._lock: IO[str] | None = None
        if path is not None and not read_only:
            self._lock = _locked(path)
        try:
            self._database = _opened(path, read_only)
        except Exception:
            self._unlock()
            raise
        self._version = self._number("user_version")
        with_poses = self._version >= WITH_POSES
        self._pose_columns = "pose_frame, pose" if with_poses else "NULL, NULL"

    def close(self) -> None:
        """Let others write. What was noted is on disk already."""
        self._database.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # --- writing -------------------------------------------------------------------------------

    def add_source(self, source: Source) -> int:
        """Its id, of the one that is there or a new one."""
        row = (source.run, source.camera, source.query, source.space_id)
        with self._database:
            self._database.execute("INSERT OR IGNORE INTO source VALUES (NULL, ?, ?, ?, ?)", row)
        [[id_]] = self._database.execute(
            "SELECT id FROM source WHERE (run, camera, query, space_id) = (?, ?, ?, ?)", row
        )
        return int(id_)

    def add(
        self,
        source: int,
        stamp_ns: int,
        state_id: int,
        is_event: bool,
        caption: str,
        half_E: HalfE,
        pose: Pose | None = None,
    ) -> int:
        """Write an entry; returns its id."""
        said = (caption, int(time.time()), half_E.tobytes())
        with self._database:
            written = self._database.execute(
                "INSERT INTO seen VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (source, stamp_ns, state_id, is_event, *said, *_columns(pose)),
            )
        return written.lastrowid or 0

    def place(self, id_: int, pose: Pose) -> None:
        """Write the pose of an entry; nothing where it was forgotten meanwhile."""
        with self._database:
            self._database.execute(
                "UPDATE seen SET pose_frame = ?, pose = ? WHERE id = ?", (*_columns(pose), id_)
            )

    def forget(self, written_before_s: int, max_mb: float, spare: int) -> list[int]:
        """Drop what was written earlier; if it still takes too much, the oldest and `spare` more.

        Returns the ids of what is gone.
        """
        gone = self._ids("SELECT id FROM seen WHERE written_s < ?", written_before_s)
        size_mb = self.size_mb()
        if size_mb > max_mb:
            excess = math.ceil(len(self) * (1.0 - max_mb / size_mb)) + spare
            gone += self._ids("SELECT id FROM seen ORDER BY id LIMIT ?", excess)
        if gone:
            with self._database:
                self._database.executemany("DELETE FROM seen WHERE id = ?", ((i,) for i in gone))
        return gone

    def _ids(self, select: str, limit: int) -> list[int]:
        return [int(row[0]) for row in self._database.execute(select, (limit,))]

    # --- reading -------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Entries of all spaces."""
        return int(self._database.execute("SELECT COUNT(*) FROM seen").fetchone()[0])

    def size_mb(self) -> float:
        """What the entries take in the record [MB]; room that was freed is used again."""
        pages = self._number("page_count") - self._number("freelist_count")
        return pages * self._number("page_size") / 1e6

    def _number(self, pragma: str) -> int:
        return int(self._database.execute(f"PRAGMA {pragma}").fetchone()[0])

    def sources(self) -> dict[int, Source]:
        """By id."""
        with self._whole():
            rows = self._database.execute("SELECT id, run, camera, query, space_id FROM source")
            return {int(id_): Source(*rest) for id_, *rest in rows}

    def embeddings(self) -> Iterator[tuple[int, int, int, int, HalfE]]:
        """Id, source, stamp [ns], state id and embedding of each entry, in the order noted."""
        for some in self._rows("SELECT id, source, stamp_ns, state_id, embedding FROM seen"):
            for id_, source, stamp_ns, state_id, blob in some:
                yield id_, source, stamp_ns, state_id, np.frombuffer(blob, np.float16)

    def words_and_pose(self, id_: int) -> tuple[str, Pose | None]:
        """Caption and pose of an entry."""
        select = f"SELECT caption, {self._pose_columns} FROM seen WHERE id = ?"
        with self._whole():
            caption, *placed = self._database.execute(select, (id_,)).fetchone()
        return caption, _pose(*placed)

    def entries(self, sources: Sequence[int]) -> Iterator[list[Noted]]:
        """All that is known of the entries of these sources, some at a time, in the order noted."""
        select = (
            "SELECT id, source, stamp_ns, state_id, is_event, caption, written_s, embedding, "
            f"{self._pose_columns} FROM seen"
        )
        wanted = set(sources)
        for some in self._rows(select):
            yield [
                Noted(id_, source, stamp_ns, state_id, bool(is_event), caption, written_s,
                      np.frombuffer(blob, np.float16), _pose(frame_id, pose))
                for id_, source, stamp_ns, state_id, is_event, caption, written_s, blob, frame_id,
                    pose in some
                if source in wanted
            ]  # fmt: skip

    def _rows(self, select: str) -> Iterator[list[Any]]:
        """Some rows at a time, in the order noted."""
        with self._whole():
            rows = self._database.execute(select + " ORDER BY id")
        while True:
            with self._whole():
                some = rows.fetchmany(READ_ROWS)
            if not some:
                return
            yield some

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """
        Raises:
            MemoryStoreError: the file is damaged, as after a failing disk or a copy cut off.
        """
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise MemoryStoreError(
                f"{self.path} is damaged: {error}; move it away, or name another. What can be "
                f"read of it: (sqlite3 {self.path} .dump | sed 's/^ROLLBACK.*/COMMIT;/'; "
                f"echo 'PRAGMA application_id={APPLICATION_ID};PRAGMA user_version="
                f"{self._version};') | sqlite3 MENDED.db"
            ) from error


def _columns(pose: Pose | None) -> tuple[str | None, bytes | None]:
    if pose is None:
        return None, None
    values = np.array([*pose.position_m, *pose.orientation_xyzw], "<f8")
    return pose.frame_id, values.tobytes()


def _pose(frame_id: str | None, blob: bytes | None) -> Pose | None:
    if frame_id is None or blob is None:
        return None
    x, y, z, *xyzw = np.frombuffer(blob, "<f8").tolist()
    return Pose(frame_id, (x, y, z), (xyzw[0], xyzw[1], xyzw[2], xyzw[3]))


# --- opening -----------------------------------------------------------------------------------


def is_record(path: Path) -> bool:
    """Whether a file says that it is one: the application id of SQLite's header.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(72)[68:] == APPLICATION_ID.to_bytes(4, "big")


def _opened(path: Path | None, read_only: bool) -> sqlite3.Connection:
    try:
        if path is None:
            database = sqlite3.connect(":memory:", check_same_thread=False)
        elif read_only:
            database = _opened_to_read(path)
        else:
            database = sqlite3.connect(path, check_same_thread=False)
        try:
            _check(database, path, read_only)
        except Exception:
            database.close()
            raise
    except sqlite3.Error as error:
        raise MemoryStoreError(
            f"{path} cannot be used as a memory: {error}; "
            + (
                "is it the file of parameter memory.path, and readable?"
                if read_only
                else "set memory.path to another file, or move this one away"
            )
        ) from error
    return database


def _opened_to_read(path: Path) -> sqlite3.Connection:
    """SQLite writes files beside one that it only reads; where it may not, the file must be whole.

    Raises:
        MemoryStoreError: what was last written lies in its log, and that cannot be read from here.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    database = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        database.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError as error:
        database.close()
        if "unable to open" not in str(error) and "readonly" not in str(error):
            raise  # Python 3.10 has no codes of SQLite's errors
    else:
        return database
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size:
        raise MemoryStoreError(
            f"{path} was not closed by its writer, and this folder cannot be written to; copy it "
            f"and {log.name} to a folder that can, and name the copy"
        )
    return sqlite3.connect(f"{uri}&immutable=1", uri=True, check_same_thread=False)


def _check(database: sqlite3.Connection, path: Path | None, read_only: bool) -> None:
    """Make the tables of a new record, bring an older one up to date; refuse what is not ours."""
    application = int(database.execute("PRAGMA application_id").fetchone()[0])
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    tables = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if not tables and not read_only:
        with _at_once(database):
            _execute(database, _TABLES + ";" + _POSES)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {VERSION}")
    elif application != APPLICATION_ID:
        raise MemoryStoreError(
            f"{path} is a database of something else; "
            + ("name" if read_only else "set memory.path to")
            + " another file"
        )
    elif version > VERSION:
        raise MemoryStoreError(
            f"{path} was written by a newer vljepa_ros (format {version}, this one knows "
            f"{VERSION}); update vljepa_ros"
            + ("" if read_only else ", or set memory.path to another file")
        )
    elif version < WITH_POSES and not read_only:
        with _at_once(database):
            _execute(database, _POSES)
            database.execute(f"PRAGMA user_version = {VERSION}")
    if not read_only:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")


def _execute(database: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        database.execute(statement)


@contextmanager
def _at_once(database: sqlite3.Connection) -> Iterator[None]:
    """All of it or, where the process is killed in the midst, nothing."""
    database.execute("BEGIN IMMEDIATE")  # sqlite3 begins none by itself for such statements
    with database:
        yield


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
