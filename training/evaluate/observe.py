"""Windows of test streams, seen through the same engine as on the robot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from training.tabletop.windows import WindowTruth, truth
from training.tabletop.world import Episode, Segment
from vljepa_ros.model.engine import Engine

SIZE_HW = (240, 320)
BATCH_CLIPS = 32
IDLE_LEAD_S = 0.75
STILL_S = 0.26
"""Two frames at 4 Hz lie in this."""


@dataclass(frozen=True, eq=False)
class Observed:
    """One clip's visual tokens and what is true at its newest frame."""

    episode: int
    tokens_TND: torch.Tensor
    truth: WindowTruth


def clip_times(end_s: float, frames: int, rate_hz: float) -> npt.NDArray[np.float64]:
    """Times of a clip's frames, oldest first, never before the stream begins."""
    return np.maximum(0.0, end_s - np.arange(frames)[::-1] / rate_hz)


def observe(engine: Engine, episodes: list[Episode], seed: int) -> list[Observed]:
    """One window of every action and of every longer idle stretch of each episode."""
    rng = np.random.default_rng([seed, 2])
    ends = (
        (i, end_s) for i, episode in enumerate(episodes) for end_s in _window_ends(episode, rng)
    )
    return observe_at(engine, episodes, ends, rng)


def observe_still(engine: Engine, episodes: Sequence[Episode], seed: int) -> list[Observed]:
    """A still moment of every idle stretch: nothing moves in the last two frames."""
    rng = np.random.default_rng([seed, 8])
    ends = ((i, end_s) for i, episode in enumerate(episodes) for end_s in _still_ends(episode, rng))
    return observe_at(engine, episodes, ends, rng)


def observe_at(
    engine: Engine,
    episodes: Sequence[Episode],
    ends: Iterable[tuple[int, float]],
    rng: np.random.Generator,
) -> list[Observed]:
    """The clips that end at these times of these episodes.

    Args:
        ends: index of the episode, and the time [s] of the newest frame; drawn one by one.
        rng: the camera's noise.
    """
    seen: list[Observed] = []
    pending: list[tuple[int, WindowTruth, npt.NDArray[np.uint8]]] = []
    for index, end_s in ends:
        clip = _prepared_clip(engine, episodes[index], end_s, rng)
        pending.append((index, truth(episodes[index], end_s), clip))
        if len(pending) == BATCH_CLIPS:
            seen.extend(_encode(engine, pending))
            pending.clear()
    seen.extend(_encode(engine, pending))
    return seen


def _window_ends(episode: Episode, rng: np.random.Generator) -> Iterator[float]:
    for segment in episode.segments:
        if segment.ambiguous:
            continue
        first = _first_decided_s(segment)
        last = segment.end_s - 1e-3
        if first < last:
            yield float(rng.uniform(first, last))


def _still_ends(episode: Episode, rng: np.random.Generator) -> Iterator[float]:
    for segment in episode.segments:
        if segment.action is None:
            yield still_moment_s(segment, rng)


def still_moment_s(idle: Segment, rng: np.random.Generator) -> float:
    """A moment of an idle stretch at which nothing has moved for the last two frames."""
    return float(rng.uniform(idle.onset_s + STILL_S, idle.end_s - 1e-3))


def _first_decided_s(segment: Segment) -> float:
    if segment.action is None:
        return segment.onset_s + IDLE_LEAD_S
    return segment.decided_s


def _prepared_clip(
    engine: Engine, episode: Episode, end_s: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    config = engine.config
    times = clip_times(end_s, config.clip_frames, config.clip_rate_hz)
    frames = episode.frames(times, SIZE_HW, rng)
    return np.stack([engine.prepare(frame) for frame in frames])


def _encode(
    engine: Engine, pending: list[tuple[int, WindowTruth, npt.NDArray[np.uint8]]]
) -> Iterator[Observed]:
    if not pending:
        return
    tokens_BTND = engine.encode_clips(np.stack([clip for _, _, clip in pending]))
    for (index, window, _), tokens in zip(pending, tokens_BTND, strict=True):
        yield Observed(index, tokens, window)


def predict(engine: Engine, seen: list[Observed], query: str) -> npt.NDArray[np.float32]:
    """Embeddings (windows, E) of one query to all windows."""
    parts = [
        engine.predict(
            torch.stack([o.tokens_TND for o in seen[i : i + BATCH_CLIPS]]), [query] * size
        )
        for i in range(0, len(seen), BATCH_CLIPS)
        for size in [len(seen[i : i + BATCH_CLIPS])]
    ]
    return np.concatenate(parts)
