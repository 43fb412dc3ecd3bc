"""The bench's own node: cameras of any rate, and an ear for the states that come of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from vljepa_ros.fields import NS_PER_S
from vljepa_ros.msg import SemanticState
from vljepa_ros.ros import conversions, qos
from vljepa_ros.ros.cameras import Camera
from vljepa_ros.ros.executor_thread import ExecutorThread
from vljepa_ros.ros.interface import IMAGE
from vljepa_ros.video_source import open_source

NAMESPACE = "/vljepa"
CONTENT_S = 20.0
DRAIN_S = 0.5
"""For the state under way when a stretch ends."""
CONTENT_HZ = 10.0
"""What the camera sees changes as the recording does, however fast the camera is."""


@dataclass(frozen=True)
class Arrival:
    """One state as it came: times in ROS time [ns]."""

    stamp_ns: int
    published_ns: int
    received_ns: int


@dataclass(frozen=True)
class Stretch:
    """What one stretch of camera images led to."""

    images: int
    """Of each camera."""
    seconds: float
    arrivals: tuple[Arrival, ...]
    """The states published within it."""
    warm_up_stamps_ns: tuple[int, ...] = ()
    """Stamps of the states before it."""

    @property
    def camera_hz(self) -> float:
        return self.images / self.seconds


class Probe:
    """Publishes images on a thread of its own; states are heard all the time."""

    def __init__(
        self, images: Sequence[Image], cameras: Sequence[Camera] = (Camera("camera"),)
    ) -> None:
        """`cameras`: of one rate, each at another place in the images."""
        self._images = images
        self._lock = threading.Lock()
        self._arrivals: list[Arrival] = []
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("bench", namespace=NAMESPACE)
        self._clock = self._node.get_clock()
        self._publishers = [
            self._node.create_publisher(Image, IMAGE.of(camera), qos.image(reliable=True, depth=5))
            for camera in cameras
        ]
        self._topics = [f"perception/{camera.prefix}semantic_state" for camera in cameras]
        for topic in self._topics:
            self._node.create_subscription(
                SemanticState,
                topic,
                self._on_state,
                QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE),
            )
        self._thread = ExecutorThread(self._node)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.stop():
            self._node.destroy_node()
        rclpy.try_shutdown()

    def perception_is_active(self) -> bool:
        """It listens to our images, and we to its states."""
        states_from = (self._node.count_publishers(f"{NAMESPACE}/{t}") for t in self._topics)
        heard_by = (publisher.get_subscription_count() for publisher in self._publishers)
        return all(states_from) and all(heard_by)

    def play(self, rate_hz: float, seconds: float, *, warm_up_s: float) -> Stretch:
        """Be the cameras for `warm_up_s` + `seconds`, and return what came of the latter."""
        self._send(rate_hz, warm_up_s)
        start_ns, start_s = self._now_ns(), time.monotonic()
        images = self._send(rate_hz, seconds)
        end_ns, seconds = self._now_ns(), time.monotonic() - start_s
        time.sleep(DRAIN_S)
        with self._lock:
            heard, self._arrivals = self._arrivals, []
        return Stretch(
            images,
            seconds,
            tuple(a for a in heard if start_ns <= a.published_ns <= end_ns),
            tuple(a.stamp_ns for a in heard if a.published_ns < start_ns),
        )

    def _send(self, rate_hz: float, seconds: float) -> int:
        """Publish for so long; returns how many each. At most one late image is hurried after."""
        images = 0
        next_s = time.monotonic()
        end_s = next_s + seconds
        while (now_s := time.monotonic()) < end_s:
            for at, publisher in enumerate(self._publishers):
                place = int(now_s * CONTENT_HZ) + at * len(self._images) // len(self._publishers)
                image = self._images[place % len(self._images)]
                image.header.stamp = conversions.time_message(self._now_ns())
                publisher.publish(image)
            images += 1
            next_s = max(next_s + 1.0 / rate_hz, time.monotonic() - 1.0 / rate_hz)
            time.sleep(max(next_s - time.monotonic(), 0.0))
        return images

    def _now_ns(self) -> int:
        return int(self._clock.now().nanoseconds)

    def _on_state(self, message: SemanticState) -> None:
        received_ns = self._now_ns()
        stamp_ns = conversions.stamp_ns(message.header.stamp)
        latency = message.latency
        published_ns = stamp_ns + latency.sec * NS_PER_S + latency.nanosec
        with self._lock:
            self._arrivals.append(Arrival(stamp_ns, published_ns, received_ns))


def images_of(video: Path, size: tuple[int, int] | None) -> list[Image]:
    """The beginning of a recording as messages, 10 a second.

    Args:
        size: width and height of the images [px]; None = as recorded.

    Raises:
        SourceError: it cannot be played; the message says the mend.
    """
    images: list[Image] = []
    for time_s, image_HWC in open_source(str(video)).pictures():
        if time_s >= CONTENT_S:
            break
        if time_s * CONTENT_HZ < len(images) - 1e-3:
            continue
        if size is not None:
            image_HWC = np.asarray(cv2.resize(image_HWC, size), np.uint8)  # noqa: PLW2901
        images.append(conversions.image_message(image_HWC, when_ns=0, frame_id="bench"))
    return images
