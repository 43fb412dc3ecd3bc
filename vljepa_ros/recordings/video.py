"""A plain video as a recording: its pictures are images of a camera, stamped from a given start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.messages import COMPRESSED, Messages, qos
from vljepa_ros.recordings.moments import Moment
from vljepa_ros.types import Frame, ImageHWC
from vljepa_ros.video_source import SourceError, VideoFile

NS_PER_S = 1_000_000_000
DEFAULT_START_NS = NS_PER_S
"""A video has no stamps; 0 would mean a camera that sets none."""
TOPIC = "/image/compressed"
FRAME_ID = "camera"
JPEG_QUALITY = 90


class Video:
    """An open video file; its originals are JPEGs of what was perceived."""

    images = 0
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, topic: str, messages: Messages, start_ns: int) -> None:
        """
        Raises:
            RecordingError: it is no video that can be played.
        """
        self.topic = topic or TOPIC
        self.topics = frozenset({self.topic})
        self.formats: Counter[str] = Counter()
        self._messages = messages
        self._start_ns = start_ns
        try:
            self._file = VideoFile(str(path))
        except SourceError as error:
            raise RecordingError(
                f"{path} is neither a bag (a folder, .mcap, .db3) nor a video: {error}"
            ) from error

    def moments(self, *, originals: bool) -> Iterator[Moment]:
        """Its pictures, each at its time in the video after the start.

        Raises:
            RecordingError: the video is broken further on.
        """
        del originals  # a message is made when it is asked for
        channel = self._messages.channel(self.topic, COMPRESSED, qos(5))
        try:
            for time_s, image_HWC in self._file.pictures():
                stamp_ns = self._start_ns + round(time_s * NS_PER_S)
                frame = Frame(stamp_ns, image_HWC, FRAME_ID)
                message = partial(self._jpeg, stamp_ns, image_HWC)
                yield Moment(stamp_ns, channel, message, partial(_same, frame))
        except SourceError as error:
            raise RecordingError(str(error)) from error

    def _jpeg(self, stamp_ns: int, image_HWC: ImageHWC) -> memoryview:
        return self._messages.picture(
            image_HWC, stamp_ns=stamp_ns, frame_id=FRAME_ID, quality=JPEG_QUALITY
        )


def _same(frame: Frame) -> Frame:
    return frame
