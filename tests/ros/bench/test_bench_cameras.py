"""The bench of several cameras: its arithmetic."""

from __future__ import annotations

from vljepa_ros.ros.bench.cameras import ratios


def test_ratios_are_taken_within_a_round_and_the_middle_one_counts() -> None:
    rounds = [{1: 10.0, 2: 20.0, 4: 30.0}, {1: 1.0, 2: 1.5, 4: 2.0}, {1: 4.0, 2: 4.0, 4: 40.0}]
    assert ratios(rounds) == {"cameras2_ratio": 1.5, "cameras4_ratio": 3.0}
