"""The node `video_camera`: a video file or a camera device as the images of a camera.

Publishes `image` and, if asked, `image/compressed`, stamped when published, and for each on
`~/time_reference` which moment of the source it shows. At the end of a file it publishes the number
of images it sent on `~/finished` (latched), waits until subscribers have acknowledged everything,
and ends the process with 0; a source that fails ends it with 1.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rclpy.clock import Clock
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import UInt64

from vljepa_ros.config import ConfigError, VideoCameraConfig
from vljepa_ros.ros import conversions, qos
from vljepa_ros.ros.interface import (
    FINISHED,
    TIME_REFERENCE,
    VIDEO_COMPRESSED,
    VIDEO_RAW,
    Endpoint,
)
from vljepa_ros.ros.parameters import Parameters
from vljepa_ros.ros.process import EXIT_FAILED, EXIT_OK, Finish, run
from vljepa_ros.types import ImageHWC
from vljepa_ros.video_source import Source, SourceError, open_source

BEHIND_S = 0.5
"""A source this late is not hurried after: its schedule starts anew."""
SETTLE_S = 0.5
"""A subscriber is seen before it is ready: the two ends of a DDS match do not agree at once."""
ACKNOWLEDGE_S = 5.0


class VideoCamera:
    """Plays one source on a thread of its own."""

    def __init__(self, finish: Finish) -> None:
        """
        Raises:
            ConfigError: a parameter or a source that cannot be used.
        """
        self.node = Node("video_camera")
        self._finish = finish
        self._config = Parameters(self.node, VideoCameraConfig).config
        self._log = self.node.get_logger()
        self._clock: Clock = self.node.get_clock()
        self._sent = 0
        self._stopping = threading.Event()
        try:
            self._source: Source = open_source(
                self._config.source, width=self._config.width, rate_hz=self._config.rate_hz
            )
        except SourceError as error:
            raise ConfigError(str(error)) from error
        self._raw = self._images(VIDEO_RAW, "raw")
        self._compressed = self._images(VIDEO_COMPRESSED, "compressed")
        self._finished = self.node.create_publisher(FINISHED.type, FINISHED.name, FINISHED.qos)
        self._references = self.node.create_publisher(
            TIME_REFERENCE.type, TIME_REFERENCE.name, TIME_REFERENCE.qos
        )
        self._thread = threading.Thread(target=self._play, name="playing", daemon=True)

    def _images(self, topic: Endpoint, transport: str) -> Publisher | None:
        if self._config.transport not in (transport, "both"):
            return None
        reliable = self._config.reliability == "reliable"
        profile = qos.image(reliable=reliable, depth=self._config.depth)
        return self.node.create_publisher(topic.type, topic.name, profile)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()

    # --- the playing thread --------------------------------------------------------------------

    def _play(self) -> None:
        try:
            self._wait_for_subscribers()
            while not self._stopping.is_set():
                self._play_once()
                if not self._config.loop:
                    break
        except SourceError as error:
            self._log.fatal(str(error))
            self._finish(EXIT_FAILED)
            return
        if not self._stopping.is_set():
            self._say_finished()
            self._finish(EXIT_OK)

    def _wait_for_subscribers(self) -> None:
        wanted = self._config.wait_for_subscribers
        if not wanted:
            return
        self._log.info(f"waiting for {wanted} subscribers")
        while self._subscribers() < wanted and not self._stopping.wait(0.05):
            pass
        self._stopping.wait(SETTLE_S)

    def _subscribers(self) -> int:
        return sum(p.get_subscription_count() for p in (self._raw, self._compressed) if p)

    def _play_once(self) -> None:
        start_s = time.monotonic()
        for time_s, image_HWC in self._source.pictures():
            wait_s = 0.0 if self._source.is_live else start_s + time_s - time.monotonic()
            if wait_s < -BEHIND_S:
                start_s -= wait_s
            if self._stopping.wait(max(wait_s, 0.0)):
                return
            self._publish(image_HWC, time_s)

    def _publish(self, image_HWC: ImageHWC, time_s: float) -> None:
        when_ns = self._clock.now().nanoseconds
        frame_id, config = self._config.frame_id, self._config
        # Before the image: whoever hears the image can then say which moment it shows.
        self._references.publish(
            conversions.time_reference_message(
                when_ns=when_ns, recording_ns=round(time_s * 1e9), frame_id=frame_id
            )
        )
        if self._raw is not None:
            self._raw.publish(
                conversions.image_message(
                    image_HWC, when_ns=when_ns, frame_id=frame_id, encoding=config.encoding
                )
            )
        if self._compressed is not None:
            self._compressed.publish(
                conversions.compressed_message(
                    image_HWC, when_ns=when_ns, frame_id=frame_id, quality=config.jpeg_quality
                )
            )
        self._sent += 1

    def _say_finished(self) -> None:
        self._finished.publish(UInt64(data=self._sent))
        self._log.info(f"finished: {self._sent} images sent")
        for publisher in (self._raw, self._compressed, self._references, self._finished):
            if publisher is not None:
                publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code of the process."""
    return run(VideoCamera, args)


if __name__ == "__main__":
    raise SystemExit(main())
