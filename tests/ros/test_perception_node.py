"""The running node `perception`: lifecycle, states and events, requests, parameters."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from ros_harness import Client, LifecycleClient, NodeProcess, image, picture, wait_until
from sensor_msgs.msg import Image

from vljepa_ros import msg
from vljepa_ros.config import SelectiveConfig
from vljepa_ros.model import presets
from vljepa_ros.ros import conversions

pytestmark = pytest.mark.ros
CAPTION_QUERY = presets.tiny().caption_query


def test_the_lifecycle_goes_round_and_ids_go_on(
    fresh: Client, lifecycle: LifecycleClient, perception: NodeProcess
) -> None:
    assert lifecycle.state() == "unconfigured"
    assert fresh.get_state().status.error_code == msg.Status.NOT_ACTIVE
    assert fresh.transition("configure"), perception.log
    assert lifecycle.state() == "inactive"
    info = wait_until(lambda: fresh.infos and fresh.infos[-1], "embedding_info in configure")
    assert (info.model_name, info.dim, info.metric, info.normalized) == ("tiny", 16, "cosine", True)
    assert info.clip_frames == 4 and info.clip_seconds == pytest.approx(0.75)
    assert fresh.set_query("anything").error_code == msg.Status.NOT_ACTIVE
    assert fresh.transition("activate")
    assert lifecycle.state() == "active"
    first = fresh.see()
    assert fresh.transition("deactivate")
    assert fresh.get_state().status.error_code == msg.Status.NOT_ACTIVE
    assert fresh.transition("activate")
    second = fresh.see()
    assert second.state_id == first.state_id + 1
    assert fresh.transition("deactivate", "cleanup", "configure", "activate")
    third = fresh.see()
    assert third.state_id == first.state_id + 2
    assert third.embedding.space_id == first.embedding.space_id == info.space_id


def test_a_transition_that_the_state_does_not_have_is_answered(active: Client) -> None:
    assert not active.transition("activate")
    assert not active.transition("cleanup")
    assert active.see().state_id > 0


def test_a_state_carries_the_camera_stamp_and_a_unit_embedding(active: Client) -> None:
    stamp_ns = time.time_ns()
    state = active.see(stamp_ns=stamp_ns)
    assert state.header.frame_id == "lens"
    assert state.camera == "camera"
    assert state.query == CAPTION_QUERY
    assert math.isclose(sum(x * x for x in state.embedding.data), 1.0, rel_tol=1e-4)
    assert state.changed and state.state_since == state.header.stamp
    assert state.clip_start == state.header.stamp
    later = active.see(stamp_ns=stamp_ns + 250_000_000)
    assert later.clip_start == state.header.stamp
    assert not later.changed and later.state_id == state.state_id
    event = active.events[0]
    assert event.reason == msg.SemanticEvent.REASON_FIRST
    assert (event.header, event.state_id) == (state.header, state.state_id)


def test_who_comes_late_gets_the_last_events_and_the_info(
    active: Client, perception: NodeProcess
) -> None:
    active.see()
    assert active.set_query("Describe the scene.").success
    active.see()
    late = Client()
    try:
        wait_until(lambda: len(late.events) >= 2 and late.infos, "latched events and info")
        assert [e.reason for e in late.events][-2:] == [
            msg.SemanticEvent.REASON_FIRST,
            msg.SemanticEvent.REASON_REQUEST,
        ]
    finally:
        late.close()


def test_set_query_opens_a_state_and_scores_labels(active: Client) -> None:
    before = active.see(1)
    assert active.set_query("Describe the scene.", "a cup", "a robot").success
    after = active.see(1)
    assert after.query == "Describe the scene."
    assert after.state_id == before.state_id + 1 and after.changed
    assert [score.label for score in after.labels] == ["a cup", "a robot"]
    assert sum(score.probability for score in after.labels) == pytest.approx(1.0, abs=1e-5)
    event = wait_until(lambda: len(active.events) == 2 and active.events[1], "an event")
    assert event.reason == msg.SemanticEvent.REASON_REQUEST
    assert event.previous_state_id == before.state_id


@pytest.mark.parametrize(
    ("query", "labels", "word"),
    [
        ("", (), "empty"),
        ("  ", (), "empty"),
        ("why " * 2000, (), "characters"),
        ("why", ("",), "empty"),
        ("why", ("x" * 5000,), "characters"),
    ],
)
def test_a_query_that_is_no_query_is_refused_and_the_old_one_stays(
    active: Client, query: str, labels: tuple[str, ...], word: str
) -> None:
    status = active.set_query(query, *labels)
    assert status.error_code == msg.Status.INVALID_REQUEST and not status.success
    assert word in status.error_msg
    assert active.see().query == CAPTION_QUERY


def test_too_many_labels_and_unknown_cameras_are_refused(active: Client) -> None:
    assert active.set_query("why", *["x"] * 1001).error_code == msg.Status.TOO_MANY
    status = active.set_query("why", camera="elbow")
    assert status.error_code == msg.Status.INVALID_REQUEST and "camera" in status.error_msg
    assert active.get_state("elbow").status.error_code == msg.Status.INVALID_REQUEST


def test_get_state_is_the_newest_state_with_a_caption(active: Client) -> None:
    nothing = active.get_state()
    assert nothing.status.error_code == msg.Status.NO_STATE and not nothing.status.success
    state = active.see()
    for camera in ("", "camera"):
        answer = active.get_state(camera)
        assert answer.status.success and answer.status.error_code == msg.Status.OK
        assert answer.state == state
    assert answer.caption == active.events[-1].caption


def test_every_one_of_64_requests_at_once_is_answered(active: Client) -> None:
    from vljepa_ros import srv

    active.see()
    answers = [
        active.ask_later(srv.GetState, "get_state", srv.GetState.Request()) for _ in range(64)
    ]
    asked = [
        active.ask_later(srv.SetQuery, "set_query", srv.SetQuery.Request(query=f"why {i}"))
        for i in range(64)
    ]
    assert all(answer().status.success for answer in answers)
    assert all(answer().status.success for answer in asked)


def test_compressed_images_are_perceived(fresh: Client, perception: NodeProcess) -> None:
    assert fresh.set_parameters(image_transport="compressed").successful
    assert fresh.transition("configure", "activate")
    stamp_ns = time.time_ns()
    message = conversions.compressed_message(
        picture(3), when_ns=stamp_ns, frame_id="lens", quality=95
    )
    fresh.show(message, topic="/image/compressed")
    assert fresh.state_of(stamp_ns).header.frame_id == "lens"
    fresh.drop_publishers()
    # Someone who publishes the other kind is told so; one participant cannot do both.
    other = Client()
    try:
        other.publisher(Image, "/image/compressed", match=False)
        fresh.wait_for_health("camera", lambda level, text, _: "image_transport" in text)
    finally:
        other.close()


def test_live_parameters_change_at_once_and_as_a_whole(active: Client) -> None:
    assert active.set_parameters(
        selective__threshold=0.25, selective__trust=0.0, rate_hz=50.0
    ).successful
    assert active.see().change_threshold == pytest.approx(0.25)
    refused = active.set_parameters(selective__threshold=0.75, selective__hysteresis=1.5)
    assert not refused.successful and "hysteresis" in refused.reason
    assert active.see().change_threshold == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("model_path", "/tmp", "unconfigured"),
        ("device", "cpu", "unconfigured"),
        ("selective__threshold", -0.1, "range"),
        ("selective__threshold", math.nan, "range"),
        ("selective__threshold", "high", "type"),
        ("rate_hz", math.inf, "range"),
        ("no_such_thing", 1, "declared"),
    ],
)
def test_a_parameter_that_cannot_change_says_why(
    active: Client, name: str, value: object, word: str
) -> None:
    result = active.set_parameters(**{name: value})
    assert not result.successful and word in result.reason
    assert active.see().change_threshold == pytest.approx(SelectiveConfig().threshold)


def test_parameters_describe_themselves(fresh: Client) -> None:
    described = fresh.describe_parameter("selective.threshold")
    assert "[0..1]" in described.description
    assert "run time" in described.additional_constraints
    limits = described.floating_point_range[0]
    assert (limits.from_value, limits.to_value) == (0.0, 1.0)
    assert "best_effort" in fresh.describe_parameter("reliability").additional_constraints


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model_path": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"model_sha256": "0" * 64}, "0000"),
        ({"device": "abacus"}, "abacus"),
        ({"query": "why " * 2000}, "characters"),
        ({"labels": [""]}, "empty"),
    ],
)
def test_what_cannot_be_configured_fails_with_the_reason_and_can_be_mended(
    fresh: Client,
    perception: NodeProcess,
    lifecycle: LifecycleClient,
    tiny_model: Path,
    change: dict[str, object],
    word: str,
) -> None:
    assert fresh.set_parameters(**change).successful
    said = len(perception.log)
    assert not fresh.transition("configure")
    assert lifecycle.state() == "unconfigured"
    assert "cannot configure" in perception.log[said:] and word in perception.log[said:]
    fresh.wait_for_health("model", lambda level, text, _: level == 2 and word in text)
    mended = {"model_path": str(tiny_model), "model_sha256": "", "device": "auto"}
    assert fresh.set_parameters(**mended, query="", labels=[]).successful
    assert fresh.transition("configure", "activate")
    assert fresh.see().state_id > 0


def test_a_truncated_checkpoint_is_refused(
    fresh: Client, tiny_model: Path, tmp_path: Path, perception: NodeProcess
) -> None:
    for file in tiny_model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert fresh.set_parameters(model_path=str(tmp_path)).successful
    said = len(perception.log)
    assert not fresh.transition("configure")
    assert "model.safetensors" in perception.log[said:]


def test_diagnostics_account_for_every_frame(active: Client) -> None:
    stamp_ns = active.now_ns()
    frames = [image(picture(i), stamp_ns + i * 10_000_000) for i in range(40)]
    # Losses are counted from the first image that arrives: what was sent before the node listened
    # and what its queue of one overwrote before that look alike.
    active.show(frames[0])
    active.state_of(stamp_ns)
    active.show(*frames[1:])
    last = active.state_of(stamp_ns + 39 * 10_000_000)
    assert len(active.states) + last.dropped_frames == len(frames)

    def accounted(level: int, text: str, figures: dict[str, str]) -> bool:
        received = int(figures["frames received"])
        lost = int(figures["frames lost on the way"])
        made = int(figures["states"]) + int(figures["frames dropped"])
        return received + lost == len(frames) and received == made

    active.wait_for_health("camera", accounted)
    level, text, figures = active.health("camera")
    assert (level, text) == (0, "perceiving")
    assert float(figures["latency p99 [ms]"]) >= float(figures["latency p50 [ms]"])
    level, text, figures = active.health("model")
    assert (level, text) == (0, "active")
    assert float(figures["memory [MB]"]) > 100.0 and figures["device"].startswith("cpu")
