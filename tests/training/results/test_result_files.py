"""Files of results say where they come from, and the pages say what the files do."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from training.results import __main__ as command
from training.results import pages
from training.results.figures import Files, NotMeasuredError, interval, markdown, number
from training.results.measure import measure
from training.results.registry import RESULTS, Result
from vljepa_ros.config import ConfigError

DOCS = Path(__file__).resolve().parents[3] / "docs"
SHOWN = Files(DOCS / "results")


@pytest.mark.parametrize("page", pages.PAGES)
def test_the_pages_say_what_the_files_do(page: str) -> None:
    text = (DOCS / page).read_text()
    missing: list[str] = []
    assert pages.filled(text, SHOWN, missing.append) == text, (
        "run make results ARGS='--tables true'"
    )
    assert not missing


def test_every_table_stands_on_a_page() -> None:
    marked = [
        name
        for page in pages.PAGES
        for _, name, _ in pages.MARKED.findall((DOCS / page).read_text())
    ]
    assert sorted(marked) == sorted(pages.TABLES)


@pytest.mark.parametrize("file", sorted(SHOWN.folder.glob("*.json")), ids=lambda file: file.stem)
def test_every_file_names_seed_commit_machine_and_command(file: Path) -> None:
    said = json.loads(file.read_text())
    assert file.stem in {result.name for result in RESULTS}
    assert said["command"].startswith("python -m ")
    assert said["commit"] and "dirty" not in said["commit"] and said["date"].startswith("20")
    assert said["machine"]["cpu"] and said["machine"]["cores"]
    assert "seed" in said or file.stem == "demo"  # a recording has none
    assert " /" not in said["command"]  # no path of one machine


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.name)
def test_every_result_has_a_command(result: Result) -> None:
    assert importlib.util.find_spec(result.command[0]) is not None
    assert bool(result.runs) == bool(result.trained_by)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.4837, ".484"), (-0.0204, "−.020"), (1.6275, "1.627"), (-0.0001, ".000"), (None, "–")],
)
def test_numbers_are_written_alike(value: float | None, words: str) -> None:
    assert number(value) == words


def test_a_difference_shows_its_sign_and_its_interval() -> None:
    found = {"value": 0.0, "low": -0.0312, "high": 0.5}
    assert interval(found, sign=True, places=2) == "+.00 (−.03 to .50)"
    assert markdown(["", "a"], [["b", "1"]]) == "|  | a |\n| --- | --- |\n| b | 1 |"


def test_a_table_without_its_files_stays(tmp_path: Path) -> None:
    page = "before\n<!-- table: world -->\nold\n<!-- end of table -->\nafter"
    said: list[str] = []
    assert pages.filled(page, Files(tmp_path), said.append) == page
    assert "--only '[world]'" in said[0]
    with pytest.raises(NotMeasuredError):
        Files(tmp_path)["world"]
    with pytest.raises(ConfigError, match="no table 'wrld'; use one of learners"):
        pages.filled(page.replace("world", "wrld"), Files(tmp_path))


def test_what_was_printed_is_kept_with_its_origin(tmp_path: Path) -> None:
    speed = Result("memory_speed", ("training.evaluate.memory_speed",), ("--entries", "300"))
    lines: list[str] = []
    measure(speed, tmp_path, quick=True, say=lines.append)
    said = Files(tmp_path)["memory_speed"]
    assert said["entries"] == 300 and said["machine"]["torch"]
    assert said["command"] == "python -m training.evaluate.memory_speed --entries 300"
    assert "memory_speed: python -m training.evaluate.memory_speed --entries 300" in lines


def test_a_command_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="failed"):
        measure(Result("rare", ("training.evaluate.rare", "--model", "nowhere")), tmp_path)
    with pytest.raises(ConfigError, match="no JSON object"):
        measure(Result("help", ("training.evaluate.rare", "--help")), tmp_path)
    assert not list(tmp_path.iterdir())


def test_runs_and_packages_that_are_missing_are_named() -> None:
    lacking = Result("x", ("y",), runs="no/such/runs", trained_by="python -m training.compare run")
    assert "first: python -m training.compare run" in lacking.missing()
    assert "pip install" in Result("x", ("y",), package="no_such_package").missing()
    assert not Result("x", ("y",), runs="docs", trained_by="z").missing()


def test_one_that_fails_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for page in pages.PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text((DOCS / page).read_text())
    broken = Result("rare", ("training.evaluate.rare", "--model", "nowhere"), ())
    speed = Result("memory_speed", ("training.evaluate.memory_speed",), ("--entries", "300"))
    lacking = Result("compare", ("training.compare", "report"), (), runs="no/such/runs")
    monkeypatch.setattr(command, "RESULTS", (broken, lacking, speed))
    with pytest.raises(ConfigError, match=r"not measured: .*rare --model nowhere failed"):
        command.regenerate(tmp_path, [], quick=True)
    assert Files(tmp_path / "results")["memory_speed"]["entries"] == 300
    assert "compare: left as it is: no finished runs in no/such/runs" in capsys.readouterr().out
    assert "`memory_speed.json`" in (tmp_path / pages.PAGES[1]).read_text()


def test_an_unknown_result_is_told() -> None:
    with pytest.raises(SystemExit, match="no result 'wrld'; use some of tabletop, world"):
        command.main(only=["wrld"])
