"""Frames of videos and images on disk, read where they are needed.

Shapes: T frames of a clip, H x W pixels, 3 colours (RGB).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from training.data import decode
from training.data.decode import Frames, Timeline
from training.data.errors import MediaError
from training.evaluate.external.folder import IMAGES
from training.evaluate.external.items import VideoSegment

TIMELINES = 64
"""Videos whose time stamps are remembered: the segments of one follow each other."""


def read_clip(segment: VideoSegment, frames: int) -> Frames:
    """`frames` frames (T, H, W, 3) spread evenly over a segment; an image is repeated.

    Raises:
        MediaError: it cannot be decoded, or the segment lies outside of the video.
    """
    if segment.path.suffix.lower() in IMAGES:
        still_HWC = _image(segment.path)
        return np.repeat(still_HWC[None], frames, axis=0)
    try:
        timeline = _timeline(segment.path)
        wanted = timeline.spread(frames, segment.start_s, segment.end_s)
        return np.stack(decode.frames_at(segment.path, timeline, wanted))
    except MediaError as error:
        raise MediaError(f"{segment.path}: {error}") from error


def read_change(path: Path, initial_s: float, final_s: float, frames: int) -> Frames:
    """Two moments of a video as one clip (T, H, W, 3), each picture repeated over its half.

    Raises:
        MediaError: it cannot be decoded.
    """
    try:
        timeline = _timeline(path)
        wanted = [_shown_at(timeline, time_s) for time_s in (initial_s, final_s)]
        first_HWC, last_HWC = decode.frames_at(path, timeline, wanted)
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from error
    half = frames // 2
    return np.stack([first_HWC] * half + [last_HWC] * (frames - half))


def _shown_at(timeline: Timeline, time_s: float) -> int:
    """Time stamp of the frame shown at a moment; the first or last where that lies outside."""
    last_s = timeline.pts[-1] * timeline.tick_s
    at_s = min(max(time_s, timeline.pts[0] * timeline.tick_s), last_s)
    return timeline.spread(1, at_s, at_s + timeline.tick_s)[0]


def _image(path: Path) -> Frames:
    try:
        return decode.image(path.read_bytes())
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from error


@lru_cache(TIMELINES)
def _timeline(path: Path) -> Timeline:
    return decode.read_timeline(path)
