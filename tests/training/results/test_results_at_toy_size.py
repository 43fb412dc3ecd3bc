"""`make results QUICK=1`: every result that it can, at toy size, and the tables made of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training.compare.claims import CLAIMS, MEASURES, SECONDS
from training.compare.settings import LEARNERS, VARIANTS
from training.results import pages
from training.results.registry import RESULTS

DOCS = Path(__file__).resolve().parents[3] / "docs"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages and files of results at toy size; what was printed is in `printed`."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "training.results", "--quick", "true", "--out", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    (folder / "printed").write_text(done.stdout)
    return folder


def tables(docs: Path) -> dict[str, str]:
    return {
        found.group(2): found.group()
        for page in pages.PAGES
        for found in pages.MARKED.finditer((docs / page).read_text())
    }


def test_every_table_is_made_anew(docs: Path) -> None:
    made = {file.stem for file in (docs / "results").glob("*.json")}
    assert made >= {r.name for r in RESULTS if (r.quick or r.runs) and not r.package}
    here, shown = tables(docs), tables(DOCS)
    assert here.keys() == shown.keys() == pages.TABLES.keys()
    for name, text in here.items():
        assert text != shown[name] and text.count("\n| ") > 2, name
    assert "stays as it is" not in (docs / "printed").read_text()


def test_the_comparison(docs: Path) -> None:
    said = json.loads((docs / "results" / "compare.json").read_text())
    assert set(said["learners"]) == {*LEARNERS, *VARIANTS} and said["seeds"] == [1, 2]
    for name, one in said["learners"].items():
        assert one["steps"] == [2, 4] and len(one["seconds"]) == 2
        assert len(one["scores"]["vqa_macro"]) == 2 and "vqa_macro_blind" in one["scores"]
        for curve in one["scores"].values():
            for bounds in curve:
                assert bounds["low"] <= bounds["value"] <= bounds["high"], name
    assert "scene_caption_match" in said["learners"]["symbolic"]["scores"]
    assert "transition_accuracy" not in said["learners"]["symbolic"]["scores"]
    assert "scene_caption_match" not in said["learners"]["dual"]["scores"]
    assert [claim["measure"] for claim in said["claims"]] == [claim.measure for claim in CLAIMS]
    verdicts = {claim["verdict"] for claim in said["claims"] if claim["at"] != SECONDS}
    assert verdicts <= {"holds", "the opposite holds", "no difference shown"}
    beside = {(one["ours"], one["theirs"]) for one in said["beside"] if one["difference"]}
    assert {("jepa", "token_brief"), ("jepa_brief", "dual"), ("jepa", "token_deep")} <= beside
    assert "action_caption_r1_of_100_blind" in said["learners"]["dual"]["scores"]
    assert said["chance"]["scene_caption_r1_of_100"] == pytest.approx(0.01)
    assert {"answer_ms", "caption_ms", "step_s"} <= set(said["cost_ratios"]["token"])
    assert (docs / "results" / "compare.png").stat().st_size > 10_000
    printed = (docs / "printed").read_text()
    assert all(measure in printed for measure in MEASURES)
