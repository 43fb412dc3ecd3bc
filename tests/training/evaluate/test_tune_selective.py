"""Tuning finds the cheapest setting that keeps quality and hits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from synthetic_streams import synthetic_stream

from training.evaluate.selective import StreamRecord, oracle_decodes
from training.evaluate.tune_selective import GRID, MARGIN, Pace, settings, tune
from vljepa_ros.config import SelectiveConfig

PLAIN = SelectiveConfig(settle=10.0, min_interval_s=0.0, noise_factor=0.0)


@pytest.fixture(scope="module")
def paces() -> list[list[StreamRecord]]:
    return [
        [synthetic_stream(seed, idle_share=share, duration_s=60.0) for seed in range(3)]
        for share in (0.5, 0.8)
    ]


def at(threshold: float) -> SelectiveConfig:
    return dataclasses.replace(PLAIN, distance_threshold=threshold)


def test_saying_idle_once_does_not_qualify(paces: list[list[StreamRecord]]) -> None:
    # A decoder that is right about little: idle alone keeps more than 95 % of its quality.
    rng = np.random.default_rng(0)
    streams = []
    for stream in paces[1]:
        wrong_S = (stream.decoded_S != 0) & (rng.random(len(stream.decoded_S)) < 0.9)
        decoded_S = np.where(wrong_S, 199, stream.decoded_S)
        streams.append(dataclasses.replace(stream, decoded_S=decoded_S))
    silent = Pace(streams).trial(at(1.0))
    assert silent.cost < 0
    assert silent.kept < 0.1
    best, trials = tune([streams], [at(1.0), at(0.2)])
    assert best == at(0.2)
    assert trials[0].kept > silent.kept


def test_the_cheapest_setting_that_keeps_enough_wins(paces: list[list[StreamRecord]]) -> None:
    candidates = [at(threshold) for threshold in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)]
    best, trials = tune(paces, candidates)
    assert all(trial.kept >= MARGIN for trial in trials)
    for candidate in candidates:
        others = [Pace(streams).trial(candidate) for streams in paces]
        if all(trial.kept >= MARGIN for trial in others):
            assert sum(t.cost for t in others) >= sum(t.cost for t in trials)
    # Neither the most talkative nor the most silent.
    assert 0.02 < best.distance_threshold < 0.8


def test_without_a_qualifying_setting_the_least_shortfall_wins(
    paces: list[list[StreamRecord]],
) -> None:
    slow = [dataclasses.replace(at(0.1), min_interval_s=s) for s in (40.0, 20.0, 10.0)]
    best, trials = tune(paces, slow)
    assert min(trial.kept for trial in trials) < MARGIN
    assert best.min_interval_s == 10.0


def test_cost_is_nought_for_the_oracles_decodes(paces: list[list[StreamRecord]]) -> None:
    pace = Pace(paces[0])
    assert pace.oracle == sum(oracle_decodes(stream).sum() for stream in paces[0])
    assert pace.oracle < pace.uniform
    assert 0.0 < pace.trial(at(0.2)).cost < pace.trial(at(0.05)).cost


def test_the_grid_names_settings() -> None:
    every = list(settings(SelectiveConfig()))
    assert len(every) == np.prod([len(values) for values in GRID.values()])
    assert len(set(every)) == len(every)
