"""Guessing is at chance, bad ties are wrong, and the command line prints what it scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from little_benchmarks import LITTLE, video

from training.data.decode import Frames
from training.data.errors import DataError
from training.evaluate.external import __main__ as command
from training.evaluate.external import benchmarks, protocols
from training.evaluate.external.embedders import VLJepaEmbedder
from training.evaluate.external.embedders import load as load_embedder
from training.evaluate.external.items import (
    Benchmark,
    Captioned,
    Change,
    Classification,
    Labelled,
    Question,
    Questions,
    Retrieval,
    VideoSegment,
    WorldPrediction,
)
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

ITEMS = 400


class Guessing:
    """Embeds anything anywhere."""

    name, frames, inverse_query = "guessing", 2, "?"

    def __init__(self) -> None:
        self._rng = np.random.default_rng(5_000_000)

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        values_BE = self._rng.normal(size=(len(texts), 8)).astype(np.float32)
        unit_BE: npt.NDArray[np.float32] = values_BE / np.linalg.norm(values_BE, axis=1)[:, None]
        return unit_BE

    def embed_clips(
        self, clips: Sequence[Frames], queries: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        return self.embed_texts(queries)


class Constant(Guessing):
    """Finds everything alike."""

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.ones((len(texts), 1), np.float32)


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[VideoSegment]:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    video(path, 1, 2)
    return [VideoSegment(path, i * 1e-3, 2.0) for i in range(ITEMS)]


def large(segments: list[VideoSegment]) -> dict[str, Benchmark]:
    labels = tuple(f"label {i}" for i in range(10))
    path = segments[0].path
    return {
        "top1": Classification(
            "?", labels, tuple(Labelled(s, i % 10) for i, s in enumerate(segments))
        ),
        "text_to_video_r1": Retrieval(
            "?", tuple(Captioned(s, (f"t{i}",)) for i, s in enumerate(segments[:100]))
        ),
        "accuracy": Questions(
            tuple(Question(s, f"q{i}", labels[:4], i % 4) for i, s in enumerate(segments))
        ),
        "world": WorldPrediction(
            tuple(
                Change(path, i * 1e-3, 1.9, tuple(segments[4 * i : 4 * i + 4]), i % 4, "x")
                for i in range(ITEMS // 4)
            ),
            "?",
        ),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["top1", "accuracy", "world"])
def test_guessing_is_at_chance(name: str, segments: list[VideoSegment]) -> None:
    asked = large(segments)[name]
    scores = protocols.score(asked, Guessing())
    key = "top1" if name == "top1" else "accuracy"
    chance, items = scores["chance"], scores["items"]
    sigma = float(np.sqrt(chance * (1 - chance) / items))
    assert abs(scores[key] - chance) < 4 * sigma
    assert abs(scores[f"{key}_blind"] - chance) < 4 * sigma
    # A guesser's first five of ten are right half of the time.
    if name == "top1":
        assert abs(scores["top5"] - 0.5) < 4 * np.sqrt(0.25 / items)


def test_guessing_retrieves_at_chance(segments: list[VideoSegment]) -> None:
    scores = protocols.score(large(segments)["text_to_video_r1"], Guessing())
    for way in ("text_to_video", "video_to_text"):
        for k in (1, 5, 10):
            chance = k / 100
            sigma = np.sqrt(chance * (1 - chance) / 100)
            assert abs(scores[f"{way}_r{k}"] - chance) < 4 * sigma


@pytest.mark.slow
@pytest.mark.parametrize("name", ["top1", "text_to_video_r1", "accuracy"])
def test_who_finds_all_alike_is_never_right(name: str, segments: list[VideoSegment]) -> None:
    scores = protocols.score(large(segments)[name], Constant())
    assert scores[name] == 0.0


def test_a_video_is_found_by_any_of_its_captions(tmp_path: Path) -> None:
    little = LITTLE["msrvtt_full"](tmp_path)
    asked = benchmarks.load("msrvtt_full", tmp_path)
    scores = protocols.score(asked, little.oracle)
    assert scores["captions"] == 3
    assert scores["video_to_text_r1"] == 1.0


# --- a model of ours, by the command line ---------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    words = ["Which something opens?", "What is happening? Describe the video.", "take out insert"]
    checkpoint.save(VLJepa(presets.tiny()), train_tokenizer(words, 320), folder, {})
    return folder


@pytest.mark.parametrize("name", ["ssv2", "msrvtt", "gqa", "worldprediction"])
def test_the_command_scores_our_model(
    name: str, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LITTLE[name](tmp_path)
    arguments = [name, "--folder", str(tmp_path), "--model", str(model), "--device", "cpu"]
    assert command.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    scores = json.loads(lines[-1])
    assert scores["benchmark"] == name
    assert scores["model"] == Engine.load(model, device="cpu").space_id
    assert all(0 <= v <= 1 for k, v in scores.items() if "accuracy" in k or k.endswith("_r1"))
    assert command.main(arguments) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == scores, "not deterministic"


def test_query_and_prompt_change_what_is_asked(tmp_path: Path, model: Path) -> None:
    LITTLE["ssv2"](tmp_path)

    def texts(**given: str) -> float | int | str:
        return command.evaluate("ssv2", tmp_path, model, device="cpu", **given)["texts_sha256"]

    plain = texts()
    assert texts() == plain
    assert len({plain, texts(query="Which?"), texts(prompt="a video of {}")}) == 3
    with pytest.raises(DataError, match=r"has no \{\}"):
        texts(prompt="a video")


def test_a_text_that_is_too_long_is_cut(model: Path) -> None:
    embedder = load_embedder(model, "cpu")
    assert isinstance(embedder, VLJepaEmbedder)
    limit = embedder.engine.config.y_encoder.max_tokens
    words = ["take"] * (limit + 1)
    whole_E, longer_E = embedder.embed_texts([" ".join(words[:-1]), " ".join([*words, "out"])])
    assert longer_E.shape == whole_E.shape
    assert np.isclose(np.linalg.norm(longer_E), 1, atol=1e-5)


def test_the_command_says_what_is_wrong(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str) -> str:
        assert command.main(["ssv2", "--device", "cpu", *arguments]) == 1
        return capsys.readouterr().err

    folders = ["--folder", str(tmp_path / "none"), "--model", str(model)]
    assert "is no folder" in said(*folders)
    LITTLE["ssv2"](tmp_path)
    folders[1] = str(tmp_path)
    (tmp_path / "videos" / "9.mp4").unlink()
    assert "lacks 1 videos, the first ['9']" in said(*folders)
    assert "one clip has no blind score" in said(*folders, "--skip_missing", "true")
    (tmp_path / "videos" / "74225.mp4").unlink()
    assert "put the videos there too" in said(*folders, "--skip_missing", "true")
    assert "has no config.json" in said(
        "--folder", str(tmp_path), "--model", str(tmp_path), "--skip_missing", "true"
    )


def test_what_is_missing_is_counted(tmp_path: Path, model: Path) -> None:
    LITTLE["kinetics"](tmp_path)
    (tmp_path / "c.mp4").unlink()
    scores = command.evaluate("kinetics", tmp_path, model, skip_missing=True, device="cpu")
    assert (scores["items"], scores["missing"], scores["labels"]) == (2, 1, 2)
    scores = command.evaluate("kinetics", tmp_path, model, limit=2, skip_missing=True, device="cpu")
    assert scores["items"] == 2
