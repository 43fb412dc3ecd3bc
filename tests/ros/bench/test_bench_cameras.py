"""The bench of several cameras: its arithmetic, and one short run of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vljepa_ros.ros.bench.cameras import ratios


def test_ratios_are_taken_within_a_round_and_the_middle_one_counts() -> None:
    rounds = [{1: 10.0, 2: 20.0, 4: 30.0}, {1: 1.0, 2: 1.5, 4: 2.0}, {1: 4.0, 2: 4.0, 4: 40.0}]
    assert ratios(rounds) == {"cameras2_ratio": 1.5, "cameras4_ratio": 3.0}


@pytest.mark.ros
def test_the_bench_runs(tiny_model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vljepa_ros.ros.bench.cameras", "--model", str(tiny_model)]
    options = ["--rounds", "1", "--seconds", "1", "--device", "cpu", "--logs", str(tmp_path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"cameras2_ratio", "cameras4_ratio"}
    assert all(ratio > 0.0 for ratio in found.values())
