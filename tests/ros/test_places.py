"""Entries get their poses once TF tells them: afterwards, without waiting, and only the right one.

Here the answers of TF are scripted; test_transforms.py has the real one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rclpy.clock import Clock
from rclpy.logging import get_logger
from ros_harness import image, picture

from vljepa_ros.config import ConfigError, MemoryConfig, PerceptionConfig
from vljepa_ros.ros import places as places_module
from vljepa_ros.ros.conversions import memory_message
from vljepa_ros.ros.health import CameraMeter
from vljepa_ros.ros.perception import Perception
from vljepa_ros.ros.places import Places, UnknownPoseError, check_frames
from vljepa_ros.types import Pose, SemanticState, Step
from vljepa_ros.world.memory import Memory

WIDTH = 4
UNIT_E = np.eye(WIDTH, dtype=np.float32)[0]
STAMP_NS = 1_700_000_000_000_000_000
HERE = Pose("map", (1.5, -2.25, 1e-3), (0.0, 0.6, 0.0, 0.8))


class Told:
    """What TF was told so far."""

    def __init__(self) -> None:
        self.poses: dict[tuple[str, int], Pose] = {}
        self.asked: list[tuple[str, int]] = []
        self.cleared = 0
        self.closed = False

    def pose(self, frame_id: str, stamp_ns: int) -> Pose:
        self.asked.append((frame_id, stamp_ns))
        try:
            return self.poses[frame_id, stamp_ns]
        except KeyError:
            raise UnknownPoseError("not told yet") from None

    def clear(self) -> None:
        self.cleared += 1

    def close(self) -> None:
        self.closed = True


class Scene:
    """A memory, and the places of its entries."""

    def __init__(self, memory: Memory, pose_of: str = "") -> None:
        self.memory, self.tf = memory, Told()
        self.warnings: list[str] = []
        self.places = Places(memory, self.tf, pose_of, lambda camera, text: self._warn(text))

    def _warn(self, text: str) -> None:
        self.warnings.append(text)

    def note(self, stamp_ns: int, frame_id: str = "lens") -> None:
        state = SemanticState(
            stamp_ns, frame_id, "eye", 0, "What?", UNIT_E, (), stamp_ns, 0, True, 0.0, 0.0
        )
        entry = self.memory.note(Step(state))
        assert entry is not None
        self.places.expect(entry, state)

    def poses(self) -> dict[int, Pose | None]:
        return {seen.stamp_ns: seen.pose for seen in self.memory.find(UNIT_E)}


@pytest.fixture
def memory() -> Iterator[Memory]:
    memory = Memory(MemoryConfig(state_interval_s=1e-9), "space", WIDTH)
    yield memory
    memory.close()


def test_a_pose_is_added_when_it_is_told(memory: Memory) -> None:
    scene = Scene(memory)
    scene.note(1)
    scene.note(2)
    scene.places.look()
    assert scene.poses() == {1: None, 2: None} and scene.places.waiting == 2
    scene.tf.poses["lens", 2] = HERE
    scene.places.look()
    assert scene.poses() == {1: None, 2: HERE}
    assert (scene.places.known, scene.places.missed, scene.places.waiting) == (1, 0, 1)
    scene.tf.asked.clear()
    scene.places.look()
    assert scene.tf.asked == [("lens", 1)], "what is known is not asked again"
    assert not scene.warnings


def test_what_is_never_told_is_given_up_and_counted(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(memory)
    scene.note(1)
    monkeypatch.setattr(places_module, "PATIENCE_S", -1.0)
    scene.places.look()
    assert (scene.places.known, scene.places.missed, scene.places.waiting) == (0, 1, 0)
    (warning,) = scene.warnings
    assert warning.startswith("camera eye:") and "where lens was: not told yet" in warning


def test_a_late_look_is_not_too_late(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow camera's next step may come after the patience; TF knows by then."""
    scene = Scene(memory)
    scene.note(1)
    scene.tf.poses["lens", 1] = HERE
    monkeypatch.setattr(places_module, "PATIENCE_S", -1.0)
    scene.places.look()
    assert scene.poses() == {1: HERE} and not scene.warnings


def test_the_last_look_waits_for_nothing(memory: Memory) -> None:
    scene = Scene(memory)
    scene.note(1)
    scene.places.look(last=True)
    assert (scene.places.missed, scene.places.waiting) == (1, 0)


def test_another_frame_than_the_cameras(memory: Memory) -> None:
    scene = Scene(memory, pose_of="base_link")
    scene.note(1, frame_id="")
    scene.tf.poses["base_link", 1] = HERE
    scene.places.look()
    assert scene.poses() == {1: HERE}


def test_images_without_a_frame_have_no_pose(memory: Memory) -> None:
    scene = Scene(memory)
    scene.note(1, frame_id="")
    assert scene.places.missed == 1 and "memory.pose_of" in scene.warnings[0]
    scene.places.look()
    assert not scene.tf.asked


def test_a_disk_that_fills_up_costs_the_pose_only(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    scene = Scene(memory)
    scene.note(1)
    scene.tf.poses["lens", 1] = HERE
    monkeypatch.setattr(memory._record, "place", full)
    scene.places.look()
    assert scene.places.missed == 1 and "make room on the disk" in scene.warnings[0]
    assert scene.poses() == {1: None} and memory.lost == 0


def test_a_forgotten_entry_needs_no_pose(tmp_path: Path) -> None:
    memory = Memory(MemoryConfig(path=str(tmp_path / "memory.db")), "space", WIDTH)
    memory.place(99, HERE)
    assert len(memory) == 0
    memory.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pose_frame": "/map"}, "write 'map'"),
        ({"pose_frame": "map", "pose_of": " lens"}, "write 'lens'"),
        ({"pose_of": "base_link"}, "set it to a fixed frame such as map"),
    ],
)
def test_frames_that_cannot_be_used(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_frames(MemoryConfig(**settings))


def test_an_answer_has_the_pose_or_says_that_there_is_none(memory: Memory) -> None:
    scene = Scene(memory)
    scene.note(1)
    scene.note(2)
    scene.tf.poses["lens", 2] = HERE
    scene.places.look()
    placed, bare = (
        memory_message(s) for s in sorted(memory.find(UNIT_E), key=lambda s: not s.pose)
    )
    place, turn = placed.pose.position, placed.pose.orientation
    assert placed.pose_frame == "map"
    assert (place.x, place.y, place.z) == HERE.position_m
    assert (turn.x, turn.y, turn.z, turn.w) == HERE.orientation_xyzw
    assert bare.pose_frame == ""


# --- in the loop of perception -------------------------------------------------------------------


class Stage:
    def __init__(self, model: Path, tf: Told) -> None:
        memory = MemoryConfig(pose_frame="map", state_interval_s=1e-9)
        self.frames: list[str] = []
        self.perception = Perception(
            PerceptionConfig(model_path=str(model), memory=memory),
            {"eye": 0},
            publish=lambda camera, state, event: None,
            listen=lambda fixed_frame: self.frames.append(fixed_frame) or tf,
            clock=Clock(),
            log=get_logger("stage"),
        )
        self.meter = CameraMeter()
        self.perception.restart({"eye": self.meter})

    def show(self, stamp_ns: int) -> None:
        self.perception.offer("eye", image(picture(), stamp_ns))
        for _ in range(2):
            self.perception.worker.call(lambda: None)


def test_no_step_waits_for_tf_and_the_next_one_asks_again(tiny_model: Path) -> None:
    tf = Told()
    stage = Stage(tiny_model, tf)
    places = stage.perception.places
    assert places is not None and stage.frames == ["map"]
    stage.show(STAMP_NS)
    assert (places.known, places.waiting) == (0, 1)
    tf.poses["lens", STAMP_NS] = HERE
    stage.show(STAMP_NS + 1)
    assert (places.known, places.waiting) == (1, 1)
    tf.poses["lens", STAMP_NS + 1] = HERE
    stage.perception.look_for_poses()  # as once a second, while the camera is silent
    stage.perception.worker.call(lambda: None)
    assert (places.known, places.waiting) == (2, 0)
    stage.perception.close()
    assert tf.closed


def test_where_time_runs_back_transforms_are_forgotten(tiny_model: Path) -> None:
    tf = Told()
    stage = Stage(tiny_model, tf)
    before = tf.cleared
    stage.show(STAMP_NS)
    assert tf.cleared == before
    stage.show(STAMP_NS - 60 * 10**9)
    assert tf.cleared == before + 1
    stage.perception.drain()
    assert stage.perception.places and stage.perception.places.missed == 2
    stage.perception.close()


def test_a_listener_that_cannot_be_had_leaves_nothing_running(tiny_model: Path) -> None:
    def missing(_: str) -> Told:
        raise ConfigError("no tf2_ros")

    config = PerceptionConfig(model_path=str(tiny_model), memory=MemoryConfig(pose_frame="map"))
    with pytest.raises(ConfigError, match="no tf2_ros"):
        Perception(
            config,
            {"eye": 0},
            publish=lambda camera, state, event: None,
            listen=missing,
            clock=Clock(),
            log=get_logger("stage"),
        )
