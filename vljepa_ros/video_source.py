"""Pictures from a video file or a camera device, as RGB. No ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from vljepa_ros.types import ImageHWC


class SourceError(RuntimeError):
    """A source that cannot be opened or read on; the message says the mend."""


class Source(Protocol):
    """Where pictures come from."""

    is_live: bool
    """A device gives pictures at its own pace; a file has to be paced."""

    def pictures(self) -> Iterator[tuple[float, ImageHWC]]:
        """Time since the first picture [s] and the picture, to the end of the source."""


def open_source(source: str, *, width: int = 0, rate_hz: float = 0.0) -> Source:
    """The source of that name: a device number, /dev/videoN, or a file.

    Args:
        width: width of the pictures, keeping their shape; 0 = as they are [px].
        rate_hz: pictures per second; 0 = as they are [Hz].

    Raises:
        SourceError: nothing there that can be played.
    """
    if not source:
        raise SourceError("no source; set the parameter source to a video file or a camera device")
    if source.isdecimal() or source.startswith("/dev/video"):
        return CameraDevice(source, width=width, rate_hz=rate_hz)
    return VideoFile(source, width=width, rate_hz=rate_hz)


def _pyav() -> Any:
    """PyAV, loaded when a file is to be played: no system package brings it.

    Raises:
        SourceError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise SourceError("playing a video file needs PyAV: pip install av") from error
    return av


class VideoFile:
    """A video file; each call of `pictures` plays it from its beginning."""

    is_live = False

    def __init__(self, path: str, *, width: int = 0, rate_hz: float = 0.0) -> None:
        self._path = Path(path).expanduser()
        self._width = width
        self._rate_hz = rate_hz
        if not self._path.is_file():
            raise SourceError(f"video file {self._path} does not exist; check the parameter source")
        for _ in self.pictures():
            return
        raise SourceError(f"video file {self._path} holds no picture")

    def pictures(self) -> Iterator[tuple[float, ImageHWC]]:
        index, start_s = 0, None
        av = _pyav()
        try:
            with av.open(str(self._path)) as container:
                if not container.streams.video:
                    raise SourceError(f"{self._path} holds no video stream")
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                steady_hz = self._rate_hz or float(stream.average_rate or 0.0)
                for picture in container.decode(stream):
                    time_s = index / steady_hz if steady_hz else index / 30.0
                    if not self._rate_hz and picture.time is not None:
                        start_s = picture.time if start_s is None else start_s
                        time_s = picture.time - start_s
                    index += 1
                    yield time_s, _resized(picture.to_ndarray(format="rgb24"), self._width)
        except av.error.FFmpegError as error:
            raise SourceError(
                f"video file {self._path} is broken at picture {index}: {error.strerror}; "
                "play it with ffplay to check"
            ) from error


class CameraDevice:
    """A camera device (V4L2 on Linux), read by OpenCV."""

    is_live = True

    def __init__(self, source: str, *, width: int = 0, rate_hz: float = 0.0) -> None:
        self._source = source
        self._width = width
        self._capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
        if rate_hz:
            self._capture.set(cv2.CAP_PROP_FPS, rate_hz)
        if not self._capture.isOpened():
            raise SourceError(
                f"camera device {source} cannot be opened; is it connected, free, and readable "
                "for this user (group video)?"
            )

    def pictures(self) -> Iterator[tuple[float, ImageHWC]]:
        with closing(_Released(self._capture)):
            start_ticks = cv2.getTickCount()
            while True:
                there, bgr_HWC = self._capture.read()
                time_s = (cv2.getTickCount() - start_ticks) / cv2.getTickFrequency()
                if not there:
                    raise SourceError(f"camera device {self._source} stopped giving pictures")
                rgb_HWC = np.asarray(cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB), np.uint8)
                yield time_s, _resized(rgb_HWC, self._width)


class _Released:
    """OpenCV says release where Python says close."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self.close = capture.release


def _resized(image_HWC: ImageHWC, width: int) -> ImageHWC:
    height_px, width_px = image_HWC.shape[:2]
    if width in (0, width_px):
        return image_HWC
    height = max(1, round(height_px * width / width_px))
    shrinking = cv2.INTER_AREA if width < width_px else cv2.INTER_LINEAR
    resized_HWC: ImageHWC = cv2.resize(image_HWC, (width, height), interpolation=shrinking)
    return resized_HWC
