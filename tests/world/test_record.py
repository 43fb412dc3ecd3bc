"""The file of a memory: poses, older formats that are brought up to date, and newer ones."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from test_memory import SPACE, WIDTH, S, opened, step, unit

from vljepa_ros.config import MemoryConfig
from vljepa_ros.types import Pose
from vljepa_ros.world import record as record_module
from vljepa_ros.world.memory import Memory
from vljepa_ros.world.record import VERSION, MemoryStoreError, Record

POSE = Pose("map", (1.5, -2.25, 1e-3), (0.0, 0.6, 0.0, 0.8))
FORMAT_1 = """
CREATE TABLE source(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, camera TEXT NOT NULL, query TEXT NOT NULL,
    space_id TEXT NOT NULL, UNIQUE(run, camera, query, space_id)
);
CREATE TABLE seen(
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL REFERENCES source(id),
    stamp_ns INTEGER NOT NULL, state_id INTEGER NOT NULL, is_event INTEGER NOT NULL,
    caption TEXT NOT NULL, written_s INTEGER NOT NULL, embedding BLOB NOT NULL
);
PRAGMA application_id = 0x564A4D31;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A record as the first format left it, with three entries."""
    path = tmp_path / "old.db"
    database = sqlite3.connect(path)
    database.executescript(FORMAT_1)
    with database:
        database.execute("INSERT INTO source VALUES (1, 5, 'eye', 'What?', ?)", (SPACE,))
        for n in range(3):
            half_E = unit(n).astype(np.float16)
            row = (1, n * S, n, 1, f"caption {n}", 2_000_000_000, half_E.tobytes())
            database.execute("INSERT INTO seen VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)
    database.close()
    return path


def version_of(path: Path) -> int:
    database = sqlite3.connect(path)
    [[version]] = database.execute("PRAGMA user_version").fetchall()
    database.close()
    return int(version)


def test_a_pose_is_kept_beside_its_entry(tmp_path: Path) -> None:
    memory = opened(tmp_path / "memory.db")
    memory.note(step(1, unit(1), "here", state_id=1), POSE)
    memory.note(step(2, unit(2), "somewhere", state_id=2))
    memory.close()
    again = opened(tmp_path / "memory.db")
    here, somewhere = again.find(unit(1), k=2)
    assert (here.caption, here.pose) == ("here", POSE)
    assert (somewhere.caption, somewhere.pose) == ("somewhere", None)
    again.close()


def test_an_older_format_is_read_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    memory = Memory(MemoryConfig(path=str(old)), SPACE, WIDTH, read_only=True)
    assert len(memory) == 3 and memory.find(unit(2))[0].caption == "caption 2"
    assert memory.find(unit(2))[0].pose is None
    memory.close()
    assert version_of(old) == 1 and old.read_bytes() == before


def test_an_older_format_gets_room_for_poses_and_loses_nothing(old: Path) -> None:
    memory = opened(old)
    memory.note(step(9, unit(9), "new", state_id=9), POSE)
    memory.close()
    assert version_of(old) == VERSION
    again = opened(old)
    assert len(again) == 4
    assert again.find(unit(1))[0].caption == "caption 1" and again.find(unit(1))[0].pose is None
    assert again.find(unit(9))[0].pose == POSE
    again.close()


def test_a_format_that_cannot_be_brought_up_to_date_stays_what_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "_POSES", record_module._POSES + "; SELECT nothing")
    with pytest.raises(MemoryStoreError, match="cannot be used as a memory"):
        opened(old)
    assert version_of(old) == 1
    monkeypatch.undo()
    memory = opened(old)
    assert len(memory) == 3
    memory.close()


def test_a_process_that_is_killed_while_it_makes_a_record_leaves_none_of_something_else(
    tmp_path: Path,
) -> None:
    path = tmp_path / "memory.db"
    killed = (
        "import os, signal, sqlite3, sys\n"
        "from pathlib import Path\n"
        "from vljepa_ros.world import record\n"
        "connect = sqlite3.connect\n"
        "class Connection(sqlite3.Connection):\n"
        "    def execute(self, statement, *rest):\n"
        "        if 'application_id =' in statement:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().execute(statement, *rest)\n"
        "record.sqlite3.connect = lambda *a, **k: connect(*a, factory=Connection, **k)\n"
        "record.Record(Path(sys.argv[1]))\n"
    )
    ran = subprocess.run([sys.executable, "-c", killed, str(path)], check=False)
    assert ran.returncode == -9
    opened(path).close()
    assert version_of(path) == VERSION


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_format_is_refused_and_stays_as_it_is(read_only: bool, old: Path) -> None:
    database = sqlite3.connect(old)
    database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    before = old.read_bytes()
    with pytest.raises(MemoryStoreError, match=rf"format {VERSION + 1}, .*update vljepa_ros"):
        Record(old, read_only=read_only)
    assert old.read_bytes() == before


def test_all_that_is_known_of_the_entries_of_a_source(tmp_path: Path) -> None:
    memory = opened(tmp_path / "memory.db", state_interval_s=0.5)
    memory.note(step(1, unit(1), "a", state_id=1), POSE)
    memory.note(step(2, unit(2), state_id=1))
    memory.note(step(3, unit(3), "b", state_id=1, camera="other"))
    record = Record(tmp_path / "memory.db", read_only=True)
    by_camera = {source.camera: id_ for id_, source in record.sources().items()}
    [[first, second]] = record.entries([by_camera["eye"]])
    assert (first.stamp_ns, first.is_event, first.caption, first.pose) == (S, True, "a", POSE)
    assert (second.stamp_ns, second.is_event, second.caption, second.pose) == (
        2 * S, False, "a", None,
    )  # fmt: skip
    assert second.half_E.tolist() == unit(2).astype(np.float16).tolist()
    record.close()
    memory.close()


# --- where nothing may be written --------------------------------------------------------------


def no_writing_beside(path: Path) -> None:
    """As on a medium that is read only, for root too: SQLite cannot make its index of the log."""
    path.with_name(f"{path.name}-shm").symlink_to(path.parent / "nowhere" / "index")


def test_a_record_is_read_where_nothing_may_be_written(old: Path) -> None:
    no_writing_beside(old)
    record = Record(old, read_only=True)
    assert len(record) == 3
    record.close()


def test_a_log_that_cannot_be_read_there_is_told(tmp_path: Path) -> None:
    memory = opened(tmp_path / "seen.db")
    memory.note(step(1, unit(0), "a cup"))
    copy = tmp_path / "copy.db"
    for end in ("", "-wal"):  # as from a robot that was switched off
        copy.with_name(f"copy.db{end}").write_bytes((tmp_path / f"seen.db{end}").read_bytes())
    memory.close()
    no_writing_beside(copy)
    with pytest.raises(MemoryStoreError, match=r"copy it and copy\.db-wal to a folder"):
        Record(copy, read_only=True)
    copy.with_name("copy.db-shm").unlink()
    record = Record(copy, read_only=True)
    assert len(record) == 1
    record.close()


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs the command sqlite3")
def test_a_damaged_record_is_refused_and_saved_as_the_error_says(tmp_path: Path) -> None:
    """It opens, and what is wrong is met while reading: a failing disk, a copy cut off."""
    path = tmp_path / "memory.db"
    memory = opened(path)
    for i in range(200):
        memory.note(step(i, unit(i % WIDTH), "word " * 50))
    memory.close()
    content = bytearray(path.read_bytes())
    content[-20_000:-12_000] = b"\xaa" * 8_000
    path.write_bytes(content)
    with pytest.raises(MemoryStoreError, match=r"is damaged: .*; move it away") as caught:
        opened(path)
    with (
        pytest.raises(MemoryStoreError, match="is damaged"),
        closing(Record(path, read_only=True)) as record,
    ):
        list(record.entries(list(record.sources())))
    assert path.read_bytes() == content
    command = str(caught.value).partition("What can be read of it: ")[2]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, capture_output=True)
    saved = opened(tmp_path / "MENDED.db")
    assert 0 < len(saved) < 200
    saved.close()
