"""Selective decoding's figures on streams small enough to count by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from training.evaluate.selective import (
    UNPARSED,
    Curve,
    StreamRecord,
    decodes_at,
    event_delays_s,
    number_meanings,
    oracle_decodes,
    right_seconds,
    uniform_curve,
)


def record(
    decoded: list[int],
    starts_s: list[float],
    truth: list[int],
    *,
    times_s: list[float] | None = None,
    end_s: float | None = None,
) -> StreamRecord:
    """A stream with a step a second from 0 on unless told otherwise."""
    times = np.arange(len(decoded), dtype=float) if times_s is None else np.array(times_s)
    return StreamRecord(
        times_s_S=times,
        embeddings_SE=np.zeros((len(decoded), 2), np.float32),
        decoded_S=np.array(decoded),
        starts_s_G=np.array(starts_s, dtype=float),
        truth_G=np.array(truth),
        end_s=float(len(decoded)) if end_s is None else end_s,
    )


# Idle (0) for 2.5 s, action 1 until 6 s, idle until 8 s. The decoder is late, and wrong at step 4.
HAND = record([0, 0, 0, 0, 7, 1, 1, 0], [0.0, 2.5, 6.0], [0, 1, 0])


def decodes(*steps: int, of: StreamRecord = HAND) -> np.ndarray:
    chosen = np.zeros(len(of.times_s_S), dtype=bool)
    chosen[list(steps)] = True
    return chosen


@pytest.mark.parametrize(
    ("steps", "right_s"),
    [
        ((), 0.0),
        ((0,), 2.5 + 2.0),  # idle is said once, and is true again at the end
        ((0, 5), 2.5 + 1.0),  # action from 5 to 6, then stale
        ((0, 5, 7), 2.5 + 1.0 + 1.0),
        ((0, 4), 2.5),  # said wrongly, and never corrected
        ((3,), 2.0),  # nothing is published before the first decode
        (tuple(range(8)), 2.5 + 1.0 + 1.0),
    ],
)
def test_quality_counts_the_last_published_caption(steps: tuple[int, ...], right_s: float) -> None:
    assert right_seconds(HAND, decodes(*steps)) == pytest.approx(right_s)


def test_stream_time_runs_from_the_first_step_to_the_end() -> None:
    late = record([0, 0], [0.0], [0], times_s=[3.0, 4.0], end_s=7.0)
    assert late.duration_s == 4.0
    assert right_seconds(late, decodes(0, of=late)) == 4.0
    assert late.events == 0
    assert HAND.events == 2


def uniform_by_hand(stream: StreamRecord, stride: int) -> float:
    """Mean seconds over all phases, one phase after the other."""
    phases = [decodes(*range(p, len(stream.times_s_S), stride), of=stream) for p in range(stride)]
    return float(np.mean([right_seconds(stream, phase) for phase in phases]))


def test_uniform_is_the_mean_over_all_phases() -> None:
    rng = np.random.default_rng(0)
    other = record(
        rng.integers(-1, 3, 30).tolist(),
        [0.0, 4.3, 9.0, 20.7],
        [0, 1, 2, 0],
        times_s=np.cumsum(rng.uniform(0.2, 1.4, 30)).tolist(),
        end_s=60.0,
    )
    curve = uniform_curve([HAND, other], max_stride=40)
    for stride in (1, 2, 3, 5, 8, 13, 30, 40):
        for row, stream in enumerate((HAND, other)):
            expected_s = uniform_by_hand(stream, stride)
            assert curve.right_s_RK[row, stride - 1] == pytest.approx(expected_s)
            assert curve.decodes_RK[row, stride - 1] == len(stream.times_s_S) / stride
    decodes_K, quality_K = curve.pooled()
    assert decodes_K[1] == 19.0
    assert quality_K[0] == pytest.approx(
        (right_seconds(HAND, decodes(*range(8))) + uniform_by_hand(other, 1))
        / (8.0 + other.duration_s)
    )


def test_pooling_weights_repeat_streams() -> None:
    twice = uniform_curve([HAND, HAND]).pooled()
    weighted = uniform_curve([HAND]).pooled(np.array([2.0]))
    np.testing.assert_allclose(twice, weighted)


def test_equal_quality_is_interpolated_at_the_fewest_decodes() -> None:
    decodes_K = np.array([40.0, 20.0, 10.0, 5.0])
    quality_K = np.array([0.8, 0.8, 0.6, 0.2])
    assert decodes_at(decodes_K, quality_K, 0.7) == pytest.approx(15.0)
    assert decodes_at(decodes_K, quality_K, 0.8) == pytest.approx(20.0)
    assert decodes_at(decodes_K, quality_K, 0.1) == 5.0
    assert decodes_at(decodes_K, quality_K, 0.9) is None
    # A dip in the curve does not hide a cheap setting.
    assert decodes_at(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.9, 0.6]), 0.7) == 1.5


def test_oracle_decodes_each_change_once_at_its_first_right_step() -> None:
    # Step 6 still says the action, so idle is decoded at 7.
    assert np.flatnonzero(oracle_decodes(HAND)).tolist() == [0, 5, 7]
    never = record([0, 0, 7, 7, 0], [0.0, 1.5, 3.5], [0, 1, 0])
    assert np.flatnonzero(oracle_decodes(never)).tolist() == [0, 4]


def test_hits_need_the_right_meaning_within_the_event_and_a_second() -> None:
    assert event_delays_s(HAND, decodes(0, 5, 7)).tolist() == [2.5, 1.0]
    # Step 6 says the action 0.0 s after its end: still a hit of it, none of idle.
    assert event_delays_s(HAND, decodes(0, 6)).tolist() == [3.5, np.inf]
    late = record([0, 0, 0, 0, 1], [0.0, 1.0, 2.5], [0, 1, 0])
    assert event_delays_s(late, decodes(4, of=late)).tolist() == [np.inf, np.inf]
    # Said before the onset does not count, though it goes on being true.
    assert event_delays_s(late, decodes(0, of=late))[1] == np.inf


def test_meanings_are_numbered_by_equality() -> None:
    decoded_S, truth_G = number_meanings(
        ["idle", None, ("push", "red"), "else"], ["idle", ("push", "red"), "idle"]
    )
    assert truth_G.tolist() == [0, 1, 0]
    assert decoded_S[[0, 2]].tolist() == [0, 1]
    assert decoded_S[1] == UNPARSED
    assert decoded_S[3] not in (0, 1, UNPARSED)


@pytest.mark.parametrize(
    "broken",
    [
        {"times_s_S": np.array([0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])},
        {"starts_s_G": np.array([0.5, 2.5, 6.0])},
        {"starts_s_G": np.array([0.0, 6.0, 2.5])},
        {"truth_G": np.array([0, 0, 1])},
        {"truth_G": np.array([0, UNPARSED, 1])},
        {"truth_G": np.array([0, 1])},
        {"end_s": 7.0},
        {"decoded_S": np.array([0])},
    ],
)
def test_a_stream_that_makes_no_sense_is_refused(broken: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(HAND, **broken)


def test_a_curve_pools_shares_not_means_of_shares() -> None:
    curve = Curve(
        settings_K=np.array([1.0]),
        decodes_RK=np.array([[2.0], [4.0]]),
        right_s_RK=np.array([[1.0], [9.0]]),
        duration_s_R=np.array([10.0, 10.0]),
    )
    decodes_K, quality_K = curve.pooled(np.array([1.0, 3.0]))
    assert (decodes_K[0], quality_K[0]) == (14.0, 0.7)
