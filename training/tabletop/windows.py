"""What is true of a clip: 8 frames at 4 Hz that end at a given time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.tabletop.language import action_label
from training.tabletop.meaning import Meaning, scene_meaning
from training.tabletop.names import IDLE
from training.tabletop.state import SceneState
from training.tabletop.world import Episode, Segment, still_segment

CLIP_FRAMES = 8
RATE_HZ = 4.0
SETTLED_S = 0.5
"""After so long without motion a watcher knows that nothing moves."""


@dataclass(frozen=True, eq=False)
class WindowTruth:
    """The truth at a clip's newest frame."""

    action_meaning: Meaning
    """The running action with its outcome, or idle."""
    action_label: str | None
    """The label text of the running action or of idle."""
    decided: bool
    """Whether the frames so far show it: the outcome is visible, or nothing has moved for 0.5 s.
    False as well where the outcome is too close to call."""
    scene_meaning: Meaning | None
    """None while something moves, or where left and right are too close to call."""
    segment: Segment
    state: SceneState


def truth(episode: Episode, end_s: float) -> WindowTruth:
    """The truth of the clip whose newest frame is taken at `end_s`."""
    return _truth_in(episode.segment_at(end_s), end_s)


def still_truth(state: SceneState) -> WindowTruth:
    """What is true of a scene that a stream does not show, once nothing has moved for a clip."""
    end_s = CLIP_FRAMES / RATE_HZ
    return _truth_in(still_segment(state, 0.0, end_s), end_s)


def _truth_in(segment: Segment, end_s: float) -> WindowTruth:
    state = segment.state(end_s)
    idle = segment.action is None
    decided = end_s - segment.onset_s >= SETTLED_S if idle else end_s >= segment.decided_s
    return WindowTruth(
        action_meaning=segment.meaning,
        action_label=action_label(IDLE if segment.action is None else segment.action.name),
        decided=decided and not segment.ambiguous,
        scene_meaning=scene_meaning(state) if idle else None,
        segment=segment,
        state=state,
    )


def clip_times(
    end_s: float, frames: int = CLIP_FRAMES, rate_hz: float = RATE_HZ
) -> npt.NDArray[np.float64]:
    """Times of a clip's frames, oldest first [s]; none is before 0."""
    return np.maximum(0.0, end_s - np.arange(frames - 1, -1, -1) / rate_hz)
