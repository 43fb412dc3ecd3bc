"""Messages from nouns: every field, cast to what DDS takes, with field checks on."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from ros_harness import image, picture

from vljepa_ros import msg
from vljepa_ros.images import Fault, FrameError
from vljepa_ros.message_fields import info_fields
from vljepa_ros.model import presets
from vljepa_ros.ros import conversions
from vljepa_ros.ros.health import Health, Level
from vljepa_ros.types import EventReason, LabelScore, SemanticEvent, SemanticState

EMBEDDING_E = np.array([0.6, 0.8], np.float32)
LABELS = (LabelScore("a cup", np.float32(0.5), np.float64(1.0)),)  # type: ignore[arg-type]
STAMP_NS = 1_700_000_000_123_456_789


def over_the_wire(message: object) -> object:
    """Numbers of the wrong type survive in Python and die here."""
    return deserialize_message(serialize_message(message), type(message))


def test_a_frame_keeps_the_camera_stamp_and_frame_id() -> None:
    frame = conversions.frame_from_message(image(picture(), STAMP_NS))
    assert (frame.stamp_ns, frame.frame_id) == (STAMP_NS, "lens")
    np.testing.assert_array_equal(frame.image_HWC, picture())


@pytest.mark.parametrize(("sec", "nanosec"), [(1, 10**9), (1, 2**32 - 1), (-1, 0)])
def test_a_stamp_that_is_no_time_is_refused(sec: int, nanosec: int) -> None:
    with pytest.raises(FrameError, match="no time") as caught:
        conversions.stamp_ns(Time(sec=sec, nanosec=nanosec))
    assert caught.value.fault is Fault.STAMP


def test_a_state_with_numpy_numbers_becomes_a_message() -> None:
    state = SemanticState(
        stamp_ns=np.int64(STAMP_NS),  # type: ignore[arg-type]
        frame_id="lens",
        camera="eye",
        clip_start_ns=STAMP_NS - 10**9,
        query="why \x00 \ud800?",
        embedding_E=EMBEDDING_E,
        labels=LABELS,
        state_id=np.int64(7),  # type: ignore[arg-type]
        state_since_ns=STAMP_NS - 1,
        changed=np.bool_(True),  # type: ignore[arg-type]
        change_score=np.float32(0.25),  # type: ignore[arg-type]
        change_threshold=1,
    )
    sent = conversions.state_message(
        state, space_id="s", dropped_frames=3, now_ns=STAMP_NS - 250_000_000
    )
    got = over_the_wire(sent)
    assert isinstance(got, msg.SemanticState)
    assert (got.header.stamp.sec, got.header.stamp.nanosec) == divmod(STAMP_NS, 10**9)
    assert (got.header.frame_id, got.camera, got.query) == ("lens", "eye", "why � ??")
    assert got.clip_start.sec == got.header.stamp.sec - 1
    assert got.embedding.data.tolist() == EMBEDDING_E.tolist()
    assert got.embedding.space_id == "s"
    assert (got.labels[0].label, got.labels[0].similarity) == ("a cup", 0.5)
    assert (got.state_id, got.changed, got.dropped_frames) == (7, True, 3)
    assert (got.change_score, got.change_threshold) == (0.25, 1.0)
    # A stamp of the future: -0.25 s as ROS writes it.
    assert (got.latency.sec, got.latency.nanosec) == (-1, 750_000_000)


def test_an_event_and_the_info_become_messages() -> None:
    event = SemanticEvent(
        stamp_ns=STAMP_NS,
        frame_id="lens",
        camera="eye",
        state_id=2,
        previous_state_id=1,
        reason=EventReason.CHANGE,
        query="why?",
        caption="because",
        caption_score=0.5,
        labels=LABELS,
        embedding_E=EMBEDDING_E,
        change_score=0.75,
    )
    got = over_the_wire(conversions.event_message(event, space_id="s", now_ns=STAMP_NS + 5))
    assert isinstance(got, msg.SemanticEvent)
    assert (got.reason, got.caption, got.previous_state_id) == (1, "because", 1)
    assert got.latency.nanosec == 5
    info = over_the_wire(
        conversions.info_message(
            info_fields(
                presets.tiny(),
                space_id="s",
                sha256="f" * 64,
                action_types=["text"],
                has_decoder=True,
            ),
            now_ns=0,
        )
    )
    assert isinstance(info, msg.EmbeddingInfo)
    assert (info.model_name, info.dim, list(info.action_types)) == ("tiny", 16, ["text"])


def test_every_reason_has_the_number_of_the_message() -> None:
    for reason in EventReason:
        assert getattr(msg.SemanticEvent, f"REASON_{reason.name}") == reason.value


def test_times_beyond_the_message_are_limited() -> None:
    assert conversions.duration_message(10**30).sec == 2**31 - 1
    assert conversions.duration_message(-(10**30)).sec == -(2**31)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
def test_an_image_comes_back_from_its_message(encoding: str) -> None:
    sent = conversions.image_message(
        picture(), when_ns=STAMP_NS, frame_id="lens", encoding=encoding
    )
    frame = conversions.frame_from_message(over_the_wire(sent))  # type: ignore[arg-type]
    assert frame.stamp_ns == STAMP_NS and sent.encoding == encoding
    if encoding != "mono8":
        np.testing.assert_array_equal(frame.image_HWC, picture())
    assert frame.image_HWC.shape == picture().shape


def test_diagnostics_carry_levels_and_figures() -> None:
    healths = {f"n: {level.name}": Health(level, "said", {"k": "v"}) for level in Level}
    got = conversions.diagnostics_message(healths, hardware_id="cpu", now_ns=STAMP_NS)
    assert [s.level for s in got.status] == [bytes([level]) for level in Level]
    assert (got.status[0].values[0].key, got.status[0].values[0].value) == ("k", "v")
    over_the_wire(got)


def test_a_status_is_a_success_only_when_ok() -> None:
    assert conversions.status_message().success
    refused = conversions.status_message(msg.Status.BUSY, "later")
    assert (refused.success, refused.error_code, refused.error_msg) == (False, 9, "later")
