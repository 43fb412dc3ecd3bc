"""A replayed recording against the perceiver fed with the same frames, in every format."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from bag_harness import (
    PERIOD_NS,
    RECORDER_LATE_NS,
    TOPIC,
    Shot,
    as_humble_left_it,
    distribution,
    files,
    film,
    header,
    jpeg,
    messages,
    picture,
    raw,
    read_bag,
    stamp_of,
    text,
    without_index,
    write_bag,
)
from rosbags.rosbag2 import CompressionMode

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.replay import ReplayOptions, replay
from vljepa_ros.stream.perceiver import Perceiver
from vljepa_ros.types import Frame, Step
from vljepa_ros.video_source import VideoFile

CONFIG = PerceptionConfig(
    camera="eye",
    query="Describe the scene.",
    labels=("a cube", "a cup"),
    selective=SelectiveConfig(distance_threshold=0.01, noise_factor=0.0, patience_s=0.0),
)
STATE = "/vljepa/perception/semantic_state"
EVENT = "/vljepa/perception/semantic_event"


def perceived(engine: Engine, frames: Sequence[Frame], config: Any = CONFIG) -> list[Step]:
    perceiver = Perceiver(engine, config)
    return [step for frame in frames if (step := perceiver.step(frame)) is not None]


def frames_of_film(count: int = 8) -> list[Frame]:
    return [Frame(stamp_of(n), picture(n // 4), "lens") for n in range(count)]


def assert_equal(found: Any, steps: Sequence[Step], space_id: str) -> None:
    """Every field of every state and event that does not depend on when it was written."""
    states, events = found.states(), found.events()
    assert len(states) == len(steps)
    wanted_events = [step.event for step in steps if step.event is not None]
    assert len(events) == len(wanted_events) > 0
    for got, step in zip(states, steps, strict=True):
        state = step.state
        assert stamp_ns(got.header.stamp) == state.stamp_ns
        assert (got.header.frame_id, got.camera, got.query) == (
            state.frame_id, state.camera, state.query,
        )  # fmt: skip
        np.testing.assert_array_equal(got.embedding.data, state.embedding_E)
        assert got.embedding.space_id == space_id
        assert [label.label for label in got.labels] == [label.label for label in state.labels]
        assert (got.state_id, got.changed) == (state.state_id, state.changed)
        assert stamp_ns(got.clip_start) == state.clip_start_ns
        assert stamp_ns(got.state_since) == state.state_since_ns
        assert got.change_score == np.float32(state.change_score)
        assert got.change_threshold == np.float32(state.change_threshold)
    for got, event in zip(events, wanted_events, strict=True):
        assert stamp_ns(got.header.stamp) == event.stamp_ns
        assert (got.caption, got.reason) == (event.caption, event.reason)
        assert (got.state_id, got.previous_state_id) == (event.state_id, event.previous_state_id)
        assert got.caption_score == np.float32(event.caption_score)


def stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def play(source: Path, engine: Engine, folder: Path, config: Any = CONFIG, **options: Any) -> Any:
    """What a replay wrote; it left the source as it was and nothing beside the output."""
    before = files(source) if source.is_dir() else {"": source.read_bytes()}
    output = folder / "written" / "out.mcap"
    replay(source, output, engine, config, ReplayOptions(**options))
    assert (files(source) if source.is_dir() else {"": source.read_bytes()}) == before
    assert [p.name for p in output.parent.iterdir()] == ["out.mcap"]
    return read_bag(output)


@pytest.mark.parametrize("distro", ["humble", "iron", "jazzy", "kilted", "lyrical"])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_of_every_distribution_equals_the_perceiver(
    storage: str, distro: str, engine: Engine, tmp_path: Path
) -> None:
    store = distribution(distro)
    bag = write_bag(tmp_path / "bag", film(store=store), storage, store=store)
    if (storage, distro) == ("sqlite3", "humble"):
        as_humble_left_it(bag)
    found = play(bag, engine, tmp_path)
    assert_equal(found, perceived(engine, frames_of_film()), engine.space_id)
    assert len(found.events()) >= 2  # the scene changes once


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_a_bag_compressed_by_rosbag2(mode: CompressionMode, engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), "sqlite3", compression=mode)
    found = play(bag, engine, tmp_path)
    assert_equal(found, perceived(engine, frames_of_film()), engine.space_id)
    assert found.raw["/chatter"] == [(s.log_ns, s.data) for s in film() if s.topic == "/chatter"]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_single_file_without_its_folder(storage: str, engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), storage)
    [file] = [p for p in bag.iterdir() if p.suffix in (".mcap", ".db3")]
    assert_equal(play(file, engine, tmp_path), perceived(engine, frames_of_film()), engine.space_id)


def test_compressed_images(engine: Engine, tmp_path: Path) -> None:
    shots = [jpeg(picture(n // 4), stamp_of(n)) for n in range(8)]
    found = play(write_bag(tmp_path / "bag", shots), engine, tmp_path)
    assert_equal(found, perceived(engine, frames_of_film()), engine.space_id)


def test_originals_stamps_and_order_stay(engine: Engine, tmp_path: Path) -> None:
    shots = film()
    found = play(write_bag(tmp_path / "bag", shots), engine, tmp_path)
    for topic in (TOPIC, "/chatter"):
        assert found.raw[topic] == [(s.log_ns, s.data) for s in shots if s.topic == topic]
    assert found.log_ns == sorted(found.log_ns)
    times = [log_ns for log_ns, _ in found.topics[STATE]]
    assert times == [stamp_of(n) + RECORDER_LATE_NS for n in range(8)]
    assert {stamp_ns(state.latency) for state in found.states()} == {RECORDER_LATE_NS}
    [(info_ns, info)] = found.topics["/vljepa/perception/embedding_info"]
    assert info_ns == times[0] and info.model_sha256 == engine.sha256
    assert found.qos[EVENT][0].durability.name == "TRANSIENT_LOCAL"


def test_states_and_events_only_under_another_name(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film())
    found = play(bag, engine, tmp_path, originals=False, node="/again")
    assert set(found.topics) == {
        *("/again/semantic_state", "/again/semantic_event", "/again/embedding_info")
    }
    assert len(found.states("/again")) == 8


def test_one_of_two_cameras(engine: Engine, tmp_path: Path) -> None:
    other = [raw(picture(9 + n), stamp_of(n), topic="/other") for n in range(8)]
    shots = sorted([*film(), *other], key=lambda shot: shot.log_ns)
    found = play(write_bag(tmp_path / "bag", shots), engine, tmp_path, topic=TOPIC)
    assert_equal(found, perceived(engine, frames_of_film()), engine.space_id)
    assert len(found.raw["/other"]) == 8


# --- the node's rules --------------------------------------------------------------------------


def test_a_limit_of_the_rate_takes_the_newest_image_when_its_turn_comes(
    engine: Engine, tmp_path: Path
) -> None:
    """At 10 Hz and 4 steps a second: every .25 s the newest of the images until then."""
    config = dataclasses.replace(CONFIG, rate_hz=4.0)
    found = play(write_bag(tmp_path / "bag", film(11)), engine, tmp_path, config)
    seen = [0, 2, 5, 7, 10]
    frames = frames_of_film(11)
    assert_equal(found, perceived(engine, [frames[n] for n in seen], config), engine.space_id)
    first_ns = stamp_of(0) + RECORDER_LATE_NS
    assert [log_ns - first_ns for log_ns, _ in found.topics[STATE]] == [
        *(0, 250_000_000, 500_000_000, 750_000_000, 1_000_000_000)
    ]
    assert [state.dropped_frames for state in found.states()] == [0, 1, 3, 4, 6]


def test_stamps_that_jump_repeat_or_are_missing_are_treated_as_by_the_node(
    engine: Engine, tmp_path: Path
) -> None:
    stamps_ns = [
        *(stamp_of(0), stamp_of(1), stamp_of(1), 0, stamp_of(3), stamp_of(2)),
        *(stamp_of(4), stamp_of(-600), stamp_of(-599), stamp_of(900)),
    ]
    shots = [
        raw(picture(n), stamp, log_ns=stamp_of(n) + RECORDER_LATE_NS)
        for n, stamp in enumerate(stamps_ns)
    ]
    bag = write_bag(tmp_path / "bag", shots)
    output = tmp_path / "out.mcap"
    done = replay(bag, output, engine, CONFIG)
    frames = [Frame(stamp, picture(n), "lens") for n, stamp in enumerate(stamps_ns)]
    assert_equal(read_bag(output), perceived(engine, frames), engine.space_id)
    said = "\n".join(done.notes)
    for kind in ("no stamp", "sent it twice", "too late", "jumped back", "long silence"):
        assert kind in said


def test_images_that_cannot_be_used_are_left_out_and_counted(
    engine: Engine, tmp_path: Path
) -> None:
    shots = film()
    shots[3] = raw(picture(), stamp_of(1), encoding="16UC1")
    shots[5] = raw(picture(), stamp_of(2), step=1)
    shots[7] = dataclasses.replace(shots[7], data=shots[7].data[:60])
    output = tmp_path / "out.mcap"
    done = replay(write_bag(tmp_path / "bag", shots), output, engine, CONFIG)
    frames = [frame for n, frame in enumerate(frames_of_film()) if n not in (1, 2, 3)]
    assert_equal(read_bag(output), perceived(engine, frames), engine.space_id)
    said = "\n".join(done.notes)
    assert "'16UC1' is not known" in said and "step 1" in said and "message is broken" in said
    assert read_bag(output).raw[TOPIC] == [(s.log_ns, s.data) for s in shots if s.topic == TOPIC]


def test_an_mcap_without_indexes_is_read_from_its_beginning(engine: Engine, tmp_path: Path) -> None:
    [file] = write_bag(tmp_path / "bag", film()).glob("*.mcap")
    indexed = file.stat().st_size
    assert without_index(file).stat().st_size < indexed
    done = replay(file, tmp_path / "out.mcap", engine, CONFIG)
    assert done.tally.states == 8
    found = read_bag(tmp_path / "out.mcap")
    assert_equal(found, perceived(engine, frames_of_film()), engine.space_id)
    assert len(found.raw[TOPIC]) == len(found.raw["/chatter"]) == 8


def test_mixed_encodings_are_each_read_as_they_say(engine: Engine, tmp_path: Path) -> None:
    shots = film()
    flipped = np.ascontiguousarray(picture(0)[..., ::-1])
    shots[3] = raw(flipped, stamp_of(1), encoding="bgr8")
    output = tmp_path / "out.mcap"
    done = replay(write_bag(tmp_path / "bag", shots), output, engine, CONFIG)
    assert_equal(read_bag(output), perceived(engine, frames_of_film()), engine.space_id)
    assert "mixes encodings" in done.notes[0] and "rgb8 (7), bgr8 (1)" in done.notes[0]


def test_parameters_of_several_cameras_are_told_not_to_be_heeded(
    engine: Engine, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, cameras=("left", "right"))
    done = replay(write_bag(tmp_path / "bag", film()), tmp_path / "out.mcap", engine, config)
    assert "parameter cameras is not heeded" in done.notes[0] and f"here {TOPIC}" in done.notes[0]


def test_the_recorders_clock_may_be_set_back(engine: Engine, tmp_path: Path) -> None:
    """Within one file rosbag2 plays by log time; stamps go on and nothing fails."""
    config = dataclasses.replace(CONFIG, rate_hz=1000.0)
    shots = [raw(picture(n), stamp_of(n), log_ns=stamp_of(-n)) for n in range(4)]
    found = play(write_bag(tmp_path / "bag", shots), engine, tmp_path, config)
    frames = [Frame(stamp_of(n), picture(n), "lens") for n in (3, 2, 1, 0)]
    assert_equal(found, perceived(engine, frames, config), engine.space_id)


# --- foreign types and videos ------------------------------------------------------------------


def test_messages_of_types_that_nobody_knows_are_copied(engine: Engine, tmp_path: Path) -> None:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg("int32 secret", "foreign_msgs/msg/Riddle"))
    riddle = store.types["foreign_msgs/msg/Riddle"](secret=7)
    data = bytes(store.serialize_cdr(riddle, "foreign_msgs/msg/Riddle"))
    shots = [
        Shot(data, stamp_of(0), "/riddle", "foreign_msgs/msg/Riddle"),
        *film(store=store),
    ]
    bag = as_humble_left_it(write_bag(tmp_path / "bag", shots, "sqlite3", store=store))
    output = tmp_path / "out.mcap"
    replay(bag, output, engine, CONFIG)
    from rosbags.rosbag2 import Reader

    with Reader(output) as reader:
        [riddles] = [c for c in reader.connections if c.topic == "/riddle"]
        assert riddles.msgtype == "foreign_msgs/msg/Riddle"
        assert [bytes(d) for _, _, d in reader.messages([riddles])] == [data]


def film_file(path: Path, count: int = 8) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number // 4), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_video_is_stamped_from_its_start_and_its_pictures_come_along(
    engine: Engine, tmp_path: Path
) -> None:
    video = film_file(tmp_path / "film.mp4")
    found = play(video, engine, tmp_path, video_start_ns=stamp_of(0))
    frames = [
        Frame(stamp_of(0) + round(time_s * 1e9), image, "camera")
        for time_s, image in VideoFile(str(video)).pictures()
    ]
    assert [f.stamp_ns - stamp_of(0) for f in frames] == [n * PERIOD_NS for n in range(8)]
    assert_equal(found, perceived(engine, frames), engine.space_id)
    stamps = [stamp_ns(image.header.stamp) for _, image in found.topics["/image/compressed"]]
    assert stamps == [frame.stamp_ns for frame in frames]


def test_what_was_written_of_a_video_can_be_replayed(engine: Engine, tmp_path: Path) -> None:
    video = film_file(tmp_path / "film.mp4")
    replay(video, tmp_path / "once.mcap", engine, CONFIG)
    found = play(tmp_path / "once.mcap", engine, tmp_path, node="/again")
    assert len(found.states("/again")) == len(found.states()) == 8


def test_progress_is_told_after_each_image(engine: Engine, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    replay(
        write_bag(tmp_path / "bag", film()),
        tmp_path / "out.mcap",
        engine,
        CONFIG,
        progress=lambda seen, of: told.append((seen, of)),
    )
    assert told == [(n + 1, 8) for n in range(8)]


def test_a_recording_of_the_node_itself_needs_another_name(engine: Engine, tmp_path: Path) -> None:
    replay(write_bag(tmp_path / "bag", film()), tmp_path / "once.mcap", engine, CONFIG)
    with pytest.raises(RecordingError, match="--node another name"):
        replay(tmp_path / "once.mcap", tmp_path / "twice.mcap", engine, CONFIG)
    assert not (tmp_path / "twice.mcap").exists()


def test_headers_and_texts_of_the_harness_are_messages() -> None:
    """The harness writes what ROS would: a guard for the tests above."""
    assert header(stamp_of(1)).stamp.nanosec == PERIOD_NS
    shot = text("hello", stamp_of(0))
    assert messages().store.deserialize_cdr(shot.data, shot.type_name).data == "hello"  # type: ignore[attr-defined]
