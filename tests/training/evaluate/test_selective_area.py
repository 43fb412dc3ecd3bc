"""Areas under curves, and whether they differ."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import trapezoid

from training.evaluate.selective import Curve
from training.evaluate.selective_area import SPAN, Areas, area, quality_at


def test_area_is_the_trapezoid_rules() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        decodes = np.sort(rng.uniform(0.2, 6.0, 15))
        quality = rng.uniform(0.0, 1.0, 15)
        fine = np.linspace(*SPAN, 200_001)
        expected = trapezoid(np.interp(fine, np.append(0, decodes), np.append(0, quality)), fine)
        shuffled = rng.permutation(15)
        found = area(decodes[shuffled], quality[shuffled])
        assert found == pytest.approx(expected / (SPAN[1] - SPAN[0]), abs=1e-6)


def test_area_of_a_line_is_known() -> None:
    assert area(np.array([0.0, 4.0]), np.array([0.0, 1.0])) == pytest.approx(2.25 / 4)
    assert area(np.array([1.0, 5.0]), np.array([1.0, 1.0]), (1.0, 3.0)) == 1.0


def test_a_curve_is_read_as_it_is_and_level_beyond_its_most_decodes() -> None:
    decodes, quality = np.array([3.0, 1.0, 2.0]), np.array([0.6, 0.5, 0.9])
    assert quality_at(decodes, quality, np.array([1.5, 2.0, 2.5, 3.0, 9.0])).tolist() == (
        pytest.approx([0.7, 0.9, 0.75, 0.6, 0.6])
    )


def test_below_its_fewest_decodes_a_method_is_silent_for_a_part() -> None:
    decodes, quality = np.array([2.0, 4.0]), np.array([0.8, 0.8])
    assert quality_at(decodes, quality, np.array([0.0, 0.5, 1.0])).tolist() == (
        pytest.approx([0.0, 0.2, 0.4])
    )


def curve_of(quality_RK: np.ndarray) -> Curve:
    """Ten events and 100 s a stream; one to six decodes per event."""
    streams = len(quality_RK)
    decodes_K = np.arange(1.0, 1.0 + quality_RK.shape[1])
    return Curve(
        settings_K=decodes_K,
        decodes_RK=np.tile(10.0 * decodes_K, (streams, 1)),
        right_s_RK=100.0 * quality_RK,
        duration_s_R=np.full(streams, 100.0),
    )


def test_differences_are_paired() -> None:
    # Streams differ much more than methods do.
    easiness_R = np.random.default_rng(0).uniform(0.1, 0.7, 20)
    quality_RK = easiness_R[:, None] + np.linspace(0.0, 0.2, 6)
    better = quality_RK.copy()
    better[:, 1:] += 0.02
    curves = {"one": curve_of(quality_RK), "same": curve_of(quality_RK), "better": curve_of(better)}
    areas = Areas(curves, [10] * 20)
    same = areas.difference("one", "same")
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    gap = areas.difference("better", "one")
    assert 0.0 < gap.low <= gap.value <= gap.high
    assert gap.high - gap.low < 1e-9
    alone = areas.of("one")
    assert alone.low < alone.value < alone.high
    assert alone.high - alone.low > gap.value
    assert areas.difference("one", "better").value == -gap.value


def test_streams_are_pooled_by_their_events() -> None:
    quality_RK = np.array([[0.5, 0.5], [0.5, 0.5]])
    curve = dataclasses.replace(
        curve_of(quality_RK), decodes_RK=np.array([[10.0, 60.0], [30.0, 60.0]])
    )
    # 40 decodes over 40 events: half of the way from 0 at .5, then level.
    expected = (0.5 * (0.25 + 0.5) / 2 + 3.0 * 0.5) / 3.5
    assert Areas({"it": curve}, [10, 30]).of("it").value == pytest.approx(expected)


def test_intervals_are_reproducible() -> None:
    curves = {"it": curve_of(np.random.default_rng(1).uniform(0.2, 0.8, (8, 6)))}
    one, other = (Areas(curves, [10] * 8, seed=3).of("it") for _ in range(2))
    assert one == other
