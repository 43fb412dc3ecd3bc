"""The limit of steps a second, on a clock that the test turns."""

from __future__ import annotations

import pytest

from vljepa_ros.stream.pace import Pace


def steps(pace: Pace, times_s: list[float]) -> list[float]:
    """At which of these times a step began, when one is wanted at each."""
    begun = []
    for now_s in times_s:
        if now_s >= pace.next_s:
            pace.begin(now_s)
            begun.append(now_s)
    return begun


def test_without_a_limit_every_time_is_one() -> None:
    times_s = [0.0, 0.0, 1e-9, -5.0, 7.0]
    assert steps(Pace(), times_s) == times_s


def test_a_limit_holds_on_average_and_not_only_between_neighbours() -> None:
    times_s = [n * 0.03 for n in range(1000)]
    begun = steps(Pace(5.0), times_s)
    assert len(begun) == pytest.approx(0.03 * 1000 * 5.0, abs=1)


def test_after_a_silence_it_counts_from_the_next_step() -> None:
    pace = Pace(1.0)
    assert steps(pace, [0.0, 0.5, 1.0, 10.5, 11.0, 11.5]) == [0.0, 1.0, 10.5, 11.5]
