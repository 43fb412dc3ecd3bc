"""The simulated world as shards: true of what the clips show, and the same each time."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.data import validate, write
from training.data.decode import spread_frames
from training.data.shards import read_index, read_sample, shard_paths
from training.data.sources import tabletop
from training.data.sources.tabletop import TASKS, drafts
from training.data.writer import Draft
from training.tabletop.splits import TEST_SEEDS
from training.tabletop.tasks import LABEL_QUERY
from training.tabletop.windows import clip_times
from training.tabletop.world import Episode
from vljepa_ros.config import ModelConfig


def written(out: Path, *options: str) -> int:
    return write.main(["tabletop", "--streams", "1", "--clips", "5", "--out", str(out), *options])


def test_streams_become_shards_of_every_task(tmp_path: Path) -> None:
    assert written(tmp_path / "one") == 0
    assert validate.main([str(tmp_path / "one")]) == 0
    [tar] = shard_paths(tmp_path / "one")
    assert set(read_index(tar).tasks) == set(TASKS)


def test_equal_seeds_give_equal_shards(tmp_path: Path) -> None:
    for name, seed in (("one", "3"), ("again", "3"), ("other", "4")):
        assert (
            written(tmp_path / name, "--first-seed", seed, "--tasks", "question", "--clips", "1")
            == 0
        )
    hashes = [
        hashlib.sha256((tmp_path / name / "shard-000000.tar").read_bytes()).hexdigest()
        for name in ("one", "again", "other")
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_clip_ends_at_the_moment_that_is_asked_about() -> None:
    episode = Episode.generate(5)
    [draft, *_] = drafts(episode, 1, ["label"])
    assert draft.sample.query == LABEL_QUERY
    end_s = float(draft.sample.source.split(" at ")[1].removesuffix(" s"))
    frames = spread_frames(draft.media, ModelConfig().clip_frames, None, None)
    clean = episode.frames(clip_times(end_s), (240, 320))
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, clean, strict=True)]
    assert max(errors) < 6


def test_ctrl_c_keeps_the_whole_shards_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, run = tmp_path / "one", tabletop.run

    def interrupted(*given: Any) -> Iterator[Draft]:
        for at, draft in enumerate(run(*given)):
            if at == 4:
                signal.raise_signal(signal.SIGINT)
            yield draft

    monkeypatch.setattr(tabletop, "run", interrupted)
    assert written(out, "--shard-mib", "0.001") == write.INTERRUPTED
    assert "interrupted" in (told := capsys.readouterr().err) and f"{out} keeps 3 whole" in told
    assert len(shard_paths(out)) == 3 and not list(out.glob("*.partial"))
    assert validate.main([str(out)]) == 0


@pytest.mark.parametrize("options", [["--streams", "0"], ["--clips", "0"], ["--first-seed", "-1"]])
def test_numbers_out_of_range_say_the_mend(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert written(tmp_path / "one", *options) == 1
    assert "1 or more" in capsys.readouterr().err


def test_streams_that_are_asked_about_are_not_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--first-seed", str(TEST_SEEDS.start - 1), "--streams", "2", "--tasks", "question")
    assert written(tmp_path / "one", *options) == 1
    assert "--split" in capsys.readouterr().err
    assert written(tmp_path / "two", *options, "--split", "test", "--clips", "1") == 0


def test_a_sample_says_where_it_is_from(tmp_path: Path) -> None:
    assert written(tmp_path / "one", "--tasks", "scene_caption", "--clips", "1") == 0
    [tar] = shard_paths(tmp_path / "one")
    index = read_index(tar)
    json_span = (index.json_offsets[0], index.json_sizes[0])
    sample, _ = read_sample(tar, json_span, (index.media_offsets[0], index.media_sizes[0]))
    assert "train seed 0 at" in sample.source
    assert sample.query == ModelConfig().scene_query
