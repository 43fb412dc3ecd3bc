"""A bag with images and captions becomes shards, in both storages, for both kinds of captions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from shard_media import LEVELS, picture, read_back, shown

from training.data import validate, write
from training.data.decode import spread_frames

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


def bag(
    path: Path,
    storage: StoragePlugin = StoragePlugin.MCAP,
    images: int = FRAMES,
    make: Callable[[int], Any] = raw,
) -> Path:
    """Topics /raw and /compressed with frame i of brightness LEVELS[i], and /says."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        topics = {
            name: writer.add_connection(name, kind, typestore=STORE)
            for name, kind in (("/raw", IMAGE), ("/compressed", COMPRESSED), ("/says", STRING))
        }
        for i in range(images):
            for name, message in (
                ("/raw", make(LEVELS[i])),
                ("/compressed", compressed(LEVELS[i])),
            ):
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
        ("{", "captions.jsonl line 1: no JSON"),
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
    assert "gone does not exist" in capsys.readouterr().err
    film = tmp_path / "film.mp4"
    film.write_bytes(picture(3))
    assert written(film, *options) == 1
    assert "training.data.write folder" in capsys.readouterr().err
    path = bag(tmp_path / "bag", StoragePlugin.SQLITE3)
    (path / "metadata.yaml").unlink()
    assert written(path, *options) == 1
    assert f"ros2 bag reindex {path}" in capsys.readouterr().err


@pytest.mark.parametrize("storage", StoragePlugin)
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_recording_that_was_cut_off_says_the_mend(
    tmp_path: Path, storage: StoragePlugin, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bag(tmp_path / "bag", storage)
    data = file_of(path)
    data.write_bytes(data.read_bytes()[: int(share * data.stat().st_size)])
    assert written(path, "--images", "/raw", "--captions", "/says") == 1
    assert re.search(r"ros2 bag|mcap recover|sqlite3 \S+\.db3 \.dump", capsys.readouterr().err)
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize(
    ("content", "mend"),
    [
        (b"Salted__" + bytes(40), "is encrypted: decrypt it"),
        (b"#ROSBAG V2.0\n" + bytes(40), "rosbags-convert"),
        (b"", "is empty"),
        (None, "mcap recover"),
    ],
)
def test_a_broken_or_foreign_part_says_its_mend(
    tmp_path: Path, content: bytes | None, mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """None: the second half is damaged, so that lengths in it point anywhere."""
    path = bag(tmp_path / "bag")
    whole = file_of(path).read_bytes()
    if content is None:
        content = whole[: len(whole) // 2] + b"\xaa" * (len(whole) // 2 - 100) + whole[-100:]
    file_of(path).write_bytes(content)
    assert written(path, "--images", "/raw", "--captions", "/says") == 1
    assert mend in capsys.readouterr().err


def file_of(path: Path) -> Path:
    [data] = [p for p in path.iterdir() if p.suffix in (".db3", ".mcap")]
    return data


@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [
        ("rgb8", [200, 9, 5]),
        ("bgra8", [5, 9, 200, 77]),
        ("mono8", [120]),
        ("yuv422_yuy2", [126, 128]),  # grey: Y 126 of 16 … 235, no colour
    ],
)
def test_every_encoding_of_the_node_is_read(
    tmp_path: Path, encoding: str, pixel: list[int]
) -> None:
    def make(level: int) -> Any:
        del level
        message = raw(0, encoding, len(pixel))
        rows = message.data.reshape(16, message.step)
        rows[:, : 20 * len(pixel)] = np.tile(np.array(pixel, np.uint8), 20)
        return message

    path = bag(tmp_path / "bag", make=make)
    assert written(path, "--images", "/raw", "--captions", "/says") == 0
    [(_, media), _] = read_back(tmp_path / "shards")
    shown_C = spread_frames(media, 1, None, None)[0].mean(axis=(0, 1))
    wanted_C = [200, 9, 5] if len(pixel) > 2 else [128 if len(pixel) == 2 else 120] * 3
    assert shown_C == pytest.approx(wanted_C, abs=12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda level: raw(level, "16UC1", 2), "publish one of rgb8"),
        (lambda level: raw(level, height=99), "truncated"),
        (lambda level: raw(level, step=10), "is the encoding right"),
        (lambda level: raw(level, height=0), "is empty"),
    ],
)
def test_an_image_that_cannot_be_read_is_named_and_may_be_left_out(
    tmp_path: Path, make: Callable[[int], Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bag(tmp_path / "bag", make=make)
    options = ["--images", "/raw", "--captions", "/says"]
    assert written(path, *options) == 1
    error = capsys.readouterr().err
    assert said in error and "bag /raw at 0.40 s" in error and "--max-skipped 1" in error
    assert written(path, *options, "--max-skipped", "2") == 1
    assert capsys.readouterr().err.count("skipped bag /raw") == 2


def test_a_jsonl_of_another_encoding_says_the_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, lines = bag(tmp_path / "bag"), tmp_path / "captions.jsonl"
    lines.write_bytes('{"start_s": 0, "end_s": 1, "caption": "die Tür"}'.encode("latin-1"))
    assert written(path, "--images", "/raw", "--jsonl", str(lines)) == 1
    assert "captions.jsonl line 1: not in UTF-8" in capsys.readouterr().err


def test_a_caption_may_hold_line_breaks_of_unicode(tmp_path: Path) -> None:
    line = {"start_s": 0, "end_s": 1, "caption": "a\u2028b"}
    lines = tmp_path / "captions.jsonl"
    lines.write_text(json.dumps(line, ensure_ascii=False), encoding="utf-8")
    path = bag(tmp_path / "bag")
    assert written(path, "--images", "/raw", "--jsonl", str(lines)) == 0
