"""The recording from the demo's side: its frames, small and in time, for screen and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from examples.demo.truth import cuts, small
from vljepa_ros.types import ImageHWC
from vljepa_ros.video_source import open_source

THUMBNAIL_PX = 200
"""Height of the frames kept."""


@dataclass(frozen=True)
class Recording:
    """All frames of a video file."""

    path: Path
    times_s: npt.NDArray[np.float64]
    thumbnails: Sequence[bytes]
    """JPEG of each frame."""
    cuts_s: Sequence[float]

    @property
    def duration_s(self) -> float:
        """Up to the end of the last frame."""
        frames = len(self.times_s)
        return float(self.times_s[-1] * frames / (frames - 1)) if frames > 1 else 1.0

    def frame_at(self, time_s: float) -> ImageHWC:
        """The frame shown at a moment, at most THUMBNAIL_PX high."""
        at = int(np.searchsorted(self.times_s, time_s + 1e-3, side="right")) - 1
        jpeg = np.frombuffer(self.thumbnails[max(at, 0)], np.uint8)
        bgr_HWC = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB), np.uint8)


def read(path: Path) -> Recording:
    """Read a video file once, before it is played.

    Raises:
        SourceError: it cannot be played; the message says the mend.
    """
    times_s, thumbnails, smalls = [], [], []
    for time_s, image_HWC in open_source(str(path)).pictures():
        height, width = image_HWC.shape[:2]
        scale = min(THUMBNAIL_PX / height, 1.0)
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        thumbnail_HWC = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA)
        bgr_HWC = cv2.cvtColor(thumbnail_HWC, cv2.COLOR_RGB2BGR)
        thumbnails.append(cv2.imencode(".jpg", bgr_HWC)[1].tobytes())
        times_s.append(time_s)
        smalls.append(small(image_HWC))
    return Recording(path, np.array(times_s), thumbnails, cuts(smalls, times_s))
