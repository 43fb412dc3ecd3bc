"""`vljepa export`: what stores hold is read back from a real Lance dataset, whole and once."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_ros.cli.main import main
from vljepa_ros.config import MemoryConfig
from vljepa_ros.types import EmbeddingE, EventReason, Pose, SemanticEvent, SemanticState, Step
from vljepa_ros.world.memory import Memory

SPACE, WIDTH, S = "tiny:0123456789abcdef:16", 16, 10**9
POSE = Pose("map", (1.5, -2.25, 1e-3), (0.0, 0.6, 0.0, 0.8))


@pytest.fixture
def lance() -> Any:
    return pytest.importorskip("lance", reason="needs pylance: pip install '.[lance]'")


def unit(seed: int) -> EmbeddingE:
    vector = np.random.default_rng(seed).normal(size=WIDTH)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def fill(path: Path, seeds: range, *, space_id: str = SPACE, camera: str = "eye") -> Path:
    """A store with an event a second; every second one knows where the camera was."""
    memory = Memory(MemoryConfig(path=str(path)), space_id, WIDTH)
    for n in seeds:
        state = SemanticState(n * S + 7, "", camera, 0, "What?", unit(n), (), n, 0, True, 0.0, 0.0)
        event = SemanticEvent(
            state.stamp_ns, "", camera, n, 0, EventReason.CHANGE, "What?", f"caption {n}", 1.0, (),
            unit(n), 0.0,
        )  # fmt: skip
        pose = dataclasses.replace(POSE, position_m=(float(n), 0.0, 0.0)) if n % 2 else None
        memory.note(Step(state, event), pose)
    memory.close()
    return path


def rows(lance: Any, dataset: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lance.dataset(str(dataset)).to_table().to_pylist()
    return sorted(found, key=lambda row: (row["camera"], row["stamp"].value))


def test_all_that_is_known_can_be_read_back_and_searched(
    lance: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = fill(tmp_path / "memory.db", range(1, 31)), tmp_path / "new" / "fleet.lance"
    assert main(["export", str(store), str(out)]) == 0
    assert "30 entries of" in capsys.readouterr().out
    found = rows(lance, out)
    assert [row["caption"] for row in found] == [f"caption {n}" for n in range(1, 31)]
    first, second = found[0], found[1]
    assert first["stamp"].value == S + 7 and str(first["stamp"].tz) == "UTC"
    assert (first["camera"], first["query"], first["state_id"]) == ("eye", "What?", 1)
    assert (first["is_event"], first["store"]) == (True, "memory.db")
    assert (first["pose_frame"], first["position_m"]) == ("map", [1.0, 0.0, 0.0])
    assert first["orientation_xyzw"] == list(POSE.orientation_xyzw)
    assert second["pose_frame"] is second["position_m"] is second["orientation_xyzw"] is None
    for n, row in enumerate(found, start=1):
        assert np.array_equal(np.array(row["embedding"], np.float16), unit(n).astype(np.float16))
    dataset = lance.dataset(str(out))
    assert dataset.schema.metadata[b"vljepa_ros.space_id"] == SPACE.encode()
    nearest = {"column": "embedding", "q": unit(17).astype(np.float16), "k": 1, "metric": "cosine"}
    assert dataset.to_table(nearest=nearest).to_pylist()[0]["caption"] == "caption 17"
    assert not list(out.parent.glob("*.partial"))


def test_a_dataset_grows_by_what_it_does_not_hold(
    lance: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = fill(tmp_path / "one.db", range(5)), fill(tmp_path / "two.db", range(7), camera="b")
    out = tmp_path / "fleet.lance"
    assert main(["export", str(one), str(two), str(out)]) == 0
    assert len(rows(lance, out)) == 12
    fill(one, range(5, 8))
    assert main(["export", str(one), str(two), str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "3 entries of" in lines[2] and "5 were there already; 15 in all" in lines[2]
    assert "0 entries of" in lines[3] and "7 were there already; 15 in all" in lines[3]
    captions = [row["caption"] for row in rows(lance, out)]
    assert captions == [*(f"caption {n}" for n in range(7)), *(f"caption {n}" for n in range(8))]


def test_another_space_is_refused_and_the_dataset_stays(
    lance: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = fill(tmp_path / "one.db", range(3))
    other = fill(tmp_path / "other.db", range(4), space_id="other:1:16")
    out = tmp_path / "fleet.lance"
    assert main(["export", str(one), str(other), str(out)]) == 1
    assert "datasets of their own" in capsys.readouterr().err and not out.exists()
    assert main(["export", str(one), str(out)]) == 0
    assert main(["export", str(other), str(out)]) == 1
    assert "holds embeddings of space tiny:" in capsys.readouterr().err
    assert len(rows(lance, out)) == 3


def test_a_store_of_several_spaces_needs_a_choice(
    lance: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = fill(tmp_path / "memory.db", range(3)), tmp_path / "fleet.lance"
    fill(store, range(3, 5), space_id="other:1:16")
    assert main(["export", str(store), str(out)]) == 1
    said = capsys.readouterr().err
    assert f"{SPACE} (3 entries), other:1:16 (2 entries)" in said and "--space" in said
    assert main(["export", str(store), str(out), "--space", "third"]) == 1
    assert "no entries of space third" in capsys.readouterr().err
    assert main(["export", str(store), str(out), "--space", "other:1:16"]) == 0
    assert [row["caption"] for row in rows(lance, out)] == ["caption 3", "caption 4"]


def test_a_store_of_the_older_format_is_exported_as_it_is(lance: Any, tmp_path: Path) -> None:
    store, out = fill(tmp_path / "memory.db", range(3)), tmp_path / "fleet.lance"
    database = sqlite3.connect(store)
    for statement in (
        "ALTER TABLE seen DROP COLUMN pose",
        "ALTER TABLE seen DROP COLUMN pose_frame",
        "PRAGMA user_version = 1",
    ):
        database.execute(statement)
    database.close()
    before = store.read_bytes()
    assert main(["export", str(store), str(out)]) == 0
    assert [row["position_m"] for row in rows(lance, out)] == [None] * 3
    assert store.read_bytes() == before


def test_what_is_none_of_ours_is_refused_and_stays(
    lance: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow as pa

    store = fill(tmp_path / "memory.db", range(3))
    foreign = tmp_path / "foreign.lance"
    lance.write_dataset(pa.table({"a": [1]}), str(foreign))
    (tmp_path / "empty.lance").mkdir()
    (tmp_path / "file.lance").write_text("words")
    for name in ("foreign", "empty", "file"):
        assert main(["export", str(store), str(tmp_path / f"{name}.lance")]) == 1
        assert "name another one" in capsys.readouterr().err
    assert lance.dataset(str(foreign)).to_table().to_pydict() == {"a": [1]}
    assert (tmp_path / "file.lance").read_text() == "words"


def test_a_full_disk_is_told_and_leaves_nothing_or_what_was_there(
    lance: Any, tmp_path: Path
) -> None:
    store, out = fill(tmp_path / "memory.db", range(3)), tmp_path / "out" / "fleet.lance"
    more = fill(tmp_path / "more.db", range(1000), camera="b")

    def run(*arguments: Path) -> str:
        """With no file growing beyond 40 kB, as on a disk that is full."""
        command = [sys.executable, "-m", "vljepa_ros.cli.main", "export", *map(str, arguments)]
        limited = ["bash", "-c", 'ulimit -f 40; exec "$@"', "bash", *command]
        ran = subprocess.run(limited, capture_output=True, text=True, check=False)
        assert ran.returncode == 1
        return ran.stderr

    said = run(more, out)
    assert "cannot be written" in said and "disk not full" in said and said.count("\n") == 1
    assert not list(out.parent.iterdir())
    assert main(["export", str(store), str(out)]) == 0
    assert "cannot be written" in run(more, out)
    assert len(rows(lance, out)) == 3


def test_without_lance_it_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lance", None)
    store = fill(tmp_path / "memory.db", range(3))
    assert main(["export", str(store), str(tmp_path / "fleet.lance")]) == 1
    said = capsys.readouterr().err
    assert "pip install '.[lance]'" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["memory.db", "fleet"], "must end in .lance"),
        (["none.db", "fleet.lance"], "cannot be used as a memory"),
        (["empty.db", "fleet.lance"], "nothing was seen yet"),
        (["newer.db", "fleet.lance"], "update vljepa_ros"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    names: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "memory.db", range(3))
    fill(tmp_path / "empty.db", range(0))
    fill(tmp_path / "newer.db", range(3))
    with sqlite3.connect(tmp_path / "newer.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert main(["export", *(str(tmp_path / name) for name in names)]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert not (tmp_path / names[1]).exists()
