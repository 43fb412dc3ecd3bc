"""`vljepa report`: a page of a recording, or one line that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="recordings need rosbags: pip install 'rosbags>=0.11'")

from bag_harness import film, make_model, write_bag

from vljepa_ros.cli.main import main


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    bag, model = write_bag(folder / "bag", film()), make_model(folder / "model")
    output = folder / "out.mcap"
    assert main(["replay", str(bag), "-o", str(output), "--model", str(model)]) == 0
    return output


def test_a_page(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["report", str(recording), "-o", str(page)]) == 0
    assert f"{page}: " in capsys.readouterr().out
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert main(["report", str(recording), "-o", str(page)]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["report", str(recording), "-o", str(page), "--force", "--pictures", "0"]) == 0
    assert "<img" not in page.read_text()


def test_a_file_for_rerun_beside_the_page(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerun", reason="needs rerun-sdk: pip install '.[rerun]'")
    page, logged = tmp_path / "page.html", tmp_path / "out.rrd"
    assert main(["report", str(recording), "--rerun", str(logged)]) == 0
    assert "8 states" in capsys.readouterr().out and list(tmp_path.iterdir()) == [logged]
    options = ["-o", str(page), "--rerun", str(logged), "--force"]
    assert main(["report", str(recording), *options]) == 0
    assert page.exists()


def test_one_of_the_two_must_be_wanted(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(recording)]) == 1
    assert "give -o PAGE.html, --rerun OUT.rrd or both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recording": "none.mcap"}, "none.mcap does not exist"),
        ({"--node": "/other"}, "nodes: /vljepa/perception"),
        ({"--topic": "/other"}, "no image topic /other"),
        ({"--pictures": "-1"}, "--pictures must be 0 or more"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    change: dict[str, str],
    said: str,
    recording: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = change.get("recording", str(recording))
    options = [part for pair in change.items() if pair[0] != "recording" for part in pair]
    assert main(["report", source, "-o", str(tmp_path / "page.html"), *options]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
