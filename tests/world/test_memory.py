"""What was seen is found again, survives a kill, and stays within its bounds."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_ros.config import MemoryConfig
from vljepa_ros.types import EmbeddingE, EventReason, SemanticEvent, SemanticState, Step
from vljepa_ros.world import memory as memory_module
from vljepa_ros.world.memory import Memory, Seen
from vljepa_ros.world.record import MemoryStoreError

WIDTH = 16
SPACE = "tiny:0:16"
S = 1_000_000_000


def unit(seed: int) -> EmbeddingE:
    vector = np.random.default_rng(seed).normal(size=WIDTH)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def step(at_s: float, embedding_E: EmbeddingE, caption: str = "", **fields: Any) -> Step:
    """A state; with a caption, an event besides."""
    state = SemanticState(
        stamp_ns=round(at_s * S),
        frame_id="lens",
        camera=fields.get("camera", "eye"),
        clip_start_ns=0,
        query=fields.get("query", "What?"),
        embedding_E=embedding_E,
        labels=(),
        state_id=fields.get("state_id", 1),
        state_since_ns=0,
        changed=bool(caption),
        change_score=0.0,
        change_threshold=0.0,
    )
    if not caption:
        return Step(state)
    event = SemanticEvent(
        state.stamp_ns, "lens", state.camera, state.state_id, 0, EventReason.CHANGE, state.query,
        caption, 0.0, (), embedding_E, 0.0,
    )  # fmt: skip
    return Step(state, event)


def opened(path: Path | str = "", space_id: str = SPACE, **fields: Any) -> Memory:
    return Memory(MemoryConfig(path=str(path), **fields), space_id, WIDTH)


@pytest.fixture
def memory() -> Iterator[Memory]:
    kept = opened(state_interval_s=2.0)
    yield kept
    kept.close()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A record that two events were written to."""
    path = tmp_path / "memory.db"
    writer = opened(path)
    writer.note(step(1, unit(1), "a", state_id=1))
    writer.note(step(2, unit(2), "b", state_id=2))
    writer.close()
    return path


def test_the_best_comes_first_with_all_that_is_known_of_it(memory: Memory) -> None:
    for n in range(1, 6):
        memory.note(step(n, unit(n), f"caption {n}", state_id=n, query=f"Why {n % 2}?"))
    best, *others = memory.find(unit(3))
    assert best == Seen(3 * S, "eye", 3, "Why 1?", "caption 3", pytest.approx(1.0, abs=1e-3))
    expected = sorted((float(unit(n) @ unit(3)) for n in (1, 2, 4, 5)), reverse=True)
    assert [seen.similarity for seen in others] == pytest.approx(expected, abs=2e-3)


def test_every_event_and_a_thinned_stream_of_states(memory: Memory) -> None:
    memory.note(step(0, unit(0), "first"))
    for tenths in range(1, 100):
        memory.note(step(tenths / 10, unit(tenths)))
    assert len(memory) == 1 + 4  # at 2, 4, 6 and 8 s
    memory.note(step(9.95, unit(7), "again"))
    memory.note(step(10.9, unit(8)))
    assert len(memory) == 6
    memory.note(step(11.95, unit(9)))
    assert len(memory) == 7


def test_states_between_events_carry_the_last_caption(memory: Memory) -> None:
    memory.note(step(0, unit(0), "the drawer is open", state_id=4))
    memory.note(step(5, unit(1), state_id=4))
    assert memory.find(unit(1))[0].caption == "the drawer is open"


def test_events_only(tmp_path: Path) -> None:
    memory = opened(state_interval_s=0.0)
    memory.note(step(0, unit(0), "first"))
    memory.note(step(1e6, unit(1)))
    assert len(memory) == 1


def test_a_long_state_is_one_entry_at_its_best_moment(memory: Memory) -> None:
    memory.note(step(0, unit(0), "other", state_id=1))
    for n in range(300):
        memory.note(step(10 + 3 * n, unit(50 + n % 7), state_id=2))
    seen = memory.find(unit(53), k=5)
    assert [s.state_id for s in seen] == [2, 1]
    assert seen[0].stamp_ns == (10 + 3 * 3) * S and seen[0].similarity > 0.999


def test_cameras_and_times(memory: Memory) -> None:
    for n in range(1, 7):
        memory.note(step(n, unit(n), str(n), state_id=n, camera="left" if n % 2 else "right"))
    assert {s.caption for s in memory.find(unit(0), camera="left")} == {"1", "3", "5"}
    assert {s.caption for s in memory.find(unit(0), start_ns=2 * S, end_ns=4 * S)} == set("234")
    assert {s.caption for s in memory.find(unit(0), start_ns=5 * S)} == set("56")
    assert len(memory.find(unit(0), k=2)) == 2
    assert memory.find(unit(0), camera="none of ours") == []
    assert memory.find(unit(0), start_ns=100 * S) == []


def test_many_entries_are_found_exactly(memory: Memory) -> None:
    vectors_NE = np.stack([unit(n) for n in range(3000)])
    for n, vector_E in enumerate(vectors_NE):
        memory.note(step(n, vector_E, str(n), state_id=n))
    seen = memory.find(unit(9999), k=40)
    exact = np.argsort(-(vectors_NE.astype(np.float16).astype(np.float32) @ unit(9999)))[:40]
    assert [int(s.caption) for s in seen] == exact.tolist()


def test_a_long_search_lets_others_have_their_turn(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_ros.world.entries.BLOCK_ROWS", 4)
    monkeypatch.setattr("vljepa_ros.world.entries.BLOCKS_AT_ONCE", 5)
    for n in range(100):
        memory.note(step(n, unit(n), str(n), state_id=n))
    assert len(list(memory.search(unit(0)))) == 100 // 4 // 5


def test_a_record_is_read_again_and_ids_of_runs_are_told_apart(record: Path) -> None:
    memory = opened(record)
    assert len(memory) == 2
    memory.note(step(3, unit(3), "c", state_id=1))
    assert {s.caption for s in memory.find(unit(1))} == {"a", "b", "c"}
    memory.close()


@pytest.mark.slow
def test_nothing_noted_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent)]!r}
from test_memory import opened, step, unit
memory = opened({str(path)!r})
for n in range(100_000):
    memory.note(step(n, unit(n), str(n), state_id=n))
    print(n, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 150:
                break
        writer.send_signal(signal.SIGKILL)
        told = [int(line) for line in writer.stdout if line.endswith("\n")]
    memory = opened(path)
    noted = max([150, *told])
    assert noted + 1 <= len(memory) <= noted + 2  # one may have been written and not been told
    assert memory.find(unit(noted))[0].caption == str(noted)
    memory.close()


def test_only_one_process_writes_and_others_read(record: Path) -> None:
    writer = opened(record)
    with pytest.raises(MemoryStoreError, match=r"another process writes to .*own memory.path"):
        opened(record)
    reader = Memory(MemoryConfig(path=str(record)), SPACE, WIDTH, read_only=True)
    writer.note(step(3, unit(3), "c", state_id=3))
    assert len(reader) == 2 and len(writer) == 3
    with pytest.raises(MemoryStoreError):
        reader.note(step(4, unit(4), "d"))
    reader.close()
    writer.close()
    opened(record).close()


def test_other_models_entries_are_kept_but_not_searched(record: Path) -> None:
    memory = opened(record, space_id="other:1:16")
    assert (len(memory), memory.foreign) == (0, 2)
    memory.note(step(3, unit(3), "c", state_id=1))
    assert [s.caption for s in memory.find(unit(1))] == ["c"]
    memory.close()
    again = opened(record)
    assert (len(again), again.foreign) == (2, 1)
    again.close()


def test_what_was_written_too_long_ago_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1e9
    monkeypatch.setattr(memory_module.time, "time", lambda: now_s)
    memory = opened(tmp_path / "memory.db", max_age_s=50.0)
    # The stamps of a camera with a wrong clock decide nothing.
    for n in range(2 * memory_module.PRUNE_EVERY):
        now_s += 1.0
        memory.note(step(1e6 - n, unit(n), str(n), state_id=n))
    assert len(memory) == 50 + 1
    assert memory.find(unit(0))[0].caption != "0"
    assert memory.find(unit(200))[0].caption != "200"
    assert memory.find(unit(230))[0].caption == "230"
    memory.close()
    again = opened(tmp_path / "memory.db")
    assert len(again) == 51
    again.close()


def test_a_record_stays_within_its_size(tmp_path: Path) -> None:
    memory = opened(tmp_path / "memory.db", max_mb=0.2)
    sizes = []
    for n in range(4000):
        memory.note(step(n, unit(n), f"caption {n} ", state_id=n))
        sizes.append(memory.size_mb())
    # Looked at every 128 entries: so far it may go beyond.
    assert 0.15 < max(sizes) < 0.25
    assert memory.find(unit(3999))[0].caption.startswith("caption 3999 ")
    assert 100 < len(memory) < 4000
    memory.close()
    assert (tmp_path / "memory.db").stat().st_size < 0.5e6


def test_a_full_disk_costs_entries_and_nothing_else(record: Path) -> None:
    memory = opened(record)
    pages = memory._record._number("page_count")
    memory._record._database.execute(f"PRAGMA max_page_count = {pages}")
    refused = 0
    for n in range(3, 200):
        try:
            memory.note(step(n, unit(n), "x" * 200, state_id=n, camera=f"eye {n}"))
        except MemoryStoreError as error:
            assert "full" in str(error) and "make room" in str(error)
            refused += 1
    assert refused == memory.lost > 0
    kept = len(memory)
    assert kept == 199 - refused  # 2 before, and what still found room
    memory._record._database.execute(f"PRAGMA max_page_count = {pages + 100}")
    memory.note(step(500, unit(500), "room again", state_id=500, camera="eye 199"))
    assert memory.find(unit(500))[0].caption == "room again"
    memory.close()
    again = opened(record)
    assert len(again) == kept + 1
    again.close()


def test_a_newer_format(record: Path) -> None:
    with sqlite3.connect(record) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(MemoryStoreError, match=r"newer vljepa_ros \(format 99.*update"):
        opened(record)


def test_somebody_elses_database(tmp_path: Path) -> None:
    path = tmp_path / "bag.db3"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE messages(id INTEGER)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(MemoryStoreError, match=r"database of something else; set memory.path"):
        opened(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" * 9])
def test_rubbish(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memory.db"
    path.write_bytes(content)
    with pytest.raises(MemoryStoreError, match=r"cannot be used as a memory.*move this one away"):
        opened(path)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MemoryStoreError, match=r"cannot be written.*set memory.path"):
        opened(tmp_path / "file" / "memory.db")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MemoryStoreError, match="cannot be used as a memory"):
        opened(tmp_path / "folder")


def test_a_missing_record_is_not_made_by_reading(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(MemoryStoreError, match="cannot be used as a memory"):
        Memory(MemoryConfig(path=str(path)), SPACE, WIDTH, read_only=True)
    assert not path.exists()


def test_settings_can_change_meanwhile(memory: Memory) -> None:
    memory.note(step(0, unit(0), "first"))
    memory.note(step(1, unit(1)))
    assert len(memory) == 1
    memory.config = replace(memory.config, state_interval_s=0.5)
    memory.note(step(1.1, unit(1)))
    assert len(memory) == 2
