"""`vljepa replay`: what its options do, and what it says where it cannot."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="recordings need rosbags: pip install 'rosbags>=0.11'")

from bag_harness import TOPIC, film, make_model, picture, raw, read_bag, stamp_of, write_bag

from vljepa_ros.cli import progress
from vljepa_ros.cli.main import main
from vljepa_ros.recordings import replay as library


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_bag(tmp_path / "bag", film())


def run(model: Path, *arguments: object) -> int:
    return main(["replay", *map(str, arguments), "--model", str(model), "--device", "cpu"])


def test_one_bag_to_one_file(
    bag: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, bag, "-o", tmp_path / "out.mcap") == 0
    assert f"8 images of {TOPIC}, 8 states" in capsys.readouterr().out
    assert len(read_bag(tmp_path / "out.mcap").states()) == 8


def test_parameters_come_from_the_file_of_the_nodes(bag: Path, model: Path, tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(
        "/**/perception:\n  ros__parameters:\n    camera: left\n    labels: [a cup]\n"
        f"    model_path: {model}\n    rate_hz: 4.0\n"
        "/**:\n  ros__parameters: {query: Describe the scene., deadline_s: 3.0}\n"
    )
    out = tmp_path / "out.mcap"
    assert main(["replay", str(bag), "-o", str(out), "--params", str(params)]) == 0
    states = read_bag(out).states()
    assert [s.camera for s in states] == ["left"] * 4
    assert (states[0].query, states[0].labels[0].label) == ("Describe the scene.", "a cup")


def test_topic_node_and_originals(model: Path, tmp_path: Path) -> None:
    other = [raw(picture(n), stamp_of(n), topic="/other") for n in range(3)]
    bag = write_bag(tmp_path / "bag", sorted([*film(), *other], key=lambda s: s.log_ns))
    options = ["--topic", "/other", "--node", "again", "--without-originals"]
    assert run(model, bag, "-o", tmp_path / "out.mcap", *options) == 0
    found = read_bag(tmp_path / "out.mcap")
    assert len(found.states("/again")) == 3 and all(t.startswith("/again/") for t in found.topics)


def test_several_bags_go_to_a_folder_and_a_broken_one_stops_no_other(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bags = [write_bag(tmp_path / name, film()) for name in ("one", "two", "three")]
    (bags[1] / "metadata.yaml").unlink()
    out = tmp_path / "out"
    assert run(model, *bags, "-o", out) == 1
    assert sorted(p.name for p in out.iterdir()) == ["one.mcap", "three.mcap"]
    said = capsys.readouterr()
    assert "ros2 bag reindex" in said.err
    assert said.err.splitlines()[-1].endswith(f"run again with --resume: {bags[1]}")
    assert len(said.out.splitlines()) == 2


def test_what_is_there_is_refused_replaced_or_left(
    bag: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = write_bag(tmp_path / "second", film(4))
    out = tmp_path / "out"
    assert run(model, bag, "-o", f"{out}/") == 0
    first = (out / "bag.mcap").stat()
    assert run(model, bag, second, "-o", out) == 1
    assert "--force" in capsys.readouterr().err and not (out / "second.mcap").exists()
    assert run(model, bag, second, "-o", out, "--resume") == 0
    assert (out / "bag.mcap").stat() == first and (out / "second.mcap").exists()
    assert run(model, bag, "-o", out, "--resume") == 0
    assert "there already" in capsys.readouterr().out
    assert run(model, bag, "-o", out, "--force") == 0
    assert (out / "bag.mcap").stat() != first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{bag}", "-o", "{tmp}/out"], "give -o {tmp}/out.mcap"),
        (["{bag}", "{bag}", "-o", "{tmp}/out.mcap"], "one file for 2 recordings"),
        (["{bag}", "{tmp}/a/../bag", "-o", "{tmp}/out"], "several recordings would become"),
        (["{bag}", "-o", "{bag}/out.mcap"], "write elsewhere"),
        (["{tmp}/none", "-o", "{tmp}/out.mcap"], "none does not exist"),
        (["{bag}", "-o", "{tmp}/out.mcap", "--topic", "/no"], "no topic /no"),
        (["{bag}", "-o", "{tmp}/out.mcap", "--params", "{tmp}/no.yaml"], "no.yaml cannot be read"),
        (["{bag}", "-o", "{tmp}/out.mcap", "--force", "--resume"], "give one of them"),
        (["{bag}", "-o", "{tmp}/out.mcap", "--ray-workers", "2"], "add --ray"),
        (["{bag}", "-o", "{tmp}/out.mcap", "--device", "abacus"], "abacus"),
        (["{bag}", "-o", "{tmp}/out.mcap", "--model", "{tmp}/no"], "{tmp}/no"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: list[str],
    said: str,
    bag: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(tmp_path.rglob("*"))
    filled = [a.format(bag=bag, tmp=tmp_path) for a in arguments]
    if "--model" not in filled:
        filled += ["--model", str(model)]
    assert main(["replay", *filled]) == 1
    captured = capsys.readouterr()
    assert said.format(bag=bag, tmp=tmp_path) in captured.err and not captured.out
    assert captured.err.startswith("vljepa replay: ") and captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_query_that_is_no_text(
    bag: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text('perception: {ros__parameters: {query: "a\\0b"}}')
    assert run(model, bag, "-o", tmp_path / "out.mcap", "--params", params) == 1
    assert "text" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["soon", "1960-01-01"])
def test_no_time(start: str, bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["replay", str(bag), "-o", "out.mcap", "--video-start", start])
    assert end.value.code == 2 and "2026-11-25T08:00" in capsys.readouterr().err


def test_notes_are_said(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "bag", [*film(), raw(picture(), stamp_of(9), encoding="odd")])
    assert run(model, bag, "-o", tmp_path / "out.mcap") == 0
    assert "1 image left out" in capsys.readouterr().err


def test_without_rosbags_it_says_how_to_get_it(
    bag: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    assert run(model, bag, "-o", tmp_path / "out.mcap") == 1
    assert "pip install 'rosbags>=0.11'" in capsys.readouterr().err


def test_without_ray_it_says_how_to_get_it(
    bag: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(model, bag, "-o", tmp_path / "out.mcap", "--ray") == 1
    said = capsys.readouterr().err
    assert "pip install '.[ray]'" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ray-workers", "0"], "write 1 or more"),
        (["--ray-gpus", "many"], "write 0, 0.5 or 1"),
        (["--ray-gpus", "-1"], "write 0, 0.5 or 1"),
    ],
)
def test_no_share_of_a_cluster(
    options: list[str], said: str, bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["replay", str(bag), "-o", "out.mcap", "--ray", *options])
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_the_defaults_are_the_librarys() -> None:
    from vljepa_ros.cli import perception, replay

    assert replay.DEFAULT_NODE == library.DEFAULT_NODE
    assert library.ReplayOptions().video_start_ns == perception.VIDEO_START_NS


def test_progress_is_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    with progress.Progress("bag") as told:
        told(1, 4)
        told(2, 0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("bag: 1 of 4 (25 %) images, ")
    assert lines[1].startswith("bag: 2 images, ")


DRAWN = """
from vljepa_ros.cli.progress import Progress

with Progress("bag") as told:
    for seen in range(1, 9):
        told(seen, 8)
"""


def test_progress_is_a_bar_on_a_terminal() -> None:
    pytest.importorskip("tqdm", reason="without tqdm there are lines only")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    subprocess.run([sys.executable, "-c", DRAWN], stderr=theirs, check=True)
    os.close(theirs)
    drawn = b""
    with suppress(OSError):  # how Linux says that the other side has closed
        while chunk := os.read(ours, 4096):
            drawn += chunk
    os.close(ours)
    assert b"bag: 100%" in drawn and b"8/8" in drawn
