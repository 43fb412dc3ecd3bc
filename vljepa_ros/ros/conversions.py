"""ROS messages to the package's nouns and back: the only place that builds messages.

rclpy checks no field types by default: a numpy number in a float field aborts the process or
silently becomes 0. So every number is cast here, and every text is made one that DDS can carry.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CompressedImage, Image, TimeReference
from std_msgs.msg import Header

from vljepa_ros import msg
from vljepa_ros.fields import NS_PER_S, seconds_and_ns, text_field
from vljepa_ros.images import Data, checked_stamp_ns, frame_of
from vljepa_ros.message_fields import event_fields, label_fields, state_fields
from vljepa_ros.ros.health import Health, Level
from vljepa_ros.types import EmbeddingE, Frame, ImageHWC, LabelScore, SemanticEvent, SemanticState

if TYPE_CHECKING:  # it comes with torch, which a camera's node does without
    from vljepa_ros.world.memory import Seen
    from vljepa_ros.world.world_model import Transition

# --- from ROS ----------------------------------------------------------------------------------


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds of a stamp.

    Raises:
        FrameError: nanosec ≥ 1e9 or a time before 1970, so the order of frames is unknown.
    """
    return checked_stamp_ns(stamp.sec, stamp.nanosec)


def frame_from_message(message: Image | CompressedImage) -> Frame:
    """The frame that a camera sent; its stamp and frame_id are the camera's own.

    Raises:
        FrameError: the image or its stamp cannot be used.
    """
    return frame_of(message, compressed=isinstance(message, CompressedImage))


def length_ns(length: Duration) -> int:
    """Nanoseconds of a length of time.

    Raises:
        ValueError: it is negative, or its nanosec is no part of a second.
    """
    if length.nanosec >= NS_PER_S or length.sec < 0:
        raise ValueError(
            f"{length.sec} s + {length.nanosec} ns is no length of time: sec must not be negative "
            "and nanosec must be below 1e9"
        )
    return int(length.sec) * NS_PER_S + int(length.nanosec)


def embedding_from_message(message: msg.Embedding) -> EmbeddingE:
    """Embedding (E,) of a message; its space is the caller's to compare."""
    return np.frombuffer(message.data, np.float32)


# --- to ROS: numbers, times, texts -------------------------------------------------------------


def time_message(when_ns: int) -> Time:
    seconds, nanoseconds = seconds_and_ns(when_ns)
    return Time(sec=seconds, nanosec=nanoseconds)


def duration_message(length_ns: int) -> Duration:
    """A length of time, negative ones too: the stamp of a clock that runs ahead."""
    seconds, nanoseconds = seconds_and_ns(length_ns)
    return Duration(sec=seconds, nanosec=nanoseconds)


def _set_time(message: Time | Duration, when_ns: int) -> None:
    message.sec, message.nanosec = seconds_and_ns(when_ns)


def header_message(when_ns: int, frame_id: str = "") -> Header:
    return Header(stamp=time_message(when_ns), frame_id=text_field(frame_id))


# --- to ROS: perception ------------------------------------------------------------------------


def embedding_message(embedding_E: EmbeddingE, space_id: str) -> msg.Embedding:
    message = msg.Embedding()
    _set_embedding(message, embedding_E, space_id)
    return message


def _set_embedding(message: msg.Embedding, embedding_E: EmbeddingE, space_id: str) -> None:
    message.space_id = space_id
    message.data = array("f", np.ascontiguousarray(embedding_E, np.float32).tobytes())


def label_messages(labels: Sequence[LabelScore]) -> list[msg.LabelScore]:
    return [msg.LabelScore(**label_fields(score)) for score in labels]


def state_message(
    state: SemanticState, *, space_id: str, dropped_frames: int, now_ns: int
) -> msg.SemanticState:
    """`now_ns`: ROS time of publishing; latency is its distance from the stamp.

    Filled in place, as a message makes all its parts anew even where it is given them.
    """
    message = msg.SemanticState(**state_fields(state, dropped_frames))
    message.header.frame_id = text_field(state.frame_id)
    _set_time(message.header.stamp, state.stamp_ns)
    _set_time(message.clip_start, state.clip_start_ns)
    _set_embedding(message.embedding, state.embedding_E, space_id)
    message.labels = label_messages(state.labels)
    _set_time(message.state_since, state.state_since_ns)
    _set_time(message.latency, now_ns - state.stamp_ns)
    return message


def event_message(event: SemanticEvent, *, space_id: str, now_ns: int) -> msg.SemanticEvent:
    return msg.SemanticEvent(
        header=header_message(event.stamp_ns, event.frame_id),
        labels=label_messages(event.labels),
        embedding=embedding_message(event.embedding_E, space_id),
        latency=duration_message(now_ns - event.stamp_ns),
        **event_fields(event),
    )


def info_message(fields: Mapping[str, Any], now_ns: int) -> msg.EmbeddingInfo:
    """`fields`: those of `message_fields.info_fields`."""
    return msg.EmbeddingInfo(header=header_message(now_ns), **fields)


def prediction_message(
    action_id: str, transition: Transition, space_id: str | None
) -> msg.TransitionPrediction:
    """`space_id`: that of the embedding; None where it was not asked for."""
    embedding = msg.Embedding()
    if space_id is not None:
        embedding = embedding_message(transition.embedding_E, space_id)
    return msg.TransitionPrediction(
        id=text_field(action_id),
        predicted=embedding,
        caption=text_field(transition.caption),
        goal_similarity=float(transition.goal_similarity),
        change=float(transition.change),
        uncertainty=float(transition.uncertainty),
        out_of_distribution=bool(transition.out_of_distribution),
    )


def memory_message(seen: Seen) -> msg.MemoryEntry:
    entry = msg.MemoryEntry(
        stamp=time_message(seen.stamp_ns),
        camera=seen.camera,
        state_id=seen.state_id,
        query=seen.query,
        caption=text_field(seen.caption),
        similarity=seen.similarity,
    )
    if seen.pose is not None:
        entry.pose_frame = text_field(seen.pose.frame_id)
        place, turn = entry.pose.position, entry.pose.orientation
        place.x, place.y, place.z = map(float, seen.pose.position_m)
        turn.x, turn.y, turn.z, turn.w = map(float, seen.pose.orientation_xyzw)
    return entry


def status_message(error_code: int = msg.Status.OK, error_msg: str = "") -> msg.Status:
    return msg.Status(
        success=error_code == msg.Status.OK,
        error_code=int(error_code),
        error_msg=text_field(error_msg),
    )


_LEVELS = {
    Level.OK: DiagnosticStatus.OK,
    Level.WARN: DiagnosticStatus.WARN,
    Level.ERROR: DiagnosticStatus.ERROR,
    Level.STALE: DiagnosticStatus.STALE,
}


def diagnostics_message(
    healths: Mapping[str, Health], *, hardware_id: str, now_ns: int
) -> DiagnosticArray:
    """One DiagnosticStatus per name, its figures as text."""
    return DiagnosticArray(
        header=header_message(now_ns),
        status=[
            DiagnosticStatus(
                level=_LEVELS[health.level],
                name=name,
                message=text_field(health.message),
                hardware_id=hardware_id,
                values=[
                    KeyValue(key=key, value=text_field(value))
                    for key, value in health.values.items()
                ],
            )
            for name, health in healths.items()
        ],
    )


# --- to ROS: images ----------------------------------------------------------------------------


def image_message(
    image_HWC: ImageHWC, *, when_ns: int, frame_id: str, encoding: str = "rgb8"
) -> Image:
    """An RGB image as sensor_msgs/Image in rgb8, bgr8 or mono8."""
    conversion = {"rgb8": None, "bgr8": cv2.COLOR_RGB2BGR, "mono8": cv2.COLOR_RGB2GRAY}[encoding]
    pixels = image_HWC if conversion is None else cv2.cvtColor(image_HWC, conversion)
    height, width = pixels.shape[:2]
    return Image(
        header=header_message(when_ns, frame_id),
        height=int(height),
        width=int(width),
        encoding=encoding,
        is_bigendian=0,
        step=int(pixels.nbytes // height),
        data=_byte_array(np.ascontiguousarray(pixels).data.cast("B")),
    )


def compressed_message(
    image_HWC: ImageHWC, *, when_ns: int, frame_id: str, quality: int
) -> CompressedImage:
    """An RGB image as JPEG, in the format that image_transport writes."""
    bgr_HWC = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return CompressedImage(
        header=header_message(when_ns, frame_id),
        format="rgb8; jpeg compressed bgr8",
        data=_byte_array(jpeg.tobytes()),
    )


def time_reference_message(*, when_ns: int, recording_ns: int, frame_id: str) -> TimeReference:
    """Which moment of a recording was published at `when_ns`."""
    return TimeReference(
        header=header_message(when_ns, frame_id),
        time_ref=time_message(recording_ns),
        source="recording",
    )


def _byte_array(data: Data) -> array[int]:
    """uint8[] the fast way: a numpy array or bytes in the field cost hundreds of times as much."""
    filled = array("B")
    filled.frombytes(data)
    return filled
