"""Continuous streams of the tabletop: idle, action, idle, action … with the truth at any time."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from training.tabletop.actions import Action, Happening, happen, next_state, possible_actions
from training.tabletop.looks import Camera, Look, random_camera, random_look
from training.tabletop.meaning import Meaning, action_meaning, idle_meaning
from training.tabletop.motion import Motion
from training.tabletop.names import WORLD_VERSION
from training.tabletop.planner import choose
from training.tabletop.render import (
    SLIGHT_NOISE,
    DenseLabels,
    PainterRenderer,
    Renderer,
    RendererName,
    renderer_named,
    sensor_noise,
)
from training.tabletop.scene import random_scene
from training.tabletop.splits import generator
from training.tabletop.state import SceneState

__all__ = [
    "WORLD_VERSION",
    "Action",
    "Episode",
    "SceneState",
    "Segment",
    "next_state",
    "possible_actions",
]

IDLE_RANGE = (0.15, 0.75)
"""Share of idle time where the caller does not say."""
SHORTEST_IDLE_S = 0.35
VELOCITY_SPAN_S = 0.25


@dataclass(frozen=True, eq=False)
class Segment:
    """One stretch of a stream: an action, or idle between two."""

    onset_s: float
    end_s: float
    action: Action | None
    outcome: str
    meaning: Meaning
    ambiguous: bool
    """The outcome hangs on less than 1 px: not to be asked."""
    decided_s: float
    """From here on the outcome can be seen."""
    motion: Motion = field(repr=False)

    def state(self, t: float) -> SceneState:
        if self.action is None:
            return self.motion.start
        return self.motion.at((t - self.onset_s) / (self.end_s - self.onset_s))


@dataclass(frozen=True, eq=False)
class Episode:
    """A stream from 0 to `duration_s`, its camera and its look."""

    seed: int
    split: str
    segments: tuple[Segment, ...]
    camera: Camera
    look: Look
    renderer: Renderer = field(default_factory=PainterRenderer, repr=False)

    @classmethod
    def generate(
        cls,
        seed: int,
        split: str = "train",
        idle_fraction: float | None = None,
        max_actions: int = 10,
        renderer: RendererName = "painter",
    ) -> Episode:
        """The stream of a seed.

        Args:
            idle_fraction: share of time in which nothing moves, 0.1 to 0.95; None = at random.
            max_actions: how many actions there are, at least 1.
            renderer: who draws it; changes nothing else.

        Raises:
            ValueError: a negative seed, an unknown split or an argument out of range.
            ImportError: what the renderer needs is not installed.
        """
        if max_actions < 1:
            raise ValueError(f"max_actions is {max_actions}; use 1 or more")
        if idle_fraction is not None and not 0.1 <= idle_fraction <= 0.95:
            raise ValueError(f"idle_fraction is {idle_fraction}; use 0.1 to 0.95")
        rng = generator(seed, split)
        camera, look = random_camera(rng, split), random_look(rng, split)
        if idle_fraction is None:
            idle_fraction = float(rng.uniform(*IDLE_RANGE))
        segments = _stream(random_scene(rng, split), rng, idle_fraction, max_actions)
        return cls(seed, split, segments, camera, look, renderer_named(renderer))

    @property
    def duration_s(self) -> float:
        return self.segments[-1].end_s

    def segment_at(self, t: float) -> Segment:
        """The segment that holds t; the last one from the end on."""
        onsets = [segment.onset_s for segment in self.segments]
        return self.segments[max(0, bisect.bisect_right(onsets, t) - 1)]

    def state(self, t: float) -> SceneState:
        """The truth at t [s]."""
        return self.segment_at(t).state(t)

    def render(self, t: float, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """RGB picture at t, (H, W, 3) uint8."""
        return self.renderer.render(self.state(t), size_hw, self.camera, self.look)

    def frames(
        self,
        times: Sequence[float] | npt.NDArray[np.float64],
        size_hw: tuple[int, int],
        rng: np.random.Generator | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Pictures at `times`, (T, H, W, 3); with `rng` a camera's slight noise comes on top."""
        if len(times) == 0:
            return np.zeros((0, *size_hw, 3), np.uint8)
        frames = np.stack([self.render(float(t), size_hw) for t in times])
        if rng is None:
            return frames
        return sensor_noise(frames, rng, float(rng.uniform(*SLIGHT_NOISE)))

    def dense_labels(self, t: float, crop_px: int = 96, grid: int = 24) -> DenseLabels:
        """What each cell of the model's crop shows at t."""
        state, earlier = self.state(t), self.state(max(0.0, t - VELOCITY_SPAN_S))
        return self.renderer.dense_labels(state, earlier, self.camera, crop_px, grid)


def _stream(
    scene: SceneState, rng: np.random.Generator, idle_fraction: float, max_actions: int
) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    t, last = 0.0, ""
    for _ in range(max_actions):
        segments.append(still_segment(scene, t, _gap_s(rng, idle_fraction)))
        t = segments[-1].end_s
        action, _ = choose(scene, rng, last)
        last = action.name
        segments.append(_acted(happen(scene, action), t, float(rng.uniform(0.9, 1.1))))
        t = segments[-1].end_s
        scene = segments[-1].motion.at(1.0)
    segments.append(still_segment(scene, t, _gap_s(rng, idle_fraction)))
    return tuple(segments)


def _gap_s(rng: np.random.Generator, idle_fraction: float) -> float:
    mean = 2.1 * idle_fraction / (1 - idle_fraction)
    return max(SHORTEST_IDLE_S, mean * float(rng.uniform(0.5, 1.5)))


def still_segment(scene: SceneState, onset_s: float, length_s: float) -> Segment:
    """A stretch in which nothing moves."""
    motion = Motion(replace(scene, moving=False))
    end_s = onset_s + length_s
    return Segment(onset_s, end_s, None, "success", idle_meaning(), False, onset_s, motion)


def _acted(happening: Happening, onset_s: float, slowness: float) -> Segment:
    length_s = happening.duration_s * slowness
    return Segment(
        onset_s=onset_s,
        end_s=onset_s + length_s,
        action=happening.action,
        outcome=happening.outcome,
        meaning=action_meaning(happening.staged.motion.start, happening.action, happening.result),
        ambiguous=happening.result.ambiguous,
        decided_s=onset_s + length_s * happening.staged.decided_u,
        motion=happening.staged.motion,
    )
