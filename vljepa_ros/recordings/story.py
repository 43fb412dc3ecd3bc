"""What a recording tells of a perception node: its states, its events, and pictures of these."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from vljepa_ros.images import FrameError, frame_of
from vljepa_ros.recordings.bag import open_reader, readable
from vljepa_ros.recordings.errors import RecordingError, require_rosbags
from vljepa_ros.recordings.messages import COMPRESSED, EVENT, IMAGE_TYPES, STATE, Messages
from vljepa_ros.types import EventReason, ImageHWC

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Reader

NS_PER_S = 1_000_000_000
PICTURE_PX = 320
"""Width of the pictures."""
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Seen:
    """One state, as far as a report shows it."""

    stamp_ns: int
    state_id: int
    change_score: float
    change_threshold: float
    latency_ns: int
    labels: tuple[tuple[str, float], ...] = ()
    """Texts and their probabilities."""


@dataclass(frozen=True)
class Told:
    """One event."""

    stamp_ns: int
    state_id: int
    reason: str
    caption: str
    caption_score: float
    change_score: float
    labels: tuple[tuple[str, float], ...]
    """Texts and their probabilities."""


@dataclass
class Track:
    """What one camera saw, in the order of recording."""

    states: list[Seen] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    dropped_frames: int = 0


@dataclass(frozen=True)
class Story:
    """What one node told."""

    source: Path
    node: str
    tracks: Mapping[str, Track]
    """By camera."""
    jpegs: Mapping[int, bytes]
    """Stamp of an event -> the picture that was seen then, where the recording has it."""


def read_story(source: Path, *, node: str = "", topic: str = "", pictures: int = 500) -> Story:
    """Read states and events of one node, and the images with the stamps of its events.

    Args:
        node: whose; empty where the recording holds those of one node only.
        topic: whose images; empty = any image of that stamp.
        pictures: most images that are kept.

    Raises:
        RecordingError: it cannot be read, or holds no states of that node.
    """
    require_rosbags()
    messages = Messages()
    with open_reader(source) as reader, readable(source):
        node = node_of(source, node, reader)
        tracks = _tracks(reader, messages, node)
        if not tracks:
            raise RecordingError(f"{source} holds no state of {node}: its topic is empty")
        wanted = [told.stamp_ns for track in tracks.values() for told in track.events]
        cameras = [
            c for c in reader.connections if c.msgtype in IMAGE_TYPES and topic in ("", c.topic)
        ]
        if topic and not cameras:
            raise RecordingError(f"{source} has no image topic {topic}")
        jpegs = dict(_jpegs(reader, messages, cameras, set(sorted(wanted)[:pictures])))
    return Story(source, node, tracks, jpegs)


def node_of(source: Path, asked: str, reader: Reader) -> str:
    """Name of the node whose states are read.

    Raises:
        RecordingError: no states, none of the node asked for, or of several nodes to choose from.
    """
    nodes = nodes_in(source, reader)
    if asked and asked not in nodes:
        raise RecordingError(f"{source} holds no states of {asked}; nodes: {', '.join(nodes)}")
    if not asked and len(nodes) > 1:
        raise RecordingError(
            f"{source} holds states of several nodes; choose with --node: {', '.join(nodes)}"
        )
    return asked or nodes[0]


def nodes_in(source: Path, reader: Reader) -> list[str]:
    """Names of the nodes whose states were recorded.

    Raises:
        RecordingError: there are none.
    """
    nodes = sorted({c.topic.rpartition("/")[0] for c in reader.connections if c.msgtype == STATE})
    if not nodes:
        raise RecordingError(
            f"{source} holds no states; make them: vljepa replay {source} -o OUT.mcap"
        )
    return nodes


def _tracks(reader: Reader, messages: Messages, node: str) -> dict[str, Track]:
    tracks: dict[str, Track] = {}
    ours = [
        c
        for c in reader.connections
        if c.msgtype in (STATE, EVENT) and c.topic.rpartition("/")[0] == node
    ]
    for connection, _, data in reader.messages(ours):
        message: Any = messages.store.deserialize_cdr(data, connection.msgtype)
        track = tracks.setdefault(message.camera, Track())
        if connection.msgtype == STATE:
            track.states.append(seen_of(message))
            track.dropped_frames = int(message.dropped_frames)
        else:
            track.events.append(told_of(message))
    return tracks


def seen_of(message: Any) -> Seen:
    """Of a SemanticState message."""
    return Seen(
        stamp_ns=ns_of(message.header.stamp),
        state_id=message.state_id,
        change_score=message.change_score,
        change_threshold=message.change_threshold,
        latency_ns=ns_of(message.latency),
        labels=_labels(message),
    )


def told_of(message: Any) -> Told:
    """Of a SemanticEvent message."""
    reasons = {reason.value: reason.name.lower() for reason in EventReason}
    return Told(
        stamp_ns=ns_of(message.header.stamp),
        state_id=message.state_id,
        reason=reasons.get(message.reason, str(message.reason)),
        caption=message.caption,
        caption_score=message.caption_score,
        change_score=message.change_score,
        labels=_labels(message),
    )


def _labels(message: Any) -> tuple[tuple[str, float], ...]:
    return tuple((score.label, score.probability) for score in message.labels)


def ns_of(time: Any) -> int:
    """Of a builtin_interfaces/Time or Duration message."""
    return int(time.sec) * NS_PER_S + int(time.nanosec)


def _jpegs(
    reader: Reader, messages: Messages, cameras: list[Connection], wanted: set[int]
) -> Iterator[tuple[int, bytes]]:
    missing = set(wanted)
    for connection, _, data in reader.messages(cameras) if cameras and missing else ():
        stamp_ns = _stamp_of(data)
        if stamp_ns not in missing:
            continue
        try:
            message = messages.read(connection.msgtype, data)
            frame = frame_of(message, compressed=connection.msgtype == COMPRESSED)
        except FrameError:
            continue
        missing.discard(stamp_ns)
        yield stamp_ns, jpeg_of(frame.image_HWC)


def _stamp_of(data: bytes) -> int:
    """Of a message that begins with a header, without reading the rest of it."""
    if len(data) < 12:
        return -1
    sec, nanosec = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(sec) * NS_PER_S + int(nanosec)


def jpeg_of(image_HWC: ImageHWC) -> bytes:
    """A picture of at most PICTURE_PX width."""
    height, width = image_HWC.shape[:2]
    if width > PICTURE_PX:
        size = PICTURE_PX, max(1, round(height * PICTURE_PX / width))
        image_HWC = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA)
    bgr_HWC = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(encoded)
