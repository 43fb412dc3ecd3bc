"""The segmenter beside the oracle and uniform decoding, and honest where it falls short."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from synthetic_streams import still_stream, synthetic_stream

from training.evaluate.selective import StreamRecord, oracle_decodes, right_seconds
from training.evaluate.selective_scores import (
    EQUAL_QUALITY,
    false_changes_per_hour,
    score,
    segment,
    threshold_curve,
)
from vljepa_ros.config import SelectiveConfig
from vljepa_ros.types import EventReason

SETTING = SelectiveConfig(distance_threshold=0.2, settle=10.0, min_interval_s=0.0, noise_factor=0.0)


@pytest.fixture(scope="module")
def calm() -> list[StreamRecord]:
    return [synthetic_stream(seed, idle_share=0.8, duration_s=60.0) for seed in range(4)]


def ideal(seed: int) -> StreamRecord:
    """Embeddings that change with the truth, at once and without noise; each step is right."""
    base = synthetic_stream(seed, idle_share=0.6, duration_s=60.0)
    segment_S = base.segment_S
    truth_S = base.truth_G[segment_S]
    directions = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return dataclasses.replace(base, embeddings_SE=directions[truth_S], decoded_S=truth_S)


def test_a_perfect_stream_is_decoded_like_the_oracle() -> None:
    streams = [ideal(seed) for seed in range(3)]
    for stream in streams:
        np.testing.assert_array_equal(segment(stream, SETTING)[0], oracle_decodes(stream))
    scores = score(streams, SETTING)
    assert scores.selective_gain == pytest.approx(1.0)
    assert scores.reached
    assert scores.hits == 1.0
    assert scores.decodes_per_event == scores.oracle_decodes_per_event
    assert scores.saving > 2


def test_scores_are_counted_by_the_definitions(calm: list[StreamRecord]) -> None:
    scores = score(calm, SETTING)
    events = sum(stream.events for stream in calm)
    chosen = [segment(stream, SETTING)[0] for stream in calm]
    right_s = sum(right_seconds(s, c) for s, c in zip(calm, chosen, strict=True))
    assert scores.events == events
    assert scores.quality == pytest.approx(right_s / sum(s.duration_s for s in calm))
    assert scores.tuned_decodes_per_event == sum(c.sum() for c in chosen) / events
    assert scores.target_quality == pytest.approx(EQUAL_QUALITY * scores.every_step_quality)
    gained = scores.uniform_decodes_per_event - scores.decodes_per_event
    possible = scores.uniform_decodes_per_event - scores.oracle_decodes_per_event
    assert scores.selective_gain == pytest.approx(gained / possible)
    assert scores.selective_gain_low <= scores.selective_gain <= scores.selective_gain_high


def test_a_setting_above_the_target_gets_no_credit_for_it(calm: list[StreamRecord]) -> None:
    scores = score(calm, dataclasses.replace(SETTING, distance_threshold=0.1))
    assert scores.reached
    assert scores.decodes_per_event == scores.tuned_decodes_per_event


def test_a_setting_below_the_target_pays_the_decodes_that_reach_it(
    calm: list[StreamRecord],
) -> None:
    scores = score(calm, dataclasses.replace(SETTING, distance_threshold=0.6))
    assert not scores.reached
    assert scores.quality < scores.target_quality
    assert scores.decodes_per_event > scores.tuned_decodes_per_event


def test_a_setting_that_cannot_reach_the_target_pays_every_step(calm: list[StreamRecord]) -> None:
    scores = score(calm, dataclasses.replace(SETTING, min_interval_s=30.0))
    steps = sum(len(stream.times_s_S) for stream in calm)
    assert scores.decodes_per_event == pytest.approx(steps / scores.events)
    assert scores.selective_gain < 0


def test_threshold_curve_runs_the_segmenter(calm: list[StreamRecord]) -> None:
    curve = threshold_curve(calm, SETTING, [0.1, 0.4])
    for row, stream in enumerate(calm):
        for column, threshold in enumerate((0.1, 0.4)):
            at = dataclasses.replace(SETTING, distance_threshold=threshold)
            chosen, reasons = segment(stream, at)
            assert reasons[0] is EventReason.FIRST
            assert curve.decodes_RK[row, column] == chosen.sum()
            assert curve.right_s_RK[row, column] == right_seconds(stream, chosen)


def test_scores_are_deterministic(calm: list[StreamRecord]) -> None:
    assert score(calm, SETTING) == score(calm, SETTING)


def test_heartbeats_count_as_decodes_but_not_as_false_changes() -> None:
    still = [still_stream(0, duration_s=60.0, noise=0.05)]
    config = dataclasses.replace(SETTING, distance_threshold=0.5, max_interval_s=10.0)
    chosen, reasons = segment(still[0], config)
    assert chosen.sum() == 6
    assert reasons.count(EventReason.HEARTBEAT) == 5
    assert false_changes_per_hour(still, config) == 0.0


def test_false_changes_are_per_hour() -> None:
    still = [still_stream(seed, duration_s=90.0, noise=0.8) for seed in range(2)]
    eager = dataclasses.replace(SETTING, distance_threshold=0.05)
    changes = sum(segment(stream, eager)[1].count(EventReason.CHANGE) for stream in still)
    assert changes > 0
    duration_s = sum(stream.duration_s for stream in still)
    assert false_changes_per_hour(still, eager) == pytest.approx(changes * 3600 / duration_s)


def test_streams_of_the_wrong_kind_are_refused(calm: list[StreamRecord]) -> None:
    with pytest.raises(ValueError, match="event"):
        score([still_stream(0, duration_s=30.0)], SETTING)
    with pytest.raises(ValueError, match="event"):
        score([], SETTING)
    with pytest.raises(ValueError, match="event"):
        false_changes_per_hour(calm, SETTING)
