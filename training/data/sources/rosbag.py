"""A ROS 2 bag (SQLite or MCAP) with an image topic and captions: a String topic or a JSONL.

Captions of a topic hold from their message to the next; lines of a JSONL are
{"start_s", "end_s", "caption"}, in seconds from the first image. Times are those of the recording.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from training.data.decode import Frames
from training.data.encode import encode_clip
from training.data.errors import DataError, MediaError, SampleError
from training.data.json_lines import numbered_lines, parsed
from training.data.samples import MediaSample
from training.data.skips import Skips
from training.data.writer import Draft
from vljepa_ros.config import ModelConfig
from vljepa_ros.images import FrameError, rgb_of
from vljepa_ros.recordings.bag import open_reader, readable
from vljepa_ros.recordings.diagnose import is_bag
from vljepa_ros.recordings.errors import RecordingError, require_rosbags
from vljepa_ros.recordings.messages import COMPRESSED, IMAGE_TYPES, Messages

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Reader

STRING = "std_msgs/msg/String"
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
    if given.bag.exists() and not is_bag(given.bag):
        raise DataError(
            f"{given.bag} is no bag (a folder, .mcap, .db3); of videos make shards with "
            "python -m training.data.write folder"
        )
    try:
        require_rosbags()
        with open_reader(given.bag) as reader:
            yield from _drafts(_Bag(given.bag, reader), given, skips)
    except RecordingError as error:
        raise DataError(str(error)) from error


def _drafts(bag: _Bag, given: argparse.Namespace, skips: Skips) -> Iterator[Draft]:
    images = bag.connections(given.images, IMAGE_TYPES)
    times_ns = [time_ns for _, time_ns, _ in bag.messages(images)]
    if not times_ns:
        raise DataError(f"there are no messages on {given.images}; record the bag again")
    if given.jsonl is not None:
        captions = read_jsonl(given.jsonl, times_ns[0])
    else:
        captions = _spoken(bag, given.captions, times_ns[-1] + 1)
    for caption in captions:
        begin_s = (caption.start_ns - times_ns[0]) / NS_PER_S
        source = f"{given.bag.name} {given.images} at {begin_s:.2f} s"
        with skips.guard(source):
            sample = MediaSample(given.query, caption.text, "caption", source)
            yield Draft(sample, encode_clip(bag.frames(images, caption)), "mp4")


def read_jsonl(path: Path, first_ns: int) -> list[Caption]:
    """
    Raises:
        DataError: no such file, or a line that is no caption; the message names it.
    """
    if not path.is_file():
        raise DataError(f"{path} is no file; write lines of start_s, end_s and caption")
    captions = []
    for number, line in numbered_lines(path):
        try:
            values: Any = parsed(line)
            start_s, end_s = float(values["start_s"]), float(values["end_s"])
            text = values["caption"]
        except SampleError as error:
            raise DataError(f"{path.name} line {number}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path.name} line {number}: give start_s, end_s and caption ({error!r})"
            ) from error
        if not 0 <= start_s < end_s < float("inf"):
            raise DataError(f"{path.name} line {number}: give 0 <= start_s < end_s")
        start_ns, end_ns = (first_ns + round(t * NS_PER_S) for t in (start_s, end_s))
        captions.append(Caption(start_ns, end_ns, text))
    return captions


class _Bag:
    """An open bag."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self._path, self._reader = path, reader
        self._types = Messages()

    def connections(self, topic: str, types: tuple[str, ...]) -> list[Connection]:
        """The connections of a topic, whose messages are of one of `types`."""
        every = self._reader.connections
        found = [c for c in every if c.topic == topic]
        if not found:
            there = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in every}))
            raise DataError(f"the bag has no topic {topic}; it has {there or 'none'}")
        wrong = [c.msgtype for c in found if c.msgtype not in types]
        if wrong:
            raise DataError(
                f"{topic} is of type {wrong[0]}; choose a topic of {' or '.join(types)}"
            )
        return found

    def messages(
        self, connections: list[Connection], start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[tuple[str, int, bytes]]:
        """(type, time [ns], bytes) of each from `start_ns` to before `end_ns`."""
        with readable(self._path):
            for connection, time_ns, data in self._reader.messages(connections, start_ns, end_ns):
                yield connection.msgtype, time_ns, data

    def texts(self, connections: list[Connection]) -> Iterator[tuple[int, str]]:
        """(time [ns], text) of each message of type String."""
        for type_name, time_ns, data in self.messages(connections):
            try:
                yield time_ns, self._types.read(type_name, data).data
            except FrameError as error:
                raise DataError(f"a caption cannot be read: {error}; give a --jsonl") from error

    def frames(self, images: list[Connection], caption: Caption) -> Iterator[tuple[float, Frames]]:
        """(time [s], (H, W, 3) RGB) of each image while a caption holds."""
        for type_name, time_ns, data in self.messages(images, caption.start_ns, caption.end_ns):
            try:
                message = self._types.read(type_name, data)
                yield time_ns / NS_PER_S, rgb_of(message, compressed=type_name == COMPRESSED)
            except FrameError as error:
                raise MediaError(str(error)) from error


def _spoken(bag: _Bag, topic: str, end_ns: int) -> list[Caption]:
    said = list(bag.texts(bag.connections(topic, (STRING,))))
    if not said:
        raise DataError(f"there are no messages on {topic}; record the bag again")
    # An empty caption ends the one before it.
    spans = pairwise([*said, (end_ns, "")])
    return [
        Caption(start_ns, stop_ns, text)
        for (start_ns, text), (stop_ns, _) in spans
        if text.strip() and start_ns < stop_ns
    ]
