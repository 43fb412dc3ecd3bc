"""Counts and verdicts of one camera."""

from __future__ import annotations

from typing import Any

import pytest

from vljepa_ros.ros import health
from vljepa_ros.ros.health import CameraMeter, Health, Level


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(health, "time", clock)
    return clock


def look(meter: CameraMeter, **given: Any) -> Health:
    known = {"topic": "/image", "publishers": 1, "stale_after_s": 2.0, "warning": ""}
    return meter.health(**{**known, **given})


def perceive(meter: CameraMeter, times: int = 1) -> None:
    for _ in range(times):
        meter.received()
        meter.published(latency_ns=20_000_000, event=False)


def test_a_camera_that_never_spoke_is_stale_after_its_time(clock: Clock) -> None:
    meter = CameraMeter()
    assert look(meter).level is Level.OK
    clock.now_s += 3.0
    verdict = look(meter, publishers=0)
    assert verdict.level is Level.STALE and "publishers found: 0" in verdict.message
    perceive(meter)
    assert look(meter).level is Level.OK
    clock.now_s += 2.5
    assert look(meter).level is Level.STALE and "2.5 s" in look(meter).message


def test_refusals_are_errors_while_nothing_else_comes(clock: Clock) -> None:
    meter = CameraMeter()
    meter.received()
    meter.refused("step", "step is short")
    assert look(meter).level is Level.ERROR and look(meter).message == "step is short"
    perceive(meter)
    assert look(meter).level is Level.WARN
    clock.now_s += 6.0
    perceive(meter)
    verdict = look(meter)
    assert (verdict.level, verdict.message) == (Level.OK, "perceiving")
    assert verdict.values["last error"] == "step is short"
    assert verdict.values["refused: step"] == "1"


def test_a_warning_of_the_subscription_is_said(clock: Clock) -> None:
    meter = CameraMeter()
    perceive(meter)
    assert look(meter, warning="lossy").level is Level.WARN
    assert look(meter, warning="lossy").message == "lossy"


def test_frames_add_up_and_rates_and_percentiles_are_of_what_happened(clock: Clock) -> None:
    meter = CameraMeter()
    for index in range(21):
        meter.received(lost_before=2 if index == 5 else 0)
        if index % 2:
            meter.dropped()
        else:
            meter.published(latency_ns=index * 1_000_000, event=index == 0)
        clock.now_s += 0.1
    values = look(meter).values
    assert (values["frames received"], values["states"], values["events"]) == ("21", "11", "1")
    assert (values["frames dropped"], values["frames lost on the way"]) == ("10", "2")
    assert meter.dropped_frames == 12
    assert float(values["image rate [Hz]"]) == pytest.approx(10.0, abs=0.01)
    assert float(values["state rate [Hz]"]) == pytest.approx(5.0, abs=0.01)
    assert float(values["latency p50 [ms]"]) == 10.0
    assert 19.0 < float(values["latency p99 [ms]"]) <= 20.0


def test_memory_is_that_of_this_process() -> None:
    before_mb = health.memory_mb()
    ballast = bytearray(64_000_000)
    assert 50.0 < health.memory_mb() - before_mb < 80.0
    del ballast
