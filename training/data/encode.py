"""Frames, or a segment of a video, to a short video of its own."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from training.data.decode import Frames, first_video, rgb
from training.data.errors import MediaError

TICKS_PER_S = 1000
SLACK_S = 0.5 / TICKS_PER_S
"""Times that are nearer than this are one: time stamps are rounded."""
EXACT = {"x264-params": "cpu-independent=1"}
"""Options of libx264 that make equal frames equal bytes on every CPU. Without them its AVX-512 code
gives others from one call to the next. They cost neither time nor bytes."""


def encode_clip(frames: Iterable[tuple[float, Frames]], quality: int = 20) -> bytes:
    """An .mp4 (H.264) of (time [s], (H, W, 3) RGB) in order of time; it starts at 0 s.

    An odd last row or column, which H.264 cannot have, is dropped; so are frames that are not
    later than the one before by a millisecond.

    Args:
        quality: constant rate factor of x264; smaller is better and larger in bytes.

    Raises:
        MediaError: no frames, or frames of different sizes.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=TICKS_PER_S)
        stream.pix_fmt = "yuv420p"
        # One thread: writing shards is run once a core. Short groups are cheap to seek in.
        stream.options = EXACT | {
            "crf": str(quality),
            "preset": "veryfast",
            "threads": "1",
            "g": "30",
        }
        stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
        first_s: float | None = None
        last, size_hw = -1, (0, 0)
        for time_s, frame_HWC in frames:
            if first_s is None:
                first_s, size_hw = time_s, frame_HWC.shape[:2]
                stream.height, stream.width = (edge - edge % 2 for edge in size_hw)
            if frame_HWC.shape[:2] != size_hw:
                raise MediaError(
                    f"a frame is {frame_HWC.shape[:2]}, the first was {size_hw} (height, width); "
                    "give a clip frames of one size"
                )
            tick = round((time_s - first_s) * TICKS_PER_S)
            if tick > last:
                last = tick
                container.mux(stream.encode(_even(frame_HWC, tick)))
        if first_s is None:
            raise MediaError("there are no frames to write; choose a segment with images in it")
        container.mux(stream.encode())
    return buffer.getvalue()


def _even(frame_HWC: Frames, tick: int) -> Any:
    height, width = (edge - edge % 2 for edge in frame_HWC.shape[:2])
    if not height or not width:
        raise MediaError(f"a frame of {frame_HWC.shape[:2]} pixels is too small for a video")
    even_HWC = np.ascontiguousarray(frame_HWC[:height, :width])
    frame = av.VideoFrame.from_ndarray(even_HWC, format="rgb24")
    frame.pts = tick
    frame.time_base = Fraction(1, TICKS_PER_S)
    return frame


def cut(path: Path, start_s: float | None = None, end_s: float | None = None) -> bytes:
    """A segment of a video file, or all of it, as an .mp4 of its own that starts at 0 s.

    Coded anew: a copy could only begin at a keyframe, and short groups of frames in H.264 are
    quicker to read at random than what cameras and archives write.

    Raises:
        MediaError: no video, a damaged one, or nothing in that segment.
    """
    return encode_clip(frames_between(path, start_s or 0.0, math.inf if end_s is None else end_s))


def frames_between(path: Path, start_s: float, end_s: float) -> Iterator[tuple[float, Frames]]:
    """(time [s], (H, W, 3) RGB) of each frame of a file from `start_s` to before `end_s`.

    Raises:
        MediaError: no video, a damaged one, or time stamps that go backwards.
    """
    try:
        with av.open(str(path), metadata_errors="replace") as source:
            stream = first_video(source)
            if start_s > 0:
                source.seek(int(start_s / stream.time_base), stream=stream, backward=True)
            last_s = -math.inf
            for frame in source.decode(stream):
                if frame.time is None or frame.time < last_s:
                    raise MediaError(
                        f"{path.name}: its time stamps are missing or go backwards; convert it to "
                        ".mp4 with ffmpeg"
                    )
                last_s = frame.time
                if last_s >= end_s - SLACK_S:
                    return
                if last_s >= start_s - SLACK_S:
                    yield last_s, rgb(frame)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(
            f"{path.name} cannot be decoded ({error}); copy it again, or convert it to .mp4 with "
            "ffmpeg"
        ) from error
