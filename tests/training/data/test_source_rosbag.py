"""A bag with images and captions becomes shards, in both storages, for both kinds of captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from shard_media import LEVELS, picture, read_back, shown

from training.data import validate, write
from training.data.decode import spread_frames
from training.data.errors import MediaError
from training.data.sources.rosbag import rgb

STORE = get_typestore(Stores.ROS2_JAZZY)
IMAGE, COMPRESSED, STRING = (
    *("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"),
    "std_msgs/msg/String",
)
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 250_000_000
FRAMES = 12
SAID = [(0.4, "a hand comes"), (1.5, ""), (2.0, "ロボットが動く")]
"""Seconds from the first image; the empty one ends the one before."""


def header() -> Any:
    time = STORE.types["builtin_interfaces/msg/Time"](sec=0, nanosec=0)
    return STORE.types["std_msgs/msg/Header"](stamp=time, frame_id="camera")


def raw(level: int, encoding: str = "rgb8", channels: int = 3, **fields: Any) -> Any:
    height, width, step = 16, 20, 20 * channels + 4
    given = {
        "header": header(),
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": step,
        "data": np.full(height * step, level, np.uint8),
    }
    return STORE.types[IMAGE](**(given | fields))


def compressed(level: int) -> Any:
    data = np.frombuffer(picture(level, (16, 20), "jpg"), np.uint8)
    return STORE.types[COMPRESSED](header=header(), format="jpeg", data=data)


def bag(path: Path, storage: StoragePlugin = StoragePlugin.MCAP, images: int = FRAMES) -> Path:
    """Topics /raw and /compressed with frame i of brightness LEVELS[i], and /says."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        topics = {
            name: writer.add_connection(name, kind, typestore=STORE)
            for name, kind in (("/raw", IMAGE), ("/compressed", COMPRESSED), ("/says", STRING))
        }
        for i in range(images):
            for name, message in (("/raw", raw(LEVELS[i])), ("/compressed", compressed(LEVELS[i]))):
                data = STORE.serialize_cdr(message, message.__msgtype__)
                writer.write(topics[name], START_NS + i * PERIOD_NS, data)
        for time_s, text in SAID:
            data = STORE.serialize_cdr(STORE.types[STRING](data=text), STRING)
            writer.write(topics["/says"], START_NS + round(time_s * 1e9), data)
    return path


def written(path: Path, *options: str) -> int:
    out = str(path.parent / "shards")
    return write.main(["rosbag", str(path), "--out", out, *options])


def samples(path: Path) -> list[tuple[str, list[int]]]:
    """Target, and which images are shown at first and last."""
    found = []
    for sample, media in read_back(path.parent / "shards"):
        frames = spread_frames(media, 20, None, None)
        levels = [shown(float(frame.mean())) for frame in (frames[0], frames[-1])]
        found.append((sample.target, levels))
    return found


@pytest.mark.parametrize("storage", StoragePlugin)
@pytest.mark.parametrize("topic", ["/raw", "/compressed"])
def test_captions_of_a_topic_hold_until_the_next(
    tmp_path: Path, storage: StoragePlugin, topic: str
) -> None:
    path = bag(tmp_path / "bag", storage)
    assert written(path, "--images", topic, "--captions", "/says") == 0
    assert samples(path) == [("a hand comes", [2, 5]), ("ロボットが動く", [8, 11])]
    assert validate.main([str(tmp_path / "shards")]) == 0


def jsonl(folder: Path, *lines: Any) -> str:
    path = folder / "captions.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return str(path)


def test_captions_of_a_jsonl_count_from_the_first_image(tmp_path: Path) -> None:
    path = bag(tmp_path / "bag")
    lines = jsonl(
        tmp_path,
        {"start_s": 0, "end_s": 0.5, "caption": "first"},
        "",
        {"start_s": 1.0, "end_s": 2, "caption": "then"},
    )
    assert written(path, "--images", "/raw", "--jsonl", lines) == 0
    assert samples(path) == [("first", [0, 1]), ("then", [4, 7])]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--images", "/camera", "--captions", "/says"], "no topic /camera; it has /compressed"),
        (["--images", "/raw", "--captions", "/words"], "no topic /words"),
        (["--images", "/says", "--captions", "/says"], "/says is of type std_msgs/msg/String"),
        (["--images", "/raw", "--captions", "/compressed"], "choose a topic of std_msgs/msg/Str"),
        (["--images", "/raw", "--jsonl", "gone.jsonl"], "gone.jsonl is no file"),
    ],
)
def test_a_topic_that_is_not_there_or_of_another_type_is_told(
    tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert written(bag(tmp_path / "bag"), *options) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "captions.jsonl line 1"),
        ({"start_s": 0, "caption": "x"}, "'end_s'"),
        ({"start_s": 1, "end_s": 1, "caption": "x"}, "0 <= start_s < end_s"),
        ({"start_s": 0, "end_s": 1, "caption": ""}, "target: the text is empty"),
        ({"start_s": 0, "end_s": 1, "caption": 7}, "target must be a text"),
        ({"start_s": 90, "end_s": 91, "caption": "late"}, "choose a segment with images"),
    ],
)
def test_a_bad_caption_is_named(
    tmp_path: Path, line: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bag(tmp_path / "bag")
    assert written(path, "--images", "/raw", "--jsonl", jsonl(tmp_path, line)) == 1
    assert said in capsys.readouterr().err


def test_a_topic_without_messages_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bag(tmp_path / "bag", images=0)
    assert written(path, "--images", "/raw", "--captions", "/says") == 1
    assert "no messages on /raw" in capsys.readouterr().err


def test_what_is_no_bag_says_the_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--images", "/raw", "--captions", "/says"]
    assert written(tmp_path / "gone", *options) == 1
    assert "ros2 bag record" in capsys.readouterr().err
    path = bag(tmp_path / "bag", StoragePlugin.SQLITE3)
    (path / "metadata.yaml").unlink()
    assert written(path, *options) == 1
    assert "ros2 bag reindex if" in capsys.readouterr().err


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
@pytest.mark.parametrize("storage", StoragePlugin)
def test_a_recording_that_was_cut_off_says_the_mend(
    tmp_path: Path, storage: StoragePlugin, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bag(tmp_path / "bag", storage)
    [data] = [p for p in path.iterdir() if p.suffix in (".db3", ".mcap")]
    whole = data.read_bytes()
    data.write_bytes(whole[: int(share * len(whole))])
    assert written(path, "--images", "/raw", "--captions", "/says") == 1
    assert "ros2 bag reindex if" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", 3), ("bgr8", 3), ("rgba8", 4), ("bgra8", 4), ("mono8", 1)],
)
def test_every_encoding_gives_the_same_colours(encoding: str, channels: int) -> None:
    red = {"rgb8": [200, 9, 5], "bgr8": [5, 9, 200], "rgba8": [200, 9, 5, 77],
           "bgra8": [5, 9, 200, 77], "mono8": [50]}[encoding]  # fmt: skip
    message = raw(0, encoding, channels)
    rows = message.data.reshape(16, message.step)
    rows[:, : 20 * channels] = np.tile(np.array(red, np.uint8), 20)
    image_HWC = rgb(message)
    assert image_HWC.shape == (16, 20, 3)
    assert (image_HWC == ([50] * 3 if channels == 1 else [200, 9, 5])).all()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (raw(0, "16UC1", 2), "record one of rgb8"),
        (raw(0, height=99), "its camera driver"),
        (raw(0, step=10), "its camera driver"),
        (raw(0, height=0), "its camera driver"),
    ],
)
def test_an_image_that_cannot_be_read_says_the_mend(message: Any, said: str) -> None:
    with pytest.raises(MediaError, match=said):
        rgb(message)
