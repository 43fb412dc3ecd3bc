"""Every published format is read as it is meant: somebody who knows the answers is always right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from little_benchmarks import LITTLE, Little, video

from training.data.errors import DataError, MediaError
from training.evaluate.external import benchmarks, protocols
from training.evaluate.external.clips import read_clip
from training.evaluate.external.items import (
    Classification,
    Questions,
    Retrieval,
    VideoSegment,
    WorldPrediction,
)
from training.evaluate.external.sets.coin import in_words

RIGHT = {
    Classification: ("top1", "top5", "mean_class_top1"),
    Retrieval: ("text_to_video_r1", "video_to_text_r1", "video_to_text_r10"),
    Questions: ("accuracy",),
    WorldPrediction: ("accuracy",),
}


def test_every_benchmark_has_a_little_one() -> None:
    assert LITTLE.keys() == benchmarks.BENCHMARKS.keys()


@pytest.mark.parametrize("name", LITTLE)
def test_the_oracle_is_always_right(name: str, tmp_path: Path) -> None:
    little: Little = LITTLE[name](tmp_path)
    asked = benchmarks.load(name, tmp_path)
    assert len(asked.items) == little.items
    assert not asked.missing
    if isinstance(asked, Classification):
        candidates = len(asked.labels)
    elif isinstance(asked, Retrieval):
        candidates = len(asked.items[0].captions)
    else:
        candidates = len(asked.items[0].candidates)
    assert candidates == little.candidates
    scores = protocols.score(asked, little.oracle)
    assert {key: scores[key] for key in RIGHT[type(asked)]} == dict.fromkeys(
        RIGHT[type(asked)], 1.0
    )
    blind = {key: value for key, value in scores.items() if key.endswith("_blind")}
    assert blind
    assert all(value < 1 for value in blind.values()), "the wrong videos must not do as well"


@pytest.mark.parametrize("name", LITTLE)
def test_annotations_that_are_not_there_are_asked_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not in it; download the annotations"):
        benchmarks.load(name, tmp_path)


@pytest.mark.parametrize("name", LITTLE)
def test_annotations_of_another_format_are_named(name: str, tmp_path: Path) -> None:
    LITTLE[name](tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix in {".json", ".csv", ".txt"}:
            path.write_text("{}\n" if path.suffix == ".json" else "\n")
    with pytest.raises(DataError, match=str(tmp_path)):
        benchmarks.load(name, tmp_path)


@pytest.mark.parametrize("name", LITTLE)
def test_videos_that_are_not_there_are_listed(name: str, tmp_path: Path) -> None:
    little = LITTLE[name](tmp_path)
    found = sorted(p for p in tmp_path.rglob("*") if p.suffix.lower() in {".mp4", ".jpg", ".png"})
    asked = benchmarks.load(name, tmp_path)
    used = str(asked.items[0].path if name == "worldprediction" else asked.items[0].segment.path)
    gone = next(path for path in found if str(path) == used)
    gone.unlink()
    asked = benchmarks.load(name, tmp_path)
    assert len(asked.items) < little.items
    assert any(gone.stem in missing for missing in asked.missing)


def test_damage_says_the_file_and_the_mend(tmp_path: Path) -> None:
    LITTLE["ssv2"](tmp_path)
    (tmp_path / "validation.json").write_text('[{"id": "9"}]')
    with pytest.raises(DataError, match=r"validation\.json, entry 0: 'template' is missing"):
        benchmarks.load("ssv2", tmp_path)
    (tmp_path / "validation.json").write_text('[{"id": 9, "template": "x"}]')
    with pytest.raises(DataError, match=r"entry 0, id is 9, not of type str"):
        benchmarks.load("ssv2", tmp_path)
    (tmp_path / "validation.json").write_text('[{"id": "9", "template": "Unknown"}]')
    with pytest.raises(DataError, match=r"the label 'Unknown' is not in the list"):
        benchmarks.load("ssv2", tmp_path)
    (tmp_path / "validation.json").write_text("[")
    with pytest.raises(DataError, match=r"validation\.json is no JSON"):
        benchmarks.load("ssv2", tmp_path)
    (tmp_path / "validation.json").write_text("[]")
    with pytest.raises(DataError, match=r"nothing of the split"):
        benchmarks.load("ssv2", tmp_path)


def test_impossible_times_are_refused(tmp_path: Path) -> None:
    LITTLE["coin_step"](tmp_path)
    values = json.loads((tmp_path / "COIN.json").read_text())
    values["database"]["__b"]["annotation"][0]["segment"] = [2.0, 1.0]
    (tmp_path / "COIN.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"__b: 2\.0 to 1\.0 s is no stretch"):
        benchmarks.load("coin_step", tmp_path)
    values["database"]["__b"]["annotation"][0]["segment"] = [2.0]
    (tmp_path / "COIN.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match="has a start and an end"):
        benchmarks.load("coin_step", tmp_path)


def test_two_videos_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    LITTLE["msrvtt"](tmp_path)
    video(tmp_path / "again" / "video9770.mp4", 1)
    with pytest.raises(DataError, match="keep one of them"):
        benchmarks.load("msrvtt", tmp_path)


def test_a_ground_truth_that_is_no_candidate_is_refused(tmp_path: Path) -> None:
    LITTLE["worldprediction"](tmp_path)
    file = tmp_path / "WorldPrediction-WM.json"
    file.write_text(file.read_text().replace('"ground_truth": "segment|c_2"', '"ground_truth": ""'))
    with pytest.raises(DataError, match="COIN, 0: its ground_truth"):
        benchmarks.load("worldprediction", tmp_path)


def test_a_video_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(MediaError, match=str(path)):
        read_clip(VideoSegment(path), 4)
    whole = tmp_path / "b.mp4"
    video(whole, 1)
    with pytest.raises(MediaError, match="lies outside the video"):
        read_clip(VideoSegment(whole, 7, 9), 4)


def test_tasks_are_put_into_words() -> None:
    assert in_words("ReplaceCDDriveWithSSD") == "replace CD drive with SSD"
    assert in_words("MakeRJ45Cable") == "make RJ 45 cable"
    assert in_words("ChangeCarTire") == "change car tire"
