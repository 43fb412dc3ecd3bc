"""MTEB itself runs our models on local clips; no address is looked up."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tabletop_clips
from little_benchmarks import LITTLE
from tabletop_clips import MODEL

from training.data.errors import DataError
from training.evaluate.external import __main__ as ours
from training.evaluate.external import benchmarks, embedders
from training.evaluate.external.mteb import __main__ as command

ASKED = sorted(LITTLE.keys() - {"worldprediction"})


@pytest.fixture
def mteb(monkeypatch: pytest.MonkeyPatch) -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the network was asked")

    module = pytest.importorskip("mteb", reason="needs mteb: pip install '.[mteb]'")
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return module


def run(mteb: Any, embedder: Any, task: Any) -> dict[str, Any]:
    from training.evaluate.external.mteb.model import MtebEncoder

    quiet = {"cache": None, "co2_tracker": False, "show_progress_bar": False}
    result = mteb.evaluate(
        MtebEncoder(embedder),
        task,
        encode_kwargs={"batch_size": 4, "show_progress_bar": False},
        **quiet,
    )
    scores: dict[str, Any] = result.task_results[0].scores["test"][0]
    return scores


@pytest.mark.parametrize("name", ASKED)
def test_who_knows_the_answers_has_full_marks(name: str, mteb: Any, tmp_path: Path) -> None:
    from training.evaluate.external.mteb.tasks import local_task

    little = LITTLE[name](tmp_path)
    task = local_task(name, benchmarks.load(name, tmp_path))
    assert run(mteb, little.oracle, task)["main_score"] == 1.0


@pytest.mark.parametrize(
    ("benchmark", "write", "mteb_score", "our_score"),
    [
        ("coin_step", tabletop_clips.as_coin, "accuracy", "top1"),
        ("youcook2", tabletop_clips.as_youcook2, "hit_rate_at_1", "text_to_video_r1"),
    ],
)
def test_mteb_finds_what_our_own_protocol_finds(
    benchmark: str,
    write: Callable[[Path], None],
    mteb_score: str,
    our_score: str,
    mteb: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path)
    out = tmp_path / "results"
    asked = [benchmark, "--folder", str(tmp_path), "--model", str(MODEL), "--device", "cpu"]
    assert command.main([*asked, "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    expected = ours.evaluate(benchmark, tmp_path, MODEL, device="cpu")
    assert found[mteb_score] == pytest.approx(expected[our_score], abs=1e-4)
    assert found[mteb_score] > 2 * float(expected["chance"])
    assert list(out.rglob(f"{found['task']}.json")), "MTEB keeps the result in its own form"


@pytest.mark.parametrize(
    "name",
    [
        "zeroshot_classification.MockVideoZeroshotClassificationTask",
        "retrieval.MockVideoRetrievalT2V",
        "retrieval.MockVideoRetrievalV2T",
        "pair_classification.MockVideoPairClassificationTask",
        "clustering.MockVideoClusteringTask",
        "classification.MockVideoClassification",
    ],
)
def test_tasks_of_mteb_hand_over_videos_that_are_decoded_here(name: str, mteb: Any) -> None:
    module, _, task = name.partition(".")
    mocks = pytest.importorskip(f"mteb.mocks.mock_tasks.{module}")
    scores = run(mteb, embedders.load(MODEL, "cpu"), getattr(mocks, task)())
    assert 0 <= scores["main_score"] <= 1


def test_what_mteb_cannot_ask_is_said(mteb: Any, tmp_path: Path) -> None:
    LITTLE["worldprediction"](tmp_path)
    with pytest.raises(DataError, match="MTEB has no task that asks what worldprediction asks"):
        command.evaluate("worldprediction", MODEL, tmp_path)
    with pytest.raises(DataError, match="no benchmark 'nothing'"):
        command.evaluate("nothing", MODEL, tmp_path)
    with pytest.raises(DataError, match="for a benchmark of ours give --folder"):
        command.evaluate("coin_step", MODEL)
    with pytest.raises(DataError, match="MNISTZeroShot also needs image"):
        command.evaluate("MNISTZeroShot", MODEL)


def test_without_mteb_the_mend_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    assert command.main(["ssv2", "--model", str(MODEL)]) == 1
    assert "pip install -r requirements/optional/harness.txt" in capsys.readouterr().err
