"""The real TF: transforms that another process sends become poses of what was seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from geometry_msgs.msg import TransformStamped
from ros_harness import LATCHED, Client, NodeProcess, wait_until
from test_memory_node import running
from world_harness import NAMESPACE, WorldClient, save_dreamer

from vljepa_ros import srv

pytestmark = pytest.mark.ros

HAS_TF = util.find_spec("tf2_ros") is not None
NEEDS_TF = pytest.mark.skipif(not HAS_TF, reason="needs tf2_ros of a ROS installation")
S = 1_000_000_000
HALF_TURN_Z = (0.0, 0.0, 1.0, 0.0)


@pytest.mark.skipif(HAS_TF, reason="tf2_ros is there")
def test_without_tf2_ros_configure_says_how_to_get_it(
    fresh: Client, perception: NodeProcess
) -> None:
    assert fresh.set_parameters(memory__pose_frame="map").successful
    assert not fresh.transition("configure")
    perception.wait_for_log("memory.pose_frame needs tf2_ros, and No module named 'tf2_ros': sudo ")
    assert "leave memory.pose_frame empty" in perception.log
    assert fresh.set_parameters(memory__pose_frame="").successful
    assert fresh.transition("configure"), perception.log


def transform(
    parent: str,
    child: str,
    stamp_ns: int,
    x_m: float,
    turn_xyzw: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0),
) -> TransformStamped:
    sent = TransformStamped(child_frame_id=child)
    sent.header.frame_id = parent
    sent.header.stamp.sec, sent.header.stamp.nanosec = divmod(stamp_ns, S)
    sent.transform.translation.x = x_m
    turn = sent.transform.rotation
    turn.x, turn.y, turn.z, turn.w = turn_xyzw
    return sent


class Robot(WorldClient):
    """Drives along x at 1 m/s and says so on TF, ten times a second; its camera looks back."""

    def __init__(self, tf: str = "/tf") -> None:
        super().__init__()
        from tf2_msgs.msg import TFMessage

        self._message = TFMessage
        self.start_ns = self.now_ns()
        self._static = self.node.create_publisher(TFMessage, f"{tf}_static", LATCHED)
        self._moving = self.node.create_publisher(TFMessage, tf, 100)
        mount = transform("base_link", "lens", 0, 0.25, HALF_TURN_Z)
        self._static.publish(TFMessage(transforms=[mount]))

    def wait_for_listener(self) -> None:
        wait_until(self._moving.get_subscription_count, "a listener on TF")

    def x_m(self, stamp_ns: int) -> float:
        return (stamp_ns - self.start_ns) / S

    def drive(self, *stamps_ns: int) -> None:
        for stamp_ns in stamps_ns:
            moved = transform("map", "base_link", stamp_ns, self.x_m(stamp_ns))
            self._moving.publish(self._message(transforms=[moved]))

    def counts(self) -> tuple[int, int]:
        """Entries with and without a pose, as diagnostics say; none before they have come."""
        if not self.diagnostics:
            return 0, 0
        (status,) = (s for s in self.diagnostics[-1].status if s.name.endswith(": model"))
        values = {pair.key: pair.value for pair in status.values}
        return int(values["entries with a pose"]), int(values["entries without a pose"])

    def entry(self, embedding: Any) -> Any:
        return self.world(srv.QueryMemory, embedding=embedding, k=1).entries[0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dreamer(tmp_path_factory.mktemp("model"))


@contextmanager
def placing(
    model: Path, tmp_path: Path, *options: str, tf: str = "/tf"
) -> Iterator[tuple[Robot, Any]]:
    """A robot that tells TF, and a node that listens and keeps `memory.pose_frame`."""
    robot = Robot(tf)
    try:
        with running(model, tmp_path / "log", tmp_path / "seen.db", *options) as process:
            process.wait_for_log("activate: done")
            robot.wait_for_listener()
            yield robot, process
    finally:
        robot.close()


@NEEDS_TF
def test_what_was_seen_between_two_transforms_is_placed_between_them(
    model: Path, tmp_path: Path
) -> None:
    with placing(model, tmp_path, "-p", "memory.pose_frame:=map") as (robot, _):
        stamp_ns = robot.now_ns()
        robot.drive(stamp_ns - S // 20)
        state = robot.see(1, stamp_ns=stamp_ns)
        entry = robot.entry(state.embedding)
        assert entry.pose_frame == "", "TF has not said yet where the robot was"
        robot.drive(stamp_ns + S // 20)
        # No further image: TF is asked again all the same.
        wait_until(lambda: robot.entry(state.embedding).pose_frame, "a pose")
        entry = robot.entry(state.embedding)
        assert entry.pose_frame == "map"
        position, turn = entry.pose.position, entry.pose.orientation
        assert position.x == pytest.approx(robot.x_m(stamp_ns) + 0.25, abs=1e-6)
        assert (position.y, position.z) == (0.0, 0.0)
        assert math.isclose(abs(turn.z), 1.0) and math.isclose(turn.w, 0.0, abs_tol=1e-9)
        wait_until(lambda: robot.counts() == (1, 0), "one entry with a pose")


@NEEDS_TF
def test_what_tf_never_tells_is_remembered_without_a_pose(model: Path, tmp_path: Path) -> None:
    with placing(
        model, tmp_path, "-p", "memory.pose_frame:=world", "-p", "memory.pose_of:=base_link"
    ) as (robot, process):
        stamp_ns = robot.now_ns()
        robot.drive(stamp_ns - S, stamp_ns + S)
        state = robot.see(1, stamp_ns=stamp_ns)
        process.wait_for_log("what it saw is remembered without a pose: TF does not tell where")
        assert "base_link was: " in process.log and "world" in process.log
        assert robot.entry(state.embedding).pose_frame == ""
        wait_until(lambda: robot.counts() == (0, 1), "one entry without a pose")


@NEEDS_TF
def test_tf_is_heard_where_it_was_remapped_to(model: Path, tmp_path: Path) -> None:
    options = ["-p", "memory.pose_frame:=map", "-r", "/tf:=tf", "-r", "/tf_static:=tf_static"]
    with placing(model, tmp_path, *options, tf=f"{NAMESPACE}/tf") as (robot, _):
        stamp_ns = robot.now_ns()
        robot.drive(stamp_ns - S, stamp_ns + S)
        robot.see(1, stamp_ns=stamp_ns)
        wait_until(lambda: robot.counts() == (1, 0), "a pose")


@NEEDS_TF
def test_a_recording_that_starts_over_finds_its_transforms_again(
    model: Path, tmp_path: Path
) -> None:
    with placing(model, tmp_path, "-p", "memory.pose_frame:=map") as (robot, _):
        stamp_ns = robot.now_ns() - 3600 * S
        for count, start_ns in enumerate((stamp_ns, stamp_ns - 60 * S), start=1):
            robot.see(1, stamp_ns=start_ns)
            robot.drive(start_ns - S, start_ns + S)
            wait_until(lambda n=count: robot.counts() == (n, 0), f"{count} poses")
