"""A threshold tried on what was kept of a recording does what a replay at that threshold does."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from bag_harness import BEGIN_NS, Shot, picture, raw, text, write_bag

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.tuning import (
    DISTANCE,
    WORDS,
    Recaller,
    Watched,
    judge,
    label_scores,
    see,
    tune,
)

SELECTIVE = SelectiveConfig(noise_factor=0.0, patience_s=0.0, max_interval_s=0.0)
LABELS = ("a cube", "a cup")
SCENES = 6
STEPS_A_SCENE = 4
THRESHOLDS = {WORDS: (0.05, 0.2, 0.4), DISTANCE: (0.05, 0.2, 0.5)}
TRUSTS = {WORDS: 0.0, DISTANCE: 1.0}
"""With which words always decide, and never."""


def shots(times_s: Sequence[float] = ()) -> list[Shot]:
    """A scene that changes every fourth step, two steps a second."""
    times_s = times_s or [0.5 * n for n in range(SCENES * STEPS_A_SCENE)]
    stamps_ns = [BEGIN_NS + round(time_s * 1e9) for time_s in times_s]
    return [
        raw(picture(n // STEPS_A_SCENE), stamp_ns, log_ns=BEGIN_NS + n * 10**8)
        for n, stamp_ns in enumerate(stamps_ns)
    ]


def config(parameter: str, **selective: float) -> PerceptionConfig:
    chosen = dataclasses.replace(SELECTIVE, trust=TRUSTS[parameter], **selective)
    return PerceptionConfig(labels=LABELS, selective=chosen)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("tuning") / "bag", shots())


@pytest.fixture(scope="module")
def watched(bag: Path, engine: Engine) -> Watched:
    return see(bag, engine, config(DISTANCE))


@pytest.fixture(scope="module")
def recaller(engine: Engine) -> Recaller:
    return Recaller(engine)


@pytest.mark.slow
@pytest.mark.parametrize("parameter", [WORDS, DISTANCE])
def test_a_threshold_tried_equals_a_replay_at_it(
    parameter: str, engine: Engine, tmp_path: Path
) -> None:
    backwards = [*(0.5 * n for n in range(15)), *(0.3 * n for n in range(9))]
    bag = write_bag(tmp_path / "bag", shots(backwards))
    once = see(bag, engine, config(parameter))
    recaller = Recaller(engine)
    counts = set()
    for threshold in THRESHOLDS[parameter]:
        at = config(parameter, **{parameter: threshold}, max_interval_s=3.0)
        replayed = see(bag, engine, at).steps
        tried = judge(once, recaller, at.selective)
        assert [d.reason for d in tried] == [s.event.reason if s.event else None for s in replayed]
        assert [d.score for d in tried] == [s.state.change_score for s in replayed]
        assert [d.threshold for d in tried] == [s.state.change_threshold for s in replayed]
        counts.add(sum(decision.changed for decision in tried))
    assert len(counts) == 3  # the thresholds differ in what they do


@pytest.mark.parametrize("parameter", [WORDS, DISTANCE])
def test_the_parameter_that_decides_is_tuned(
    parameter: str, watched: Watched, recaller: Recaller
) -> None:
    tuned = tune([watched], recaller, config(parameter).selective, 20.0)
    assert (tuned.parameter, tuned.by_words) == (parameter, float(parameter == WORDS))
    assert tuned.present.threshold == getattr(SELECTIVE, parameter)
    other = tune([watched], recaller, config(parameter).selective, 20.0, parameter=DISTANCE)
    assert other.parameter == DISTANCE


def test_the_wanted_rate_is_met_where_it_can_be(watched: Watched, recaller: Recaller) -> None:
    selective = config(DISTANCE).selective
    rates = {p.events_per_minute for p in tune([watched], recaller, selective, 20.0).points}
    for rate in rates - {0.0}:
        tuned = tune([watched], recaller, selective, rate)
        assert tuned.in_reach and tuned.chosen.events_per_minute == rate
        found = dataclasses.replace(selective, distance_threshold=tuned.chosen.threshold)
        decisions = judge(watched, recaller, found)
        changes = sum(decision.changed for decision in decisions) - 1  # less the first
        assert changes * 60.0 / watched.length_s == rate
    assert len(rates) >= 3


def test_between_the_places_of_the_grid_it_looks_closer(
    watched: Watched, recaller: Recaller
) -> None:
    selective = config(DISTANCE).selective
    grid = tune([watched], recaller, selective, 1e6)  # out of reach, so nothing is refined
    rates = [point.events_per_minute for point in grid.points]
    at = int(np.argmax(np.abs(np.diff(rates))))
    wanted = (rates[at] + rates[at + 1]) / 2
    tuned = tune([watched], recaller, selective, wanted)
    added = {p.threshold for p in tuned.points} - {p.threshold for p in grid.points}
    assert added and len(added) <= 6
    errors = [abs(point.events_per_minute - wanted) for point in tuned.points]
    assert abs(tuned.chosen.events_per_minute - wanted) == min(errors)


def test_a_rate_out_of_reach_gets_the_nearest(watched: Watched, recaller: Recaller) -> None:
    tuned = tune([watched], recaller, config(DISTANCE).selective, 1e6)
    rates = [point.events_per_minute for point in tuned.points]
    assert not tuned.in_reach and tuned.chosen.events_per_minute == max(rates) > min(rates)


def test_of_equal_thresholds_the_nearest_to_the_present_is_chosen(
    watched: Watched, recaller: Recaller
) -> None:
    chosen = set()
    for present in (0.01, 0.99):
        near = config(DISTANCE, distance_threshold=present).selective
        rates = [p.events_per_minute for p in tune([watched], recaller, near, 1e6).points]
        common = max(set(rates) - {0.0}, key=rates.count)
        tuned = tune([watched], recaller, near, common)
        same = [p.threshold for p in tuned.points if p.events_per_minute == common]
        assert tuned.chosen.threshold == min(same, key=lambda t: abs(t - present))
        chosen.add(tuned.chosen.threshold)
    assert len(chosen) == 2


def test_heartbeats_count_and_the_first_event_does_not(
    watched: Watched, recaller: Recaller
) -> None:
    silent = config(DISTANCE, distance_threshold=1.0, max_interval_s=5.0).selective
    present = tune([watched], recaller, silent, 20.0).present
    assert (present.changes, present.heartbeats) == (0, 2)  # 11.5 s
    assert present.events_per_minute == pytest.approx(60 * 2 / 11.5)


def test_several_recordings_are_one_scene(watched: Watched, recaller: Recaller) -> None:
    selective = config(DISTANCE).selective
    one = tune([watched], recaller, selective, 20.0)
    two = tune([watched, watched], recaller, selective, 20.0)
    assert two.chosen.events_per_minute == one.chosen.events_per_minute
    assert two.chosen.changes == 2 * one.chosen.changes > 0


def test_time_in_which_the_camera_was_off_does_not_count(engine: Engine, tmp_path: Path) -> None:
    times_s = [0.0, 1.0, 2.0, 3602.0, 3603.0, 5.0, 6.5]
    watched = see(write_bag(tmp_path / "bag", shots(times_s)), engine, PerceptionConfig())
    assert len(watched.steps) == 7 and watched.length_s == pytest.approx(2.0 + 1.0 + 1.5)


def test_labels_scores_are_those_of_the_states(watched: Watched) -> None:
    scores = label_scores([watched, watched])
    assert tuple(scores) == LABELS
    steps = watched.steps
    assert all(values.shape == (2 * len(steps), 2) for values in scores.values())
    np.testing.assert_allclose(sum(values[:, 1] for values in scores.values()), 1.0, atol=1e-6)
    assert scores["a cup"][3, 0] == steps[3].state.labels[1].similarity
    assert label_scores([]) == {}


def test_what_cannot_be_tuned(
    watched: Watched, recaller: Recaller, engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(RecordingError, match=r"11\.5 s of recording are too short.*record 60 s"):
        tune([watched], recaller, SELECTIVE, 1.0)
    single = see(write_bag(tmp_path / "one", shots([0.0])), engine, PerceptionConfig())
    with pytest.raises(RecordingError, match="too short"):
        tune([single], recaller, SELECTIVE, 100.0)
    with pytest.raises(RecordingError, match="no topic of type sensor_msgs"):
        see(write_bag(tmp_path / "deaf", [text("a", BEGIN_NS)]), engine, PerceptionConfig())
    odd = write_bag(tmp_path / "odd", [raw(picture(), BEGIN_NS, encoding="odd")])
    with pytest.raises(RecordingError, match="can be used"):
        see(odd, engine, PerceptionConfig())
