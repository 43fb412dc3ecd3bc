"""`vljepa search` in a recording: yesterday's bag is asked like a memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="recordings need rosbags: pip install 'rosbags>=0.11'")

from bag_harness import CORPUS, Shot, film, make_model, read_bag, stamp_of, write_bag
from rosbags.rosbag2 import Reader

from vljepa_ros.cli.main import main
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.recordings.messages import EVENT, STATE
from vljepa_ros.recordings.steps import read_steps
from vljepa_ros.world.record import Record

OTHER = "/vljepa/other"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def recording(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two nodes; the second looked at a bag in which something else happens later."""
    folder = tmp_path_factory.mktemp("recording")
    bag = write_bag(folder / "bag", film())
    assert main(["replay", str(bag), "-o", str(folder / "one.mcap"), "--model", str(model)]) == 0
    more = ["-o", str(folder / "two.mcap"), "--node", OTHER, "--model", str(model)]
    assert main(["replay", str(folder / "one.mcap"), *more]) == 0
    return folder / "two.mcap"


def search(
    capsys: pytest.CaptureFixture[str], recording: Path, model: Path, *more: str
) -> tuple[int, list[dict], str]:
    code = main(["search", str(recording), CORPUS[2], "--model", str(model), "--json", *more])
    captured = capsys.readouterr()
    return code, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_steps_are_those_that_were_written(recording: Path) -> None:
    steps = [step for _, step in read_steps(recording)["/vljepa/perception"]]
    written = read_bag(recording)
    states, events = written.states(), written.events()
    assert [s.state.state_id for s in steps] == [m.state_id for m in states]
    assert [s.state.stamp_ns for s in steps] == [stamp_of(n) for n in range(8)]
    for step, message in zip(steps, states, strict=True):
        assert (step.state.embedding_E == message.embedding.data).all()
    told = [s.event for s in steps if s.event]
    assert [e.caption for e in told] == [m.caption for m in events] and len(events) >= 1
    assert [int(e.reason) for e in told] == [m.reason for m in events]


def test_what_a_recording_shows_is_found_at_its_time(
    recording: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found, said = search(capsys, recording, model, "--node", "/vljepa/perception", "-k", "50")
    assert code == 0 and not said
    states = {s.state.state_id for _, s in read_steps(recording)["/vljepa/perception"]}
    assert {f["state_id"] for f in found} == states, "one line for each state"
    similarities = [f["similarity"] for f in found]
    assert similarities == sorted(similarities, reverse=True)
    assert all(stamp_of(0) <= f["stamp_ns"] <= stamp_of(7) for f in found)
    assert found[0]["caption"] in [m.caption for m in read_bag(recording).events()]


def test_all_nodes_of_a_recording_are_searched(
    recording: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = search(capsys, recording, model, "-k", "50")[1]
    one = search(capsys, recording, model, "-k", "50", "--node", OTHER)[1]
    assert len(both) == 2 * len(one) and len(one) >= 1
    assert len(search(capsys, recording, model, "-k", "1")[1]) == 1


def test_events_whose_states_were_not_recorded_are_found(
    recording: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shots: list[Shot] = []
    first_state = True
    with Reader(recording) as reader:
        for connection, log_ns, data in reader.messages():
            if connection.msgtype in (STATE, EVENT) and connection.topic.startswith("/vljepa/p"):
                if connection.msgtype == STATE and not first_state:
                    continue
                first_state = first_state and connection.msgtype != STATE
                shots.append(Shot(bytes(data), log_ns, connection.topic, connection.msgtype))
    bag = write_bag(tmp_path / "bag", shots)
    found = search(capsys, bag, model, "-k", "50")[1]
    assert {f["caption"] for f in found} == {m.caption for m in read_bag(recording).events()}


def foreign_model(recording: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    folder = tmp_path / "foreign"
    folder.mkdir()
    checkpoint.save(VLJepa(presets.tiny()), train_tokenizer(CORPUS, 300), folder, {})
    return recording, ["--model", str(folder)]


def a_memory(recording: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    Record(tmp_path / "seen.db3").close()
    return tmp_path / "seen.db3", ["--node", "/x"]


def a_film(recording: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0 ftypisom")
    return tmp_path / "film.mp4", []


def test_a_database_of_ros2_bag_is_a_recording(
    recording: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shots = []
    with Reader(recording) as reader:
        for connection, log_ns, data in reader.messages():
            shots.append(Shot(bytes(data), log_ns, connection.topic, connection.msgtype))
    bag = write_bag(tmp_path / "bag", shots, "sqlite3")
    [file] = bag.glob("*.db3")
    assert search(capsys, file, model) == search(capsys, recording, model)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (foreign_model, "are of another model than"),
        (lambda r, tmp: (write_bag(tmp / "bag", film()), []), "make them: vljepa replay"),
        (lambda r, tmp: (r, ["--node", "/none"]), "nodes: /vljepa/other, /vljepa/perception"),
        (lambda r, tmp: (tmp / "none.mcap", []), "does not exist"),
        (a_memory, "--node is for recordings"),
        (a_film, "if it is a video, perceive it first: vljepa replay"),
    ],
)
def test_what_cannot_be_searched_is_said_in_a_line(
    make: Callable[[Path, Path], tuple[Path, list[str]]],
    said: str,
    recording: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, more = make(recording, tmp_path)
    code, found, error = search(capsys, path, model, *more)
    assert code == 1 and not found
    assert said in error and error.count("\n") == 1
