"""A ROS 2 bag (SQLite or MCAP) with an image topic and captions: a String topic or a JSONL.

Captions of a topic hold from their message to the next; lines of a JSONL are
{"start_s", "end_s", "caption"}, in seconds from the first image. Times are those of the recording.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.data.decode import Frames, image
from training.data.encode import encode_clip
from training.data.errors import DataError, MediaError
from training.data.samples import MediaSample
from training.data.skips import Skips
from training.data.writer import Draft
from vljepa_ros.config import ModelConfig

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
STRING = "std_msgs/msg/String"
CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
NS_PER_S = 1e9


class Caption(NamedTuple):
    """What happened in a stretch of a bag; nanoseconds of the recording's clock."""

    start_ns: int
    end_ns: int
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="folder of the bag, or an .mcap file")
    parser.add_argument("--images", required=True, metavar="TOPIC", help="Image or CompressedImage")
    captions = parser.add_mutually_exclusive_group(required=True)
    captions.add_argument("--captions", metavar="TOPIC", help="std_msgs/msg/String")
    captions.add_argument("--jsonl", type=Path, help="lines of start_s, end_s and caption")
    parser.add_argument("--query", default=ModelConfig().caption_query)


def run(given: argparse.Namespace, skips: Skips) -> Iterator[Draft]:
    """
    Raises:
        DataError: the bag cannot be read, or lacks a topic or captions.
    """
    with _opened(given.bag) as reader:
        images = _connections(reader, given.images, IMAGES)
        times_ns = [time_ns for _, time_ns, _ in reader.messages(images)]
        if not times_ns:
            raise DataError(f"there are no messages on {given.images}; record the bag again")
        if given.jsonl is not None:
            captions = read_jsonl(given.jsonl, times_ns[0])
        else:
            captions = _spoken(reader, given.captions, times_ns[-1] + 1)
        for caption in captions:
            begin_s = (caption.start_ns - times_ns[0]) / NS_PER_S
            source = f"{given.bag.name} {given.images} at {begin_s:.2f} s"
            with skips.guard(source):
                sample = MediaSample(given.query, caption.text, "caption", source)
                yield Draft(sample, encode_clip(_frames(reader, images, caption)), "mp4")


def read_jsonl(path: Path, first_ns: int) -> list[Caption]:
    """
    Raises:
        DataError: no such file, or a line that is no caption; the message names it.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file; write lines of start_s, end_s and caption")
    captions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            start_s, end_s = float(values["start_s"]), float(values["end_s"])
            text = values["caption"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path.name} line {number}: give start_s, end_s and caption ({error!r})"
            ) from error
        if not 0 <= start_s < end_s < float("inf"):
            raise DataError(f"{path.name} line {number}: give 0 <= start_s < end_s")
        start_ns, end_ns = (first_ns + round(t * NS_PER_S) for t in (start_s, end_s))
        captions.append(Caption(start_ns, end_ns, text))
    return captions


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        from apsw import Error as SQLiteError
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.rosbag2 import ReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise DataError("reading bags needs rosbags; pip install rosbags") from error
    if not path.exists():
        raise DataError(f"{path} does not exist; give the folder that ros2 bag record made")
    try:
        # SQLite bags of before Iron do not say what their messages look like.
        store = get_typestore(Stores.ROS2_HUMBLE)
        with AnyReader([path], default_typestore=store) as reader:
            yield reader
    except (AnyReaderError, ReaderError, SQLiteError, OSError) as error:
        raise DataError(
            f"{path} is no bag that can be read ({error}); copy it again, or run ros2 bag "
            "reindex if its recording was cut off (a file .mcap: mcap recover FILE -o MENDED.mcap)"
        ) from error


def _connections(reader: Any, topic: str, types: tuple[str, ...]) -> list[Any]:
    """The connections of a topic, whose messages are of one of `types`."""
    found = [c for c in reader.connections if c.topic == topic]
    if not found:
        there = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in reader.connections}))
        raise DataError(f"the bag has no topic {topic}; it has {there or 'none'}")
    wrong = [c.msgtype for c in found if c.msgtype not in types]
    if wrong:
        raise DataError(f"{topic} is of type {wrong[0]}; choose a topic of {' or '.join(types)}")
    return found


def _spoken(reader: Any, topic: str, end_ns: int) -> list[Caption]:
    connections = _connections(reader, topic, (STRING,))
    said = [
        (time_ns, reader.deserialize(data, connection.msgtype).data)
        for connection, time_ns, data in reader.messages(connections)
    ]
    if not said:
        raise DataError(f"there are no messages on {topic}; record the bag again")
    # An empty caption ends the one before it.
    spans = pairwise([*said, (end_ns, "")])
    return [
        Caption(start_ns, stop_ns, text)
        for (start_ns, text), (stop_ns, _) in spans
        if text.strip() and start_ns < stop_ns
    ]


def _frames(reader: Any, images: list[Any], caption: Caption) -> Iterator[tuple[float, Frames]]:
    for connection, time_ns, data in reader.messages(images, caption.start_ns, caption.end_ns):
        yield time_ns / NS_PER_S, rgb(reader.deserialize(data, connection.msgtype))


def rgb(message: Any) -> Frames:
    """(H, W, 3) of an Image or CompressedImage.

    Raises:
        MediaError: an encoding that is not known, or fewer bytes than the image needs.
    """
    if hasattr(message, "format"):
        return image(bytes(message.data))
    channels = CHANNELS.get(message.encoding)
    if channels is None:
        raise MediaError(
            f"images of encoding {message.encoding!r} are not read; record one of "
            f"{', '.join(CHANNELS)}, or the compressed topic"
        )
    height, width, step = message.height, message.width, message.step
    data = np.asarray(message.data, np.uint8)
    if not height or not width or step < width * channels or data.size < height * step:
        raise MediaError(
            f"an image of {width} x {height} {message.encoding} has {data.size} bytes in rows of "
            f"{step}; its camera driver writes wrong messages"
        )
    rows_HS = data[: height * step].reshape(height, step)
    pixels_HWC = rows_HS[:, : width * channels].reshape(height, width, channels)
    if channels == 1:
        return np.repeat(pixels_HWC, 3, axis=2)
    return pixels_HWC[..., 2::-1] if message.encoding.startswith("bgr") else pixels_HWC[..., :3]
