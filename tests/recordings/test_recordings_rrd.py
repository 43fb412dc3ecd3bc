"""A recording for Rerun: read back, it says what the recording says."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_harness import TOPIC, film, picture, raw, read_bag, stamp_of, text, write_bag

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.replay import replay
from vljepa_ros.recordings.rrd import write_rrd

LABELS = ("a cube", "a/b: cup!")
CONFIG = PerceptionConfig(
    camera="left eye",
    labels=LABELS,
    selective=SelectiveConfig(distance_threshold=0.01, trust=1.0, noise_factor=0.0, patience_s=0.0),
)
Entities = dict[str, dict[int, Any]]
"""Entity -> stamp [ns] -> what was logged."""


@pytest.fixture(scope="module")
def recording(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    shots = [*film(8), raw(picture(), stamp_of(9), encoding="odd")]
    replay(write_bag(folder / "bag", shots), folder / "out.mcap", engine, CONFIG)
    return folder / "out.mcap"


def read(path: Path) -> Entities:
    chunks = pytest.importorskip("rerun.chunk", reason="needs rerun-sdk: pip install '.[rerun]'")
    found: Entities = defaultdict(dict)
    for chunk in chunks.RrdReader(path).stream():
        batch = chunk.to_record_batch()
        if "stamp" not in batch.schema.names:
            continue
        stamps_ns = batch.column("stamp").cast("int64").to_pylist()
        values = [name for name in batch.schema.names if name.rpartition(":")[2] in VALUES]
        for stamp_ns, value in zip(stamps_ns, batch.column(values[0]).to_pylist(), strict=True):
            found[chunk.entity_path][stamp_ns] = value[0]
    return found


VALUES = ("scalars", "state", "text", "blob")


def test_all_that_was_perceived_is_in_it(recording: Path, tmp_path: Path) -> None:
    rerun = pytest.importorskip("rerun", reason="needs rerun-sdk: pip install '.[rerun]'")
    counts = write_rrd(recording, tmp_path / "new" / "out.rrd")
    found = read(tmp_path / "new" / "out.rrd")
    written = read_bag(recording)
    states, events = ({ns(m): m for m in some} for some in (written.states(), written.events()))
    assert counts == {"states": len(states), "events": len(events), "frames": 8}
    assert len(states) == 8 and len(events) >= 2

    def entity(*parts: str) -> dict[int, Any]:
        return found.pop(rerun.new_entity_path(["", *parts]).replace("//", "/"))

    assert entity("change", "left eye", "score") == {k: s.change_score for k, s in states.items()}
    limits = entity("change", "left eye", "threshold")
    assert limits == {k: s.change_threshold for k, s in states.items()}
    for number, label in enumerate(LABELS):
        shares = {k: s.labels[number].probability for k, s in states.items()}
        assert entity("labels", "left eye", label) == shares
    captions = {k: e.caption or f"(state {e.state_id}, no caption)" for k, e in events.items()}
    assert entity("states", "left eye") == captions
    said = entity("captions", "left eye")
    assert all(said[k].startswith(f"{caption} [") for k, caption in captions.items())
    frames = entity("frames", TOPIC.strip("/"))
    assert sorted(frames) == sorted(states)
    for number in (0, 7):
        pixels = np.frombuffer(bytes(frames[stamp_of(number)]), np.uint8)
        rgb_HWC = cv2.cvtColor(cv2.imdecode(pixels, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.abs(rgb_HWC.astype(int) - picture(number // 4)).mean() < 12
    assert not found


def ns(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)


def test_what_is_there_is_replaced_by_force_only(recording: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="needs rerun-sdk: pip install '.[rerun]'")
    path = tmp_path / "out.rrd"
    path.write_text("mine")
    with pytest.raises(RecordingError, match="--force"):
        write_rrd(recording, path)
    assert path.read_text() == "mine"
    write_rrd(recording, path, force=True)
    assert read(path)
    with pytest.raises(RecordingError, match="cannot be written"):
        write_rrd(recording, path / "out.rrd")
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told(recording: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="needs rerun-sdk: pip install '.[rerun]'")
    (tmp_path / "out.rrd.partial").symlink_to("/dev/full")
    with pytest.raises(RecordingError, match=r"no room for .*out\.rrd .*[Nn]o space left"):
        write_rrd(recording, tmp_path / "out.rrd")
    assert not list(tmp_path.iterdir())


def test_rerun_that_is_switched_off_is_told(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rerun", reason="needs rerun-sdk: pip install '.[rerun]'")
    monkeypatch.setenv("RERUN", "off")
    with pytest.raises(RecordingError, match="unset the environment variable RERUN"):
        write_rrd(recording, tmp_path / "out.rrd")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_told_leaves_nothing(recording: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="needs rerun-sdk: pip install '.[rerun]'")
    silent = write_bag(tmp_path / "silent", [text("a", stamp_of(0))])
    for source, options, said in (
        (tmp_path / "none", {}, "does not exist"),
        (silent, {}, "vljepa replay"),
        (recording, {"node": "/other"}, "nodes: /vljepa/perception"),
        (recording, {"topic": "/other"}, "no image topic /other"),
    ):
        with pytest.raises(RecordingError, match=said):
            write_rrd(source, tmp_path / "out.rrd", **options)
    assert list(tmp_path.iterdir()) == [silent]


def test_without_rerun_it_says_how_to_get_it(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(RecordingError, match=r"pip install 'rerun-sdk>=0\.41"):
        write_rrd(recording, tmp_path / "out.rrd")
    assert not list(tmp_path.iterdir())
