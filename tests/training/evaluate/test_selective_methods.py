"""Methods of selective decoding on streams whose best segmentation is known."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest
from synthetic_streams import synthetic_stream

from training.evaluate.selective import (
    SILENT,
    UNPARSED,
    StreamRecord,
    decode_count,
    event_delays_s,
    oracle_decodes,
    right_seconds,
    said_seconds,
    uniform_curve,
)
from training.evaluate.selective_methods import (
    Stamp,
    most_right_seconds,
    oracle_curve,
    segment_means,
    ward_curves,
    ward_said,
)
from training.evaluate.selective_scores import segment, threshold_curve
from vljepa_ros.config import SelectiveConfig
from vljepa_ros.stream.ward import ward_segments
from vljepa_ros.types import EventReason

LENGTHS = (4, 6, 3, 7)
"""Steps, a second each, of the segments of `known()`."""
CONFIG = SelectiveConfig(distance_threshold=0.3, settle=10.0, min_interval_s=0.0, noise_factor=0.0)


def known(lengths: tuple[int, ...] = LENGTHS) -> StreamRecord:
    """Each segment has a direction of its own, starts with a step and is captioned rightly."""
    segment_S = np.repeat(np.arange(len(lengths)), lengths)
    return StreamRecord(
        times_s_S=np.arange(len(segment_S), dtype=float),
        embeddings_SE=np.eye(len(lengths), dtype=np.float32)[segment_S],
        decoded_S=segment_S,
        starts_s_G=np.append(0.0, np.cumsum(lengths)[:-1]),
        truth_G=np.arange(len(lengths)),
        end_s=float(len(segment_S)),
    )


def messy(seed: int, steps: int = 9, gate_share: float = 0.0) -> StreamRecord:
    """Anything may be said at any step; irregular times."""
    rng = np.random.default_rng(seed)
    times_s = np.cumsum(rng.uniform(0.2, 1.5, steps))
    return StreamRecord(
        times_s_S=times_s,
        embeddings_SE=np.ones((steps, 2), np.float32),
        decoded_S=rng.integers(-1, 3, steps),
        starts_s_G=np.array([0.0, times_s[2] + 0.1, times_s[5] - 0.1, times_s[6] + 0.05]),
        truth_G=np.array([0, 1, 2, 0]),
        end_s=float(times_s[-1] + 0.7),
        gate_S=rng.random(steps) < gate_share if gate_share else None,
    )


def chosen(stream: StreamRecord, steps: tuple[int, ...]) -> np.ndarray:
    decodes_S = np.zeros(len(stream.times_s_S), dtype=np.bool_)
    decodes_S[list(steps)] = True
    return decodes_S


# --- Ward ----------------------------------------------------------------------------------------


def test_ward_finds_the_best_segmentation_and_pays_for_its_stamps() -> None:
    stream = known()
    # 4 segments are 4/3 for each of the 3 true events.
    curves = ward_curves([stream], per_event=[4 / 3])
    total_s, starts = 20.0, curves[Stamp.START]
    assert (starts.decodes_RK[0, 0], starts.right_s_RK[0, 0]) == (4.0, total_s)
    # Said at the middle, what comes before the middle is wrong: steps 1, 2, 1 and 3 of each.
    middles = curves[Stamp.MIDDLE]
    assert (middles.decodes_RK[0, 0], middles.right_s_RK[0, 0]) == (4.0, total_s - 1 - 2 - 1 - 3)
    # Said when it is over, a segment is never right, and the last one is not said.
    published = curves[Stamp.PUBLISH]
    assert (published.decodes_RK[0, 0], published.right_s_RK[0, 0]) == (3.0, 0.0)


def test_ward_with_a_segment_for_each_step_decodes_every_step() -> None:
    stream = known()
    every_step_s = right_seconds(stream, np.ones(20, dtype=np.bool_))
    curves = ward_curves([stream], per_event=[20 / 3, 100.0])
    for stamp in (Stamp.START, Stamp.MIDDLE):
        assert curves[stamp].decodes_RK.tolist() == [[20.0, 20.0]]
        assert curves[stamp].right_s_RK.tolist() == [[every_step_s, every_step_s]]
    # A step late: the first of each segment is still said to be the one before.
    assert curves[Stamp.PUBLISH].right_s_RK[0, 0] == every_step_s - len(LENGTHS)


def test_ward_is_stamped_as_told() -> None:
    segment_S = np.repeat([0, 1, 2], [3, 1, 4])
    meaning_N = np.array([7, 8, 9])
    expected = {
        Stamp.START: {0: 7, 3: 8, 4: 9},
        Stamp.MIDDLE: {1: 7, 3: 8, 5: 9},
        Stamp.PUBLISH: {3: 7, 4: 8},
    }
    for stamp, steps in expected.items():
        said_S = ward_said(segment_S, meaning_N, stamp)
        assert {int(at): int(said_S[at]) for at in np.flatnonzero(said_S != SILENT)} == steps


def test_pooled_ward_says_what_its_segments_means_say() -> None:
    stream = known()
    asked = []

    def speak(embeddings_NE: np.ndarray) -> np.ndarray:
        asked.append(embeddings_NE)
        return np.argmax(embeddings_NE, axis=1)

    # No single step's caption is right, so what is right comes from the means.
    mute = dataclasses.replace(stream, decoded_S=np.full(20, UNPARSED))
    pooled = ward_curves([mute], [speak], per_event=[4 / 3])[Stamp.START]
    assert pooled.right_s_RK[0, 0] == 20.0
    np.testing.assert_allclose(asked[0], np.eye(4), atol=1e-6)
    assert ward_curves([mute], per_event=[4 / 3])[Stamp.START].right_s_RK[0, 0] == 0.0


def test_segment_means_are_of_unit_norm() -> None:
    embeddings = synthetic_stream(0, idle_share=0.5, duration_s=30.0).embeddings_SE
    segment_S = ward_segments(embeddings, 7)
    means = segment_means(embeddings, segment_S)
    for number in range(7):
        mean = embeddings[segment_S == number].mean(axis=0)
        np.testing.assert_allclose(means[number], mean / np.linalg.norm(mean), atol=1e-5)


# --- the oracle ----------------------------------------------------------------------------------


def test_the_oracle_is_always_right_where_every_step_is() -> None:
    curve = oracle_curve([known()], per_event=[4 / 3, 1.0, 10.0])
    decodes_K, quality_K = curve.pooled()
    # Four changes, the first decode among them; with three the shortest segment is left out.
    assert decodes_K.tolist() == [4.0, 3.0, 4.0]
    np.testing.assert_allclose(quality_K, [1.0, 17 / 20, 1.0])


@pytest.mark.parametrize("gate_share", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_decodes_are_the_best_of_all_subsets(seed: int, gate_share: float) -> None:
    stream = messy(seed, gate_share=gate_share)
    candidates = np.flatnonzero(~stream.gated_S)
    most_s = most_right_seconds(stream, candidates)
    assert len(most_s) == len(candidates) + 1
    best_s = 0.0
    for count in range(len(candidates) + 1):
        tried_s = [
            right_seconds(stream, chosen(stream, steps))
            for steps in combinations(candidates.tolist(), count)
        ]
        best_s = max([best_s, *tried_s])
        assert most_s[count] == pytest.approx(best_s)


def test_no_method_is_right_more_often_than_the_best_choice_of_as_many_steps() -> None:
    streams = [synthetic_stream(seed, idle_share=0.6, duration_s=60.0) for seed in range(2)]
    for stream in streams:
        most_s = most_right_seconds(stream, np.arange(len(stream.times_s_S)))
        oracle_S = oracle_decodes(stream)
        assert right_seconds(stream, oracle_S) <= most_s[oracle_S.sum()] + 1e-9
        online = threshold_curve([stream], CONFIG, [0.1, 0.2, 0.3, 0.5])
        for decodes, right_s in zip(online.decodes_RK[0], online.right_s_RK[0], strict=True):
            assert right_s <= most_s[int(decodes)] + 1e-9


def test_the_oracle_reaches_the_quality_of_every_step_with_a_fraction_of_the_decodes() -> None:
    streams = [synthetic_stream(seed, idle_share=0.6, duration_s=60.0) for seed in range(3)]
    decodes_K, quality_K = oracle_curve(streams, per_event=[0.5, 1.0, 5.0]).pooled()
    every_decodes_K, every_quality_K = uniform_curve(streams).pooled()
    assert (np.diff(quality_K) >= 0).all()
    assert quality_K[-1] >= every_quality_K[0] - 1e-9
    assert decodes_K[-1] < 0.2 * every_decodes_K[0]


# --- uniform -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [5, 12])
def test_uniform_has_a_closed_form_on_segments_of_equal_length(length: int) -> None:
    stream = known((length,) * 6)
    _, quality_K = uniform_curve([stream], max_stride=length).pooled()
    strides_K = np.arange(1, length + 1)
    # A change is noticed (k − 1) / 2 steps late on average.
    np.testing.assert_allclose(quality_K, 1 - (strides_K - 1) / (2 * length))


# --- the gate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_uniform_with_a_gate_is_the_mean_over_its_phases(seed: int) -> None:
    stream = messy(seed, steps=14, gate_share=0.4)
    curve = uniform_curve([stream], max_stride=16)
    for stride in (1, 2, 3, 5, 14, 16):
        phases = [chosen(stream, tuple(range(p, 14, stride))) for p in range(stride)]
        counts = [decode_count(stream, phase) for phase in phases]
        right_s = [right_seconds(stream, phase) for phase in phases]
        assert curve.decodes_RK[0, stride - 1] == pytest.approx(np.mean(counts))
        assert curve.right_s_RK[0, stride - 1] == pytest.approx(np.mean(right_s))


def test_what_a_gate_says_counts_as_said_but_not_as_decoded() -> None:
    stream = known((4, 4, 4))
    gated = dataclasses.replace(stream, gate_S=np.repeat([True, False, True], 4))
    nothing, late = chosen(gated, ()), chosen(gated, (5, 9))
    assert right_seconds(gated, nothing) == 8.0
    assert event_delays_s(gated, nothing).tolist() == [np.inf, 0.0]
    assert decode_count(gated, late) == 1
    assert right_seconds(gated, late) == 11.0
    assert event_delays_s(gated, late).tolist() == [1.0, 0.0]
    assert oracle_curve([gated], per_event=[1.0]).pooled() == (1.0, 1.0)


def test_the_segmenter_speaks_first_when_the_gate_opens() -> None:
    stream = known((4, 4, 4))
    gated = dataclasses.replace(stream, gate_S=np.repeat([True, False, True], 4))
    decodes_S, reasons = segment(gated, CONFIG)
    assert np.flatnonzero(decodes_S).tolist() == [4]
    assert reasons[4] is EventReason.FIRST
    again = dataclasses.replace(stream, gate_S=np.repeat([False, True, False], 4))
    decodes_S, reasons = segment(again, CONFIG)
    assert np.flatnonzero(decodes_S).tolist() == [0, 8]
    assert reasons[8] is EventReason.REQUEST
    curve = threshold_curve([again], CONFIG, [0.3])
    assert (curve.decodes_RK[0, 0], curve.right_s_RK[0, 0]) == (2.0, 12.0)


def test_said_is_published_decodes_where_they_are_the_same() -> None:
    for seed in range(4):
        stream = messy(seed)
        said_S = np.full(9, SILENT)
        said_S[[1, 4, 6]] = stream.decoded_S[[1, 4, 6]]
        assert said_seconds(stream, said_S) == right_seconds(stream, chosen(stream, (1, 4, 6)))
    # The meaning said need not be one of the step's own.
    assert said_seconds(known((3, 3)), np.array([1, 0, SILENT, 1, SILENT, SILENT])) == 2.0 + 3.0
