"""The bench's arithmetic on rounds whose ratios are known."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.config import ModelConfig, XEncoderConfig
from vljepa_ros.ros.bench.bare import BareWindow
from vljepa_ros.ros.bench.figures import (
    Beside,
    Memory,
    Round,
    TooFewError,
    latency_ms,
    reached,
    received_ms,
    results,
    states_per_s,
    tubelets_per_state,
)
from vljepa_ros.ros.bench.memory import MemoryWatch
from vljepa_ros.ros.bench.probe import Arrival, Stretch
from vljepa_ros.ros.bench.query_figures import query_results
from vljepa_ros.ros.bench.report import progress, table

MS = 1_000_000
START = 1_700_000_000 * 1000 * MS


def stretch(
    period_ms: float, age_ms: float, *, states: int = 101, images: int = 300, warm_up: int = 0
) -> Stretch:
    """States at an even pace, each of that age when published."""
    published = [START + round((warm_up + i) * period_ms * MS) for i in range(states)]
    age = round(age_ms * MS)
    return Stretch(
        images,
        states * period_ms / 1000,
        tuple(Arrival(at - age, at, at + MS) for at in published),
        tuple(START + round(i * period_ms * MS) - age for i in range(warm_up)),
    )


def one_round(forward_ms: float = 20.0, slower: float = 1.0) -> Round:
    forward_ms *= slower
    bare = BareWindow(1000 / forward_ms, forward_ms)
    return Round(
        busy=Beside(stretch(25 * slower, 40 * slower), bare),
        overload=Beside(stretch(30 * slower, 32 * slower), bare),
        calm=Beside(stretch(100, 24 * slower), bare),
    )


def test_rates_and_latencies() -> None:
    assert states_per_s(stretch(25, 30)) == pytest.approx(40.0)
    assert latency_ms(stretch(25, 30)) == pytest.approx(30.0)
    assert received_ms(stretch(25, 30)) == pytest.approx(31.0)


def test_ratios_of_a_round() -> None:
    done = one_round()
    assert done.throughput_ratio == pytest.approx(0.8)
    assert done.latency_ratio == pytest.approx(1.2)
    assert done.overload_age_ratio == pytest.approx(1.6)
    assert "throughput 0.800" in progress(done)


def test_a_machine_that_slows_down_changes_no_ratio() -> None:
    found = results(
        [one_round(), one_round(slower=3.0), one_round(slower=7.0)],
        Memory(60, 500, 300, 510),
        ModelConfig(),
    )
    assert found["throughput_ratio"] == 0.8
    assert found["latency_ratio"] == 1.2
    assert found["overload_age_ratio"] == 1.6
    assert found["memory_ratio"] == 1.02
    assert [r["throughput_ratio"] for r in found["rounds"]] == [0.8, 0.8, 0.8]


def test_the_loop_before_and_after_count_alike() -> None:
    between = BareWindow(50.0, 20.0).and_also(BareWindow(25.0, 40.0))
    assert (between.forwards_per_s, between.forward_ms) == (37.5, 30.0)


def test_too_few_states_are_an_error_not_a_number() -> None:
    with pytest.raises(TooFewError, match="2 states came of 300 images"):
        states_per_s(stretch(25, 30, states=2))
    with pytest.raises(TooFewError):
        latency_ms(stretch(25, 30, states=0))


def test_the_node_encodes_one_tubelet_a_state_while_it_runs() -> None:
    config = ModelConfig()
    for period_ms in (20.0, 33.3, 100.0, 250.0):
        warm = stretch(period_ms, 10, warm_up=round(2500 / period_ms))
        assert tubelets_per_state(warm, config) == 1.0


def test_whole_clips_are_counted_as_all_their_tubelets() -> None:
    config = dataclasses.replace(ModelConfig(), x_encoder=XEncoderConfig(frames_per_pass=8))
    assert tubelets_per_state(stretch(50, 10, warm_up=60), config) == 4.0


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("throughput_ratio", 0.9, True),
        ("throughput_ratio", 0.89, False),
        ("latency_ratio", 1.3, True),
        ("latency_ratio", 1.31, False),
        ("memory_ratio", float("nan"), False),
    ],
)
def test_goals(name: str, value: float, good: bool) -> None:
    assert reached(name, value) is good


def test_the_table_names_goals_and_what_was_missed() -> None:
    found = results([one_round()], Memory(60, 500, 300, 510), ModelConfig())
    text = table(found | query_results(None))  # of a model that cannot imagine
    rows = text.splitlines()
    assert "40.0 /s" in rows[1] and "50.0 /s" in rows[1] and ">= 0.90 missed" in rows[1]
    assert "<= 1.30 reached" in rows[2]
    assert "510.0 MB" in rows[4] and "<= 1.05 reached" in rows[4]


def resident_mb() -> float:
    with MemoryWatch(os.getpid()) as watch:
        while not np.isfinite(watch.at(watch.seconds())):
            time.sleep(0.05)
        assert np.isnan(watch.at(watch.seconds() + 100.0))
        return watch.at(watch.seconds())


def test_memory_of_a_process_that_grows() -> None:
    before_mb = resident_mb()
    ballast = np.ones(25_000_000)  # 200 MB
    assert resident_mb() - before_mb > 150
    assert ballast[0] == 1


def test_the_last_line_of_a_missing_model_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vljepa_ros.ros.bench.__main__ import main

    assert main(["--quick", "--model", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("bench: ")
