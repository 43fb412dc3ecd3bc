"""Rare outcomes are found where the streams offer them, and in scenes that make for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from training.tabletop import batches
from training.tabletop.batches import WindowBatches
from training.tabletop.cache import FrameCache, build
from training.tabletop.cached_windows import Windows
from training.tabletop.planner import leading_to_rare, rare
from training.tabletop.rarity import RARE, RARE_ACTIONS
from training.tabletop.splits import TUNE_SEEDS
from training.tabletop.state import SceneState
from training.tabletop.tasks import TaskMix
from training.tabletop.world import Episode, next_state, possible_actions
from vljepa_ros.config import ModelConfig
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.paths import default_model

TUBELETS = 4
CLIP_S, TUBELET_S = 2.0, 0.5


def still_states(seed: int, from_s: float = 0.0, shortest_s: float = 0.0) -> Iterator[SceneState]:
    for segment in Episode.generate(seed).segments:
        long_enough = segment.end_s - segment.onset_s >= shortest_s
        if segment.action is None and segment.onset_s >= from_s and long_enough:
            yield segment.state(segment.onset_s)


def a_seed_with_rare_outcomes() -> int:
    seeds = range(TUNE_SEEDS.start, TUNE_SEEDS.start + 200)
    return next(s for s in seeds if any(map(rare, still_states(s, CLIP_S, 2 * TUBELET_S))))


def test_rare_outcomes_are_those_of_the_world() -> None:
    for state in still_states(a_seed_with_rare_outcomes()):
        results = [(action, next_state(state, action)[1]) for action in possible_actions(state)]
        wanted = [
            (action, result.outcome)
            for action, result in results
            if (action.name, result.outcome) in RARE and not result.ambiguous
        ]
        assert [(action, result.outcome) for action, result in rare(state)] == wanted


@pytest.mark.slow
def test_what_leads_to_rare_outcomes_does() -> None:
    led: Counter[str] = Counter()
    for seed in range(TUNE_SEEDS.start, TUNE_SEEDS.start + 20):
        for state in still_states(seed):
            for action in leading_to_rare(state):
                led.update(result.outcome for _, result in rare(next_state(state, action)[0]))
    assert set(led) == {outcome for _, outcome in RARE}


@pytest.mark.slow
def test_outcomes_of_actions_with_a_rare_one_are_drawn_alike_often(tmp_path: Path) -> None:
    windows = windows_of(tmp_path, a_seed_with_rare_outcomes())
    rng = np.random.default_rng(0)
    drawn: Counter[tuple[str, str]] = Counter()
    for _ in range(200):
        found = windows.draw_rare(rng)
        assert found is not None
        before, action = found
        assert action.name in RARE_ACTIONS
        assert before.truth.segment.action is None
        drawn[action.name, next_state(before.state, action)[1].outcome] += 1
    assert drawn.keys() & RARE and len(drawn) > 1
    assert max(drawn.values()) < 2 * min(drawn.values())


@pytest.mark.slow
@pytest.mark.parametrize("rollout", [0.0, 1.0])
def test_batches_ask_for_rare_outcomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rollout: float
) -> None:
    """`rollout` 1: half of the rows go on with a second action."""
    windows = windows_of(tmp_path, a_seed_with_rare_outcomes())
    mix = TaskMix(0.0, 0.0, transition=1.0, rollout=rollout)
    tokenizer = Tokenizer.from_file(default_model() / "tokenizer.json")

    def share(of: float) -> float:
        monkeypatch.setattr(batches, "RARE_SHARE", of)
        rows = WindowBatches(windows, tokenizer, ModelConfig(), mix, 32, seed=0).rows(0)
        told = [row.asked.target for row in rows if row.after_then is None]
        return float(np.mean(["put" in text and "down" in text for text in told]))

    assert share(0.0) < 0.9 < share(1.0) == 1.0


@pytest.mark.slow
def test_streams_without_one_say_so(tmp_path: Path) -> None:
    seeds = range(TUNE_SEEDS.start, TUNE_SEEDS.start + 200)
    plain = next(seed for seed in seeds if not any(map(rare, still_states(seed))))
    assert windows_of(tmp_path, plain).draw_rare(np.random.default_rng(0)) is None


def windows_of(folder: Path, seed: int) -> Windows:
    """Of one stream, its tokens empty."""
    build(folder, seed, episodes=1, workers=1)
    cache = FrameCache(folder)
    [cached], [shard] = cache.episodes, cache.shards
    np.save(shard.folder / "tokens.npy", np.zeros((cached.count // 2, 36, 8), np.float16))
    return Windows(cache, cache.episodes, TUBELETS)
