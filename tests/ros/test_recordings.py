"""Recordings against ROS: the bytes that are written, and the live node on the same images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="recordings need rosbags: pip install 'rosbags>=0.11'")

from bag_harness import (
    TOPIC,
    Shot,
    Written,
    film,
    messages,
    picture,
    read_bag,
    stamp_of,
    write_bag,
)
from rclpy.serialization import deserialize_message, serialize_message
from ros_harness import Client, NodeProcess, image, wait_until
from sensor_msgs.msg import Image

from vljepa_ros import msg
from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.message_fields import info_fields
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings.messages import COMPRESSED, EVENT, INFO, STATE
from vljepa_ros.recordings.replay import replay
from vljepa_ros.ros import conversions, qos
from vljepa_ros.stream.perceiver import Perceiver
from vljepa_ros.types import Frame, LabelScore, Step

SELECTIVE = SelectiveConfig(distance_threshold=0.01, noise_factor=0.0, patience_s=0.0)
STRANGE = "why \x00 \ud800 ü?"


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Engine:
    return Engine.load(tiny_model, device="cpu")


# --- bytes -------------------------------------------------------------------------------------


def steps(engine: Engine) -> list[Step]:
    """Two states with events, of ordinary and of strange content."""
    perceiver = Perceiver(engine, PerceptionConfig(selective=SELECTIVE), "eye")
    frames = [Frame(stamp_of(n), picture(9 * n), "lens") for n in range(2)]
    first, second = (step for f in frames if (step := perceiver.step(f)) is not None)
    assert first.event is not None
    labels = (LabelScore(STRANGE, 0.25, 1.0), LabelScore("", -1.0, 0.0))
    strange: dict[str, Any] = {"labels": labels, "query": STRANGE, "frame_id": STRANGE}
    event = dataclasses.replace(first.event, caption=STRANGE, **strange)
    return [first, Step(dataclasses.replace(second.state, stamp_ns=10**20, **strange), event)]


def same_message(written: memoryview, message: Any, type_name: str) -> None:
    """ROS reads ours as its own, and ours are the bytes of ROS's.

    Written once more by rosbags, since Fast CDR leaves the bytes between two fields as they were.
    """
    store = messages().store
    assert deserialize_message(bytes(written), type(message)) == deserialize_message(
        serialize_message(message), type(message)
    )
    theirs = store.deserialize_cdr(serialize_message(message), type_name)
    assert bytes(store.serialize_cdr(theirs, type_name)) == bytes(written)


def test_states_and_events_are_written_as_ros_writes_them(engine: Engine) -> None:
    for step in steps(engine):
        fields: dict[str, Any] = {"space_id": "space", "now_ns": stamp_of(3)}
        counted = fields | {"dropped_frames": 3}
        state = conversions.state_message(step.state, **counted)
        same_message(messages().state(step.state, **counted), state, STATE)
        assert step.event is not None
        event = conversions.event_message(step.event, **fields)
        same_message(messages().event(step.event, **fields), event, EVENT)


def test_the_info_is_written_as_ros_writes_it(engine: Engine) -> None:
    fields = info_fields(
        engine.config,
        space_id=engine.space_id,
        sha256=engine.sha256,
        action_types=engine.config.action_types if engine.can_imagine else (),
        has_decoder=engine.has_decoder,
    )
    message = conversions.info_message(fields, stamp_of(0))
    same_message(messages().info(engine, now_ns=stamp_of(0)), message, INFO)


def test_a_picture_is_written_as_ros_writes_it() -> None:
    message = conversions.compressed_message(
        picture(), when_ns=stamp_of(0), frame_id="lens", quality=80
    )
    written = messages().picture(picture(), stamp_ns=stamp_of(0), frame_id="lens", quality=80)
    same_message(written, message, COMPRESSED)


def test_types_are_those_of_ros() -> None:
    for name in ("SemanticState", "SemanticEvent", "EmbeddingInfo"):
        ours = messages().store.types[f"vljepa_ros/msg/{name}"]
        theirs = getattr(msg, name).get_fields_and_field_types()
        assert [f.name for f in dataclasses.fields(ours) if f.name[0].islower()] == list(theirs)


def test_topics_are_recorded_with_the_quality_of_the_nodes() -> None:
    from vljepa_ros.recordings.messages import qos as recorded

    for profile, ours in (
        (qos.STATE, recorded(1)),
        (qos.EVENT, recorded(10, latched=True)),
        (qos.LATCHED, recorded(1, latched=True)),
    ):
        assert profile.depth == ours.depth
        assert profile.history.name == ours.history.name
        assert profile.reliability.name == ours.reliability.name
        durable = profile.durability.name == "TRANSIENT_LOCAL"
        assert durable == (ours.durability.name == "TRANSIENT_LOCAL")


# --- the live node -----------------------------------------------------------------------------


def ros_film(count: int = 12) -> list[Shot]:
    """The film as a ROS camera sends it."""
    shots = film(count)
    for n in range(count):
        message = image(picture(n // 4), stamp_of(n))
        shots[2 * n + 1] = dataclasses.replace(shots[2 * n + 1], data=serialize_message(message))
    return shots


def replayed(shots: Sequence[Shot], engine: Engine, folder: Path) -> Written:
    bag = write_bag(folder / "bag", shots, "sqlite3")
    replay(bag, folder / "out.mcap", engine, PerceptionConfig(selective=SELECTIVE))
    return read_bag(folder / "out.mcap")


def play(shots: Sequence[Shot], client: Client, *, clock: bool = False) -> None:
    """As `ros2 bag play --clock` does, but each image waits until the one before was perceived."""
    for shot in shots:
        if clock:
            client.clock(shot.log_ns)
        if shot.topic == TOPIC:
            message = deserialize_message(shot.data, Image)
            client.show(message)
            client.state_of(conversions.stamp_ns(message.header.stamp))


def assert_equal(live: Client, found: Written) -> None:
    wait_until(lambda: len(live.events) >= len(found.events()), "as many events")
    assert len(live.states) == len(found.states()) > 0
    assert len(live.events) == len(found.events()) > 1
    ids_from = live.states[0].state_id - 1  # a node's ids go on when it begins anew
    for mine, theirs in zip(
        [*live.states, *live.events], [*found.states(), *found.events()], strict=True
    ):
        assert conversions.stamp_ns(mine.header.stamp) == conversions.stamp_ns(theirs.header.stamp)
        assert mine.header.frame_id == theirs.header.frame_id == "lens"
        assert mine.state_id - ids_from == theirs.state_id
        assert (mine.camera, mine.query) == (theirs.camera, theirs.query)
        np.testing.assert_array_equal(mine.embedding.data, theirs.embedding.data)
        assert mine.embedding.space_id == theirs.embedding.space_id
        assert mine.change_score == theirs.change_score
    assert [s.changed for s in live.states] == [s.changed for s in found.states()]
    assert [(e.caption, e.reason) for e in live.events] == [
        (e.caption, e.reason) for e in found.events()
    ]


@pytest.fixture
def eager(fresh: Client, perception: NodeProcess) -> Client:
    """The live node, set so that the film has several events."""
    selective = {f"selective__{k}": v for k, v in dataclasses.asdict(SELECTIVE).items()}
    result = fresh.set_parameters(**selective)
    assert result.successful, result.reason
    assert fresh.transition("configure", "activate"), perception.log
    return fresh


@pytest.mark.ros
def test_a_replay_equals_the_live_node(eager: Client, engine: Engine, tmp_path: Path) -> None:
    shots = ros_film()
    play(shots, eager)
    assert_equal(eager, replayed(shots, engine, tmp_path))


@pytest.mark.ros
def test_a_bag_played_with_its_own_clock_equals_its_replay_twice(
    eager: Client, engine: Engine, tmp_path: Path
) -> None:
    """use_sim_time: latency by the bag's clock; when the bag starts over, the node begins anew."""
    shots = ros_film()
    found = replayed(shots, engine, tmp_path)
    assert eager.set_parameters(use_sim_time=True).successful
    try:
        begin_ns = shots[0].log_ns

        def begun() -> bool:
            # Until the first message of this clock the node goes by that of an earlier test.
            eager.clock(begin_ns)
            told = [conversions.stamp_ns(heard.header.stamp) for heard in eager.diagnostics[-1:]]
            return told == [begin_ns]

        wait_until(begun, "simulated time to begin")
        play(shots, eager, clock=True)
        assert_equal(eager, found)
        assert all(abs(state.latency.sec) < 3600 for state in eager.states)  # not years
        jumps = int(eager.health("model")[2]["clock jumps"])
        eager.clear()
        eager.clock(begin_ns)
        eager.wait_for_health("model", lambda _l, _t, f: int(f["clock jumps"]) > jumps)
        play(shots, eager, clock=True)
        assert_equal(eager, found)
    finally:
        assert eager.set_parameters(use_sim_time=False).successful
