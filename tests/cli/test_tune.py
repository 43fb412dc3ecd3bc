"""`vljepa tune`: the curve, the parameter file, and what it says where it cannot."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("rosbags", reason="recordings need rosbags: pip install 'rosbags>=0.11'")

from bag_harness import BEGIN_NS, make_model, picture, raw, read_bag, text, write_bag

from vljepa_ros.cli import tune as command
from vljepa_ros.cli.main import main
from vljepa_ros.recordings import tuning

GIVEN = """
/**/perception:
  ros__parameters:
    camera: left
    labels: [a cube, a cup]
    selective: {trust: 1.0, noise_factor: 0.0, patience_s: 0.0, max_interval_s: 0.0}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 s in which the scene changes every 2 s."""
    stamps_ns = [BEGIN_NS + n * 500_000_000 for n in range(20)]
    shots = [raw(picture(n // 4), stamp_ns) for n, stamp_ns in enumerate(stamps_ns)]
    return write_bag(tmp_path_factory.mktemp("tune") / "bag", shots)


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "given.yaml"
    path.write_text(GIVEN)
    return path


def run(model: Path, *arguments: object) -> int:
    return main(["tune", *map(str, arguments), "--model", str(model), "--device", "cpu"])


def test_the_file_makes_a_replay_speak_as_often_as_was_said(
    bag: Path, model: Path, params: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out = tmp_path / "found.yaml", tmp_path / "out.mcap"
    assert run(model, bag, "--events-per-minute", 20, "--params", params, "-o", found) == 0
    said = capsys.readouterr().out
    [chosen] = [line.split() for line in said.splitlines() if "chosen" in line]
    assert main(["replay", str(bag), "-o", str(out), "--params", str(found)]) == 0
    written = read_bag(out)
    assert len(written.events()) - 1 == int(chosen[1]) > 0
    limits = {round(state.change_threshold, 4) for state in written.states()[1:]}
    assert limits == {float(chosen[0])}
    assert {state.camera for state in written.states()} == {"left"}
    assert "words decide in 0 %" in said and "selective.distance_threshold" in said


def test_without_output_the_parameters_are_shown(
    bag: Path, model: Path, params: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.iterdir())
    assert run(model, bag, bag, "--events-per-minute", 20, "--params", params) == 0
    said = capsys.readouterr().out
    assert "/**/perception:\n  ros__parameters:\n" in said
    assert re.search(r"^ {6}distance_threshold: 0\.\d+$", said, re.MULTILINE)
    assert re.search(r"(?m)^( +-?\d\.\d\d){10}  a cube$", said)
    assert sorted(tmp_path.iterdir()) == before


def test_labels_of_a_file_and_a_parameter_of_choice(
    bag: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a red door\n\na red door\na hand \n")
    options = ["--labels", labels, "--parameter", "threshold"]
    assert run(model, bag, "--events-per-minute", 20, *options) == 0
    said = capsys.readouterr().out
    assert len(re.findall(r"(?m)^ .*  a red door$", said)) == 1 and "  a hand\n" in said
    assert "labels:\n    - a red door\n    - a hand\n" in said
    assert "tuned: selective.threshold" in said


def test_the_plot_is_a_picture_of_its_own(
    bag: Path, model: Path, params: Path, tmp_path: Path
) -> None:
    plot = tmp_path / "new" / "curve.svg"
    options = ["--params", params, "--plot", plot]
    assert run(model, bag, "--events-per-minute", 20, *options) == 0
    root = ElementTree.parse(plot).getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{name}svg"
    assert len(list(root.iter(f"{name}polyline"))) == 2
    assert "href" not in plot.read_text() and "url(" not in plot.read_text()
    texts = {t.text: float(t.get("x", 0)) for t in root.iter(f"{name}text")}
    assert any("events a minute at distance_threshold" in (text or "") for text in texts)
    places = [texts[text] for text in ("0.01", "0.1", "0.5", "0.9", "0.99", "0.999", "0.9999")]
    apart = [right - left for left, right in pairwise(places)]
    assert min(apart) > 80, "the ends of the scale have room to be read"


def test_a_rate_out_of_reach_is_said(
    bag: Path, model: Path, params: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.yaml"
    options = ["--params", params, "-o", found]
    assert run(model, bag, "--events-per-minute", 5000, *options) == 0
    said = capsys.readouterr().err
    assert "5000 events a minute are out of reach" in said and "the nearest is" in said
    assert "lower selective.min_interval_s" in said
    assert found.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{tmp}/none"], "none does not exist"),
        (["{bag}", "-o", "{tmp}/given.yaml"], "given.yaml is there already; give --force"),
        (["{bag}", "--plot", "{tmp}/given.yaml", "--force"], "name it {tmp}/given.svg"),
        (["{bag}", "--labels", "{tmp}/no.txt"], "no.txt cannot be read"),
        (["{bag}", "--labels", "{tmp}/empty.txt"], "empty.txt names no label"),
        (["{bag}", "--topic", "/no"], "no topic /no"),
        (["{tmp}/deaf"], "no topic of type sensor_msgs"),
        (["{tmp}/short"], "too short"),
        (["{bag}", "--params", "{tmp}/no.yaml"], "no.yaml cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: list[str],
    said: str,
    bag: Path,
    model: Path,
    params: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_bag(tmp_path / "deaf", [text("a", BEGIN_NS)])
    write_bag(tmp_path / "short", [raw(picture(), BEGIN_NS + n * 10**8) for n in range(3)])
    (tmp_path / "empty.txt").write_text("\n \n")
    before = sorted(tmp_path.rglob("*"))
    filled = [a.format(bag=bag, tmp=tmp_path) for a in arguments]
    assert run(model, *filled, "--events-per-minute", 20) == 1
    captured = capsys.readouterr()
    assert said.format(tmp=tmp_path) in captured.err and not captured.out
    assert captured.err.startswith("vljepa tune: ") and captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "often"])
def test_no_rate(rate: str, bag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["tune", str(bag), f"--events-per-minute={rate}"])
    assert end.value.code == 2 and "is no rate" in capsys.readouterr().err


def test_the_parameters_are_the_librarys() -> None:
    assert command.PARAMETERS == tuning.PARAMETERS
