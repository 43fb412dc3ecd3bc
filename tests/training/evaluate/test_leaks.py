"""What is asked about was not trained on, and it would be noticed."""

from __future__ import annotations

import json

import pytest

from training.evaluate import leaks
from training.runs import DataConfig
from training.tabletop.splits import TEST_SEEDS
from vljepa_ros.config import ConfigError


def shared(
    capsys: pytest.CaptureFixture[str],
    seed: int,
    episodes: int,
    split: str,
    trained: tuple[tuple[int, int], ...],
) -> dict[str, int]:
    leaks.main(seed, episodes, split, trained)
    found: dict[str, int] = json.loads(capsys.readouterr().out)
    return found


def test_test_streams_show_no_scene_of_training_streams(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = shared(capsys, TEST_SEEDS.start, 100, "test", ((0, 150), (10_000, 10_150)))
    assert found["scenes_trained_on"] == 0
    assert found["streams"] == 100 and found["trained_streams"] == 300
    assert found["scenes"] == 1100 and found["trained_scenes"] > 2000


def test_a_stream_that_was_trained_on_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    found = shared(capsys, 7, 1, "train", ((5, 9),))
    assert found["scenes_trained_on"] == found["scenes"] == 11


def test_test_streams_are_not_for_training() -> None:
    with pytest.raises(ConfigError, match="no training streams"):
        leaks.main(trained=((TEST_SEEDS.start - 1, TEST_SEEDS.start + 1),))
    with pytest.raises(ConfigError, match="choose a smaller first_seed"):
        DataConfig(first_seed=TEST_SEEDS.start - 10, episodes=11)
    assert DataConfig(first_seed=TEST_SEEDS.start - 10, episodes=10)
