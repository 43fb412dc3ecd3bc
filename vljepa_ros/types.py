"""The nouns of the package: what travels between its parts. Frozen, numpy only.

Times are integer nanoseconds of the camera's own clock (`stamp_ns`); nobody makes up a stamp.
Shapes: B batch, T frames of a clip, N tokens, H height, W width, D token width, E embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

ImageHWC: TypeAlias = npt.NDArray[np.uint8]
"""RGB image, uint8, (H, W, 3)."""
EmbeddingE: TypeAlias = npt.NDArray[np.float32]
"""Embedding, float32, (E,), unit L2 norm."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One camera image with the camera's own stamp."""

    stamp_ns: int
    image_HWC: ImageHWC
    frame_id: str = ""


@dataclass(frozen=True, eq=False)
class Clip:
    """T frames at an even rate in the frames' own time, oldest first; all of one size."""

    frames: tuple[Frame, ...]

    @property
    def start_ns(self) -> int:
        return self.frames[0].stamp_ns

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newest frame: the stamp of everything derived from the clip."""
        return self.frames[-1].stamp_ns

    @property
    def frame_id(self) -> str:
        return self.frames[-1].frame_id


@dataclass(frozen=True)
class Pose:
    """Where a camera was: its own frame (optical: x right, y down, z ahead) in a fixed one.

    With parameter `memory.pose_of`, where that frame was.
    """

    frame_id: str
    """The fixed frame, such as `map`."""
    position_m: tuple[float, float, float]
    orientation_xyzw: tuple[float, float, float, float]
    """Unit quaternion."""


@dataclass(frozen=True)
class LabelScore:
    """How well one label of a set fits: cosine, and softmax over the set given."""

    label: str
    similarity: float
    probability: float


@dataclass(frozen=True, eq=False)
class SemanticState:
    """What one step knows: published for every clip."""

    stamp_ns: int
    frame_id: str
    camera: str
    clip_start_ns: int
    query: str
    embedding_E: EmbeddingE
    labels: tuple[LabelScore, ...]
    state_id: int
    state_since_ns: int
    changed: bool
    change_score: float
    change_threshold: float
    scene_novelty: float = 0.0
    """Above 1 the scene is unlike those that the model knows; 0 where that was never measured."""


class EventReason(IntEnum):
    """Why an event was published; the values are those of SemanticEvent.msg."""

    FIRST = 0
    CHANGE = 1
    HEARTBEAT = 2
    REQUEST = 3


@dataclass(frozen=True, eq=False)
class SemanticEvent:
    """Something to say: a caption, decoded because the meaning moved (or was asked for)."""

    stamp_ns: int
    frame_id: str
    camera: str
    state_id: int
    previous_state_id: int
    reason: EventReason
    query: str
    caption: str
    caption_score: float
    labels: tuple[LabelScore, ...]
    embedding_E: EmbeddingE
    change_score: float


@dataclass(frozen=True, eq=False)
class Step:
    """The outcome of one perception step: always a state, an event when there is one."""

    state: SemanticState
    event: SemanticEvent | None = field(default=None)
