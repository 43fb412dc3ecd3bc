"""Videos and images to frames.

Shapes: T frames, H x W pixels, C = 3 colours (RGB).
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.errors import MediaError
from training.data.samples import EXTENSIONS, IMAGE_EXTENSIONS
from vljepa_ros.model.preprocessing import ImageError, resize_crop_uint8

Frames = npt.NDArray[np.uint8]
Media: TypeAlias = "bytes | Path"
"""A video in memory, or a file that is read where it is needed."""


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown, without decoding any."""

    pts: tuple[int, ...]
    """Of every frame, ascending, in ticks."""
    keyframes: tuple[int, ...]
    tick_s: float

    def spread(self, count: int, start_s: float | None, end_s: float | None) -> list[int]:
        """Time stamps of the frames shown in the middle of `count` equal parts of the segment.

        By time, not by number, so that videos of varying rate are sampled evenly too; a frame
        comes twice where there are fewer than `count`.

        Raises:
            MediaError: the segment begins after the last frame.
        """
        first_s, last_s = self.pts[0] * self.tick_s, self.end_s
        begin_s = first_s if start_s is None else max(start_s, first_s)
        stop_s = last_s if end_s is None else min(end_s, last_s)
        if begin_s >= stop_s:
            raise MediaError(
                f"the segment {start_s} to {end_s} s lies outside the video ({first_s:.3f} to "
                f"{last_s:.3f} s); correct start_s and end_s"
            )
        middles_s = begin_s + (np.arange(count) + 0.5) / count * (stop_s - begin_s)
        # A tick's thousandth: sums of floats must not fall just short of a time stamp.
        ticks = middles_s / self.tick_s + 1e-3
        return [self.pts[max(0, bisect_right(self.pts, tick) - 1)] for tick in ticks]

    @property
    def end_s(self) -> float:
        """The last frame is shown as long as frames are on the average."""
        spans = max(1, len(self.pts) - 1)
        mean = (self.pts[-1] - self.pts[0]) / spans
        return (self.pts[-1] + max(1.0, mean)) * self.tick_s


def clip(
    media: bytes,
    extension: str,
    frames: int,
    crop_px: int,
    start_s: float | None = None,
    end_s: float | None = None,
    resize_px: int = 0,
) -> Tensor:
    """`frames` frames spread evenly over a video's segment, as the model sees them.

    An image is repeated along time.

    Returns:
        (T, 3, crop_px, crop_px) uint8.

    Raises:
        MediaError: it cannot be decoded, has no frame, or the segment lies outside of it.
    """
    try:
        if extension in IMAGE_EXTENSIONS:
            still_TCHW = resize_crop_uint8(image(media)[None], crop_px, resize_px)
            return still_TCHW.expand(frames, -1, -1, -1).contiguous()
        if extension not in EXTENSIONS:
            raise MediaError(f".{extension} is not known; use {', '.join(EXTENSIONS)}")
        shown = spread_frames(media, frames, start_s, end_s)
        return torch.cat([resize_crop_uint8(frame[None], crop_px, resize_px) for frame in shown])
    except ImageError as error:
        raise MediaError(str(error)) from error


def image(media: bytes) -> Frames:
    """A still image, (H, W, 3) RGB.

    Raises:
        MediaError: not an image.
    """
    data = np.frombuffer(media, np.uint8)
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:  # as of a header that promises more pixels than OpenCV takes
        bgr = None
    if bgr is None:
        raise MediaError("the image cannot be decoded; save it again as JPEG or PNG")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def spread_frames(
    media: Media, count: int, start_s: float | None, end_s: float | None
) -> list[Frames]:
    """`count` frames (H, W, 3) of a segment in order of time; see `Timeline.spread`.

    Raises:
        MediaError: see `clip`.
    """
    timeline = read_timeline(media)
    return frames_at(media, timeline, timeline.spread(count, start_s, end_s))


def frames_at(media: Media, timeline: Timeline, wanted: Sequence[int]) -> list[Frames]:
    """The frames (H, W, 3) of these time stamps; a stamp may come twice.

    Raises:
        MediaError: some cannot be decoded.
    """
    found: dict[int, Frames] = {}
    for keyframe, group in groupby(sorted(set(wanted)), key=lambda p: _before(timeline, p)):
        found |= _decode(media, set(group), keyframe)
    if len(found) < len(set(wanted)):  # some files cannot be sought in
        found = _decode(media, set(wanted), None)
    if len(found) < len(set(wanted)):
        raise MediaError(
            f"{len(set(wanted)) - len(found)} of {len(set(wanted))} frames cannot be decoded; the "
            "video is cut off or damaged: copy or record it again"
        )
    return [found[pts] for pts in wanted]


def read_timeline(media: Media) -> Timeline:
    """
    Raises:
        MediaError: no video, no frames, or frames without time stamps.
    """
    pts: list[int] = []
    keyframes: list[int] = []
    with _opened(media) as (container, stream):
        for packet in _guarded(container.demux(stream)):
            if not packet.size or packet.is_discard:
                continue
            if packet.is_corrupt:
                break  # its last bytes are missing
            if packet.pts is None:
                raise MediaError("its frames have no time stamps; convert it to .mp4 with ffmpeg")
            pts.append(packet.pts)
            if packet.is_keyframe:
                keyframes.append(packet.pts)
        tick_s, announced = float(stream.time_base), stream.frames
    if len(pts) < announced:
        raise MediaError(
            f"the video has {len(pts)} of its {announced} frames, so it is cut off; copy or record "
            "it again"
        )
    if not pts:
        raise MediaError("the video has no frames; record it again")
    return Timeline(tuple(sorted(pts)), tuple(sorted(keyframes)), tick_s)


def _before(timeline: Timeline, pts: int) -> int | None:
    """The keyframe from which the frame at `pts` can be decoded."""
    index = bisect_right(timeline.keyframes, pts)
    return timeline.keyframes[index - 1] if index else None


def _decode(media: Media, wanted: set[int], keyframe: int | None) -> dict[int, Frames]:
    """Those of the wanted frames that are found from `keyframe` (None = the start) on."""
    found: dict[int, Frames] = {}
    with _opened(media) as (container, stream):
        if keyframe is not None:
            container.seek(keyframe, stream=stream, backward=True)
        for frame in _guarded(container.decode(stream)):
            if frame.pts in wanted:
                found[frame.pts] = rgb(frame)
            if len(found) == len(wanted) or (frame.pts or 0) > max(wanted):
                break
    return found


def rgb(frame: Any) -> Frames:
    """A decoded frame's (H, W, 3).

    Raises:
        MediaError: its pixels are of a kind that cannot be converted.
    """
    try:
        pixels_HWC: Frames = frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"a frame cannot be converted to RGB ({error}); convert the video to .mp4 with ffmpeg"
        ) from error
    return pixels_HWC


def first_video(container: Any) -> Any:
    """The first video stream of an open file, decoded by one thread.

    Loaders run one process a core; more threads in each would only get in their way.

    Raises:
        MediaError: there is none, or none that can be decoded.
    """
    if not container.streams.video:
        raise MediaError("the file holds no video; give one that does")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise MediaError("its codec is not known; convert it to .mp4 with ffmpeg")
    stream.codec_context.thread_count = 1
    return stream


class _opened:
    """A video and its first video stream."""

    def __init__(self, media: Media) -> None:
        self._media = media

    def __enter__(self) -> tuple[Any, Any]:
        try:
            file = str(self._media) if isinstance(self._media, Path) else io.BytesIO(self._media)
            self._container = av.open(file, metadata_errors="replace")
        except (av.FFmpegError, OSError) as error:
            raise MediaError(
                f"the video cannot be opened ({error}); it is cut off or no video: copy or record "
                "it again"
            ) from error
        try:
            return self._container, first_video(self._container)
        except MediaError:
            self._container.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._container.close()


def _guarded(packets: Iterator[Any]) -> Iterator[Any]:
    """Damage in the middle ends the video there; what is missing is told by the caller."""
    try:
        yield from packets
    except av.FFmpegError:
        return
