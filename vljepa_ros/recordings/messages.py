"""Messages without ROS: ours from the package's nouns, the camera's to frames.

They equal those that the nodes publish (tests/ros/test_recordings.py).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from vljepa_ros.fields import seconds_and_ns, text_field
from vljepa_ros.images import Fault, FrameError
from vljepa_ros.message_fields import event_fields, info_fields, label_fields, state_fields
from vljepa_ros.paths import PathsError, share
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.moments import Channel
from vljepa_ros.types import EmbeddingE, ImageHWC, LabelScore, SemanticEvent, SemanticState

if TYPE_CHECKING:
    from rosbags.interfaces import Qos

    from vljepa_ros.model.engine import Engine

RAW = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (RAW, COMPRESSED)
STATE = "vljepa_ros/msg/SemanticState"
EVENT = "vljepa_ros/msg/SemanticEvent"
INFO = "vljepa_ros/msg/EmbeddingInfo"


def qos(depth: int, *, latched: bool = False) -> Qos:
    """Quality of service of a reliable topic, as a recorder notes it."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    forever = QosTime(9223372036, 854775807)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


class Messages:
    """Types of ROS Jazzy and of this package, and what is written and read with them."""

    def __init__(self) -> None:
        """
        Raises:
            RecordingError: rosbags or the definitions of our messages are missing.
        """
        from rosbags.typesys import Stores, get_typestore

        # Images are defined alike from Humble to Lyrical.
        self.store = get_typestore(Stores.ROS2_JAZZY)
        self.store.register(_our_types())
        self._types: dict[str, Any] = {
            name: self.store.types[name]
            for name in (
                *("std_msgs/msg/Header", "builtin_interfaces/msg/Time", COMPRESSED),
                *("builtin_interfaces/msg/Duration", "vljepa_ros/msg/Embedding"),
                *("vljepa_ros/msg/LabelScore", STATE, EVENT, INFO),
            )
        }

    def channel(self, topic: str, type_name: str, offered: Qos) -> Channel:
        """A topic of ours, to be written."""
        definition, _ = self.store.generate_msgdef(type_name, ros_version=2)
        digest = self.store.hash_rihs01(type_name)
        return Channel(topic, type_name, definition, digest, (offered,))

    # --- what we write -------------------------------------------------------------------------

    def state(
        self, state: SemanticState, *, space_id: str, dropped_frames: int, now_ns: int
    ) -> memoryview:
        """`now_ns`: when it counts as published; latency is its distance from the stamp."""
        return self._bytes(
            STATE,
            header=self._header(state.stamp_ns, state.frame_id),
            clip_start=self._time(state.clip_start_ns),
            embedding=self._embedding(state.embedding_E, space_id),
            labels=self._labels(state.labels),
            state_since=self._time(state.state_since_ns),
            latency=self._duration(now_ns - state.stamp_ns),
            **state_fields(state, dropped_frames),
        )

    def event(self, event: SemanticEvent, *, space_id: str, now_ns: int) -> memoryview:
        return self._bytes(
            EVENT,
            header=self._header(event.stamp_ns, event.frame_id),
            labels=self._labels(event.labels),
            embedding=self._embedding(event.embedding_E, space_id),
            latency=self._duration(now_ns - event.stamp_ns),
            **event_fields(event),
        )

    def info(self, engine: Engine, *, now_ns: int) -> memoryview:
        """What readers of the embeddings must know."""
        fields = info_fields(
            engine.config,
            space_id=engine.space_id,
            sha256=engine.sha256,
            action_types=engine.config.action_types if engine.can_imagine else (),
            has_decoder=engine.has_decoder,
        )
        return self._bytes(INFO, header=self._header(now_ns, ""), **fields)

    def picture(
        self, image_HWC: ImageHWC, *, stamp_ns: int, frame_id: str, quality: int
    ) -> memoryview:
        """An RGB image as JPEG, in the format that image_transport writes."""
        bgr_HWC = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
        return self._bytes(
            COMPRESSED,
            header=self._header(stamp_ns, frame_id),
            format="rgb8; jpeg compressed bgr8",
            data=np.asarray(jpeg, np.uint8).reshape(-1),
        )

    # --- what we read --------------------------------------------------------------------------

    def read(self, type_name: str, data: bytes) -> Any:
        """The message of these bytes.

        Raises:
            FrameError: they are not of this type.
        """
        from rosbags.serde import SerdeError

        try:
            return self.store.deserialize_cdr(data, type_name)
        except (SerdeError, struct.error, ValueError, IndexError, AssertionError) as error:
            raise FrameError(Fault.DATA, f"message is broken: {error!r}") from error

    # --- fields --------------------------------------------------------------------------------

    def _bytes(self, type_name: str, **fields: Any) -> memoryview:
        message = self._types[type_name](**fields)
        written: memoryview = self.store.serialize_cdr(message, type_name)
        return written

    def _header(self, when_ns: int, frame_id: str) -> Any:
        make = self._types["std_msgs/msg/Header"]
        return make(stamp=self._time(when_ns), frame_id=text_field(frame_id))

    def _time(self, when_ns: int) -> Any:
        seconds, nanoseconds = seconds_and_ns(when_ns)
        return self._types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)

    def _duration(self, length_ns: int) -> Any:
        seconds, nanoseconds = seconds_and_ns(length_ns)
        return self._types["builtin_interfaces/msg/Duration"](sec=seconds, nanosec=nanoseconds)

    def _embedding(self, embedding_E: EmbeddingE, space_id: str) -> Any:
        values_E = np.ascontiguousarray(embedding_E, np.float32)
        return self._types["vljepa_ros/msg/Embedding"](space_id=space_id, data=values_E)

    def _labels(self, labels: Sequence[LabelScore]) -> list[Any]:
        make = self._types["vljepa_ros/msg/LabelScore"]
        return [make(**label_fields(score)) for score in labels]


def _our_types() -> Any:
    """All types of this package's msg/ folder, as rosbags registers them."""
    from rosbags.typesys import get_types_from_msg

    try:
        folder = share() / "msg"
    except PathsError as error:
        raise RecordingError(str(error)) from error
    types: dict[str, Any] = {}
    for file in sorted(folder.glob("*.msg")):
        types.update(get_types_from_msg(file.read_text(), f"vljepa_ros/msg/{file.stem}"))
    if EVENT not in types:
        raise RecordingError(f"the message definitions are not in {folder}: install msg/ with us")
    return types
