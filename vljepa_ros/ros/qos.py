"""Quality of service of every topic and service, and how the image subscription follows a camera.

A reliable subscription hears nothing of a best-effort publisher; a best-effort subscription hears
every publisher but loses large images of it. So with `reliability: auto` the subscription is
reliable, unless a publisher offers best effort only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

LOSSY_BYTES = 512_000
"""Best-effort messages above this size lose frames with Fast DDS defaults (measured)."""
LARGE_IMAGE_PROFILE = "fastdds_large_images.xml"

SERVICE_DEPTH = 200
"""Above the bound of the worker's queue, so that BUSY is an answer and no request vanishes."""

STATE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
EVENT = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
TIME_REFERENCE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1000,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""Small messages of which none may be missed."""
DIAGNOSTICS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10)
TF = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100)
TF_STATIC = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
SERVICE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=SERVICE_DEPTH)


def image(*, reliable: bool, depth: int = 1) -> QoSProfile:
    """Images: depth 1 at the subscriber, because an older frame is never wanted."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
    )


def follow(setting: str, publishers: Iterable[Any]) -> bool:
    """Whether the image subscription should be reliable.

    Args:
        setting: the parameter `reliability`.
        publishers: TopicEndpointInfo of the topic's publishers.
    """
    if setting != "auto":
        return setting == "reliable"
    return all(
        publisher.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT
        for publisher in publishers
    )


def incompatible_mend(topic: str, policy: str) -> str:
    """The sentence for a publisher and a subscription that DDS refuses to join."""
    return (
        f"a publisher on {topic} offers a quality of service ({policy}) that this subscription "
        "does not accept, so none of its images arrive; set the parameter reliability to auto or "
        "best_effort, or make the camera publish reliable and volatile"
    )


def lossy_mend(topic: str, lost: int, received: int) -> str:
    """The sentence for large images that get lost on the way."""
    return (
        f"{lost} of the last {lost + received} images on {topic} got lost on the way: {_LARGE_MEND}"
    )


def silent_mend(topic: str) -> str:
    """The sentence for a best-effort publisher of which nothing arrives."""
    return (
        f"a best-effort publisher is on {topic}, but no image arrives; if it sends: {_LARGE_MEND}"
    )


_LARGE_MEND = (
    "best effort loses images above 512 kB with Fast DDS defaults; publish reliable, send "
    "compressed images, or start both sides with "
    f"FASTRTPS_DEFAULT_PROFILES_FILE=<share of vljepa_ros>/config/{LARGE_IMAGE_PROFILE}"
)
