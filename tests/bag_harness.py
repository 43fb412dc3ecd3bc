"""Recordings for tests, as rosbags writes them, and what lies in one that was written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.recordings.messages import COMPRESSED, RAW, Messages
from vljepa_ros.types import ImageHWC

CORPUS = ("What is the robot doing?", "Describe the scene.", "The gripper lifts the red cube.")
BEGIN_NS = 1_700_000_000 * 10**9
PERIOD_NS = 100_000_000
RECORDER_LATE_NS = 7_000_000
"""From the stamp of an image to its log time."""
TOPIC = "/eye/image_raw"
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


@cache
def messages() -> Messages:
    return Messages()


def make_model(folder: Path) -> Path:
    """A checkpoint with random weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    checkpoint.save(VLJepa(presets.tiny()), train_tokenizer(CORPUS, 320), folder, {})
    return folder


def picture(seed: int = 0, height: int = 48, width: int = 64) -> ImageHWC:
    """A smooth coloured picture, another for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((height // 4, width // 4, 1), np.uint8)))


@dataclass(frozen=True)
class Shot:
    """One message to be recorded."""

    data: bytes
    log_ns: int
    topic: str = TOPIC
    type_name: str = RAW


def stamp_of(number: int) -> int:
    return BEGIN_NS + number * PERIOD_NS


def header(stamp_ns: int, store: Any = None) -> Any:
    types = (store or messages().store).types
    sec, nanosec = divmod(stamp_ns, 10**9)
    stamp = types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id="lens")


def raw(
    image_HWC: ImageHWC, stamp_ns: int, *, log_ns: int = 0, store: Any = None, **fields: Any
) -> Shot:
    """An rgb8 image, then `fields` set as given, however wrong."""
    store = store or messages().store
    topic = fields.pop("topic", TOPIC)
    values = {
        "header": header(stamp_ns, store),
        "height": image_HWC.shape[0],
        "width": image_HWC.shape[1],
        "encoding": "rgb8",
        "is_bigendian": 0,
        "step": image_HWC.shape[1] * 3,
        "data": image_HWC.reshape(-1),
    }
    message = store.types[RAW](**values | fields)
    data = bytes(store.serialize_cdr(message, RAW))
    return Shot(data, log_ns or stamp_ns + RECORDER_LATE_NS, topic)


def jpeg(image_HWC: ImageHWC, stamp_ns: int, *, topic: str = TOPIC) -> Shot:
    encoded = cv2.imencode(".png", cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR))[1].reshape(-1)
    message = messages().store.types[COMPRESSED](
        header=header(stamp_ns), format="rgb8; png compressed bgr8", data=encoded
    )
    data = bytes(messages().store.serialize_cdr(message, COMPRESSED))
    return Shot(data, stamp_ns + RECORDER_LATE_NS, topic, COMPRESSED)


def text(words: str, log_ns: int, topic: str = "/chatter") -> Shot:
    name = "std_msgs/msg/String"
    store = messages().store
    return Shot(
        bytes(store.serialize_cdr(store.types[name](data=words), name)), log_ns, topic, name
    )


def film(count: int = 8, **fields: Any) -> list[Shot]:
    """Images of a scene that changes every fourth, with text between them."""
    shots = []
    for number in range(count):
        stamp_ns = stamp_of(number)
        shots.append(text(f"before {number}", stamp_ns))
        shots.append(raw(picture(number // 4), stamp_ns, **fields))
    return shots


def write_bag(
    path: Path,
    shots: Sequence[Shot],
    storage: str = "mcap",
    *,
    compression: CompressionMode = CompressionMode.NONE,
    store: Any = None,
) -> Path:
    """A rosbag2 folder."""
    store = store or messages().store
    writer = Writer(path, version=9, storage_plugin=STORAGES[storage])
    if compression is not CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[tuple[str, str], Any] = {}
        for shot in shots:
            key = shot.topic, shot.type_name
            if key not in connections:
                connections[key] = writer.add_connection(*key, typestore=store)
            writer.write(connections[key], shot.log_ns, shot.data)
    return path


def as_humble_left_it(bag: Path) -> Path:
    """An SQLite bag without definitions, hashes and the name of the distribution."""
    [file] = bag.glob("*.db3")
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE message_definitions")
        connection.execute("UPDATE schema SET schema_version = 3, ros_distro = 'humble'")
        connection.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    connection.close()
    path = bag / "metadata.yaml"
    metadata = yaml.safe_load(path.read_text())
    information = metadata["rosbag2_bagfile_information"]
    information["version"] = 5
    del information["ros_distro"], information["custom_data"]
    for topic in information["topics_with_message_count"]:
        del topic["topic_metadata"]["type_description_hash"]
        topic["topic_metadata"]["offered_qos_profiles"] = ""
    path.write_text(yaml.safe_dump(metadata))
    return bag


def without_index(mcap: Path) -> Path:
    """An MCAP file as one leaves it that writes no indexes: nothing after the messages."""
    content = mcap.read_bytes()
    magic, place, kept = content[:8], 8, b""
    while content[place] != 0x0F:  # the end of the data section
        end = place + 9 + int.from_bytes(content[place + 1 : place + 9], "little")
        if content[place] != 0x07:  # an index of the messages of a chunk
            kept += content[place:end]
        place = end
    data_end = content[place : place + 13]
    footer = b"\x02" + (20).to_bytes(8, "little") + bytes(20)
    mcap.write_bytes(magic + kept + data_end + footer + magic)
    return mcap


@dataclass
class Written:
    """What lies in a recording: its messages by topic, each with its log time."""

    topics: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    raw: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    qos: dict[str, Any] = field(default_factory=dict)
    log_ns: list[int] = field(default_factory=list)

    def states(self, node: str = "/vljepa/perception") -> list[Any]:
        return [message for _, message in self.topics.get(f"{node}/semantic_state", [])]

    def events(self, node: str = "/vljepa/perception") -> list[Any]:
        return [message for _, message in self.topics.get(f"{node}/semantic_event", [])]


def read_bag(path: Path) -> Written:
    written = Written()
    with Reader(path) as reader:
        for connection in reader.connections:
            written.qos[connection.topic] = connection.ext.offered_qos_profiles  # type: ignore[union-attr]
        for connection, log_ns, data in reader.messages():
            written.raw.setdefault(connection.topic, []).append((log_ns, bytes(data)))
            written.log_ns.append(log_ns)
            with suppress(SerdeError):  # some tests record broken messages
                message = messages().store.deserialize_cdr(data, connection.msgtype)
                written.topics.setdefault(connection.topic, []).append((log_ns, message))
    return written


def files(folder: Path) -> dict[str, bytes]:
    """Every file below, with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file())


def distribution(name: str) -> Any:
    return get_typestore(Stores(f"ros2_{name}"))
