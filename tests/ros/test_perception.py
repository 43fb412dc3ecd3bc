"""The model at work without DDS: requests that no client could send, and steps that fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rclpy.clock import Clock, ROSClock
from rclpy.logging import get_logger
from rclpy.time import Time
from ros_harness import image, picture, wait_until

from vljepa_ros import msg
from vljepa_ros.config import ConfigError, PerceptionConfig
from vljepa_ros.ros.health import CameraMeter
from vljepa_ros.ros.perception import Perception
from vljepa_ros.ros.requests import RequestError

STAMP_NS = 1_700_000_000_000_000_000


class Stage:
    """A perception and what it published."""

    def __init__(self, model: Path, clock: Clock) -> None:
        self.states: list[msg.SemanticState] = []
        self.meter = CameraMeter()
        self.perception = Perception(
            PerceptionConfig(model_path=str(model)),
            {"eye": 41},
            publish=lambda camera, state, event: self.states.append(state),
            clock=clock,
            log=get_logger("stage"),
        )
        self.perception.restart({"eye": self.meter})

    def show(self, stamp_ns: int) -> None:
        self.perception.offer("eye", image(picture(), stamp_ns))
        self.perception.worker.call(lambda: None)
        self.perception.worker.call(lambda: None)


@pytest.fixture
def clock() -> ROSClock:
    return ROSClock()


@pytest.fixture
def stage(tiny_model: Path, clock: ROSClock) -> Iterator[Stage]:
    stage = Stage(tiny_model, clock)
    yield stage
    stage.perception.close()


@pytest.mark.parametrize("text", ["", "\x00", "why\x00not", "\ud800", "why" * 4000])
def test_texts_that_no_message_can_carry_are_refused_too(stage: Stage, text: str) -> None:
    for query, labels in ((text, ()), ("why", (text,))):
        with pytest.raises(RequestError) as caught:
            stage.perception.set_query(["eye"], query, labels)
        assert caught.value.error_code == msg.Status.INVALID_REQUEST


def test_ids_go_on_and_the_described_state_is_the_published_one(stage: Stage) -> None:
    with pytest.raises(RequestError) as caught:
        stage.perception.describe("eye")
    assert caught.value.error_code == msg.Status.NO_STATE
    stage.show(STAMP_NS)
    assert stage.states[0].state_id == 42
    assert stage.perception.describe("eye")[0] is stage.states[0]
    assert stage.perception.state_ids() == {"eye": 42}


def test_a_step_that_fails_is_counted_and_the_next_one_works(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(stage.perception.engine, "predict", out_of_memory)
        stage.show(STAMP_NS)
        wait_until(lambda: stage.meter.count("model") == 1, "the failure")
    stage.show(STAMP_NS + 1)
    assert len(stage.states) == 1


def test_no_latency_is_known_before_simulated_time_begins(stage: Stage, clock: ROSClock) -> None:
    clock._set_ros_time_is_active(True)
    stage.show(STAMP_NS)
    clock.set_ros_time_override(Time(nanoseconds=STAMP_NS + 7, clock_type=clock.clock_type))
    stage.show(STAMP_NS + 1)
    latencies = [state.latency.sec * 10**9 + state.latency.nanosec for state in stage.states]
    assert latencies == [0, 6]
    assert stage.meter.count("stamps in the future") == 0


def test_texts_of_the_configuration_are_checked(tiny_model: Path) -> None:
    config = PerceptionConfig(model_path=str(tiny_model), labels=("\ud800",))
    with pytest.raises(ConfigError, match="surrogate"):
        Perception(
            config,
            {"eye": 0},
            publish=lambda camera, state, event: None,
            clock=Clock(),
            log=get_logger("stage"),
        )


def test_what_fails_for_one_camera_costs_the_others_nothing(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meters = {camera: CameraMeter() for camera in ("left", "right")}
    heard: list[tuple[str, msg.SemanticState]] = []

    def publish(camera: str, state: msg.SemanticState, event: msg.SemanticEvent | None) -> None:
        if state.header.stamp.nanosec == 2 and camera == "left":
            raise RuntimeError("the publisher is gone")
        heard.append((camera, state))

    perception = Perception(
        PerceptionConfig(model_path=str(tiny_model)),
        {"left": 0, "right": 7},
        publish=publish,
        clock=Clock(),
        log=get_logger("stage"),
    )

    def show(nanosecond: int, **wrong: object) -> None:
        """An image of each camera in one step; `wrong` are fields of the left one."""
        go_on = threading.Event()
        waiting = perception.worker.ask(lambda: go_on.wait(30.0))
        perception.offer("left", image(picture(1), STAMP_NS + nanosecond, **wrong))
        perception.offer("right", image(picture(2), STAMP_NS + nanosecond))
        go_on.set()
        assert waiting is not None and waiting.result(30.0)
        perception.worker.call(lambda: None)
        perception.worker.call(lambda: None)

    try:
        perception.restart(meters)
        show(1, encoding="no such encoding")
        show(2)
        assert [camera for camera, _ in heard] == ["right", "right"]
        assert meters["left"].count("model") == 1 and meters["right"].count("model") == 0
        with monkeypatch.context() as broken:
            broken.setattr(perception.engine, "predict", lambda *_: 1 // 0)
            show(3, encoding="no such encoding")
        assert (meters["left"].count("model"), meters["right"].count("model")) == (1, 1)
        show(4)
        assert [camera for camera, _ in heard] == ["right", "right", "left", "right"]
        assert [state.camera for _, state in heard] == [camera for camera, _ in heard]
        assert perception.state_ids() == {"left": 1, "right": 8}
    finally:
        perception.close()
