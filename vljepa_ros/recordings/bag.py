"""A rosbag2 recording (SQLite or MCAP, compressed or not), read without ROS and never changed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_ros.images import frame_of
from vljepa_ros.recordings.diagnose import check_bag, is_bag, mend_of, stray_files
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.messages import COMPRESSED, IMAGE_TYPES, Messages
from vljepa_ros.recordings.moments import Channel, Moment
from vljepa_ros.types import Frame

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Reader
    from rosbags.typesys.store import Typestore

log = logging.getLogger(__name__)

UNKNOWN_DIGEST = "RIHS01_" + "0" * 64
"""Of a type whose definition neither the recording nor rosbags knows."""


class Bag:
    """An open recording. Made by `open_bag`."""

    def __init__(self, reader: Reader, path: Path, topic: str, messages: Messages) -> None:
        """
        Args:
            topic: whose images are perceived; empty where the recording has one such topic only.

        Raises:
            RecordingError: no such topic, none with images, or too many to choose from.
        """
        self._reader = reader
        self._path = path
        self._messages = messages
        types: dict[str, set[str]] = {}
        for connection in reader.connections:
            types.setdefault(connection.topic, set()).add(connection.msgtype)
        self.topics = frozenset(types)
        self.formats: Counter[str] = Counter()
        self.notes = _notes(path)
        self.topic = _image_topic(path, topic, types)
        self._perceived = [c for c in reader.connections if c.topic == self.topic]
        self.images = sum(connection.msgcount for connection in self._perceived)
        if not self.images:
            raise RecordingError(
                f"{path} holds no message on {self.topic}: the camera was silent, or its QoS did "
                "not fit the recorder's; give --topic another, or record again"
            )

    def moments(self, *, originals: bool) -> Iterator[Moment]:
        """In the order of recording.

        Raises:
            RecordingError: the recording is broken further on.
        """
        wanted = self._reader.connections if originals else self._perceived
        channels = self._channels(wanted)
        read_ns = 0
        with readable(self._path, lambda: f" after its first {read_ns / 1e9:.3f} s"):
            for connection, log_ns, data in self._reader.messages(wanted):
                read_ns = log_ns - self._reader.start_time
                frame = None
                if connection.topic == self.topic:
                    frame = partial(self._frame, connection.msgtype, data)
                yield Moment(log_ns, channels[connection.id], partial(bytes, data), frame)

    def _frame(self, type_name: str, data: bytes) -> Frame:
        message = self._messages.read(type_name, data)
        self.formats[getattr(message, "encoding", "") or getattr(message, "format", "")] += 1
        return frame_of(message, compressed=type_name == COMPRESSED)

    def _channels(self, connections: list[Connection]) -> dict[int, Channel]:
        types = _Types(self._reader)
        channels = {}
        for connection in connections:
            definition, digest = types.of(connection)
            offered: Any = getattr(connection.ext, "offered_qos_profiles", ())
            channels[connection.id] = Channel(
                connection.topic, connection.msgtype, definition, digest, tuple(offered)
            )
        return channels


@contextmanager
def open_bag(path: Path, topic: str, messages: Messages) -> Iterator[Bag]:
    """Open a recording: a folder with metadata.yaml, an .mcap or a .db3 file.

    Raises:
        RecordingError: it cannot be read, or has no image topic of that name.
    """
    with _opened(path) as reader:
        yield Bag(reader, path, topic, messages)


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    """Open a recording for whatever is in it; read from it within `readable`.

    Raises:
        RecordingError: it cannot be read.
    """
    with _opened(path) as reader:
        for note in _notes(path):
            log.warning("%s: %s", path, note)
        yield reader


def _notes(path: Path) -> tuple[str, ...]:
    strays = ", ".join(stray.name for stray in stray_files(path))
    if not strays:
        return ()
    return (
        f"not read, since metadata.yaml does not name it: {strays}; if it belongs to the "
        f"recording, 'ros2 bag reindex {path}', else move it away",
    )


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    from rosbags.rosbag2 import Reader

    if not path.exists():
        raise RecordingError(f"{path} does not exist")
    if not is_bag(path):
        raise RecordingError(
            f"{path} is no bag (a folder, .mcap, .db3); if it is a video, perceive it first: "
            f"vljepa replay {path} -o OUT.mcap"
        )
    check_bag(path)
    with readable(path):
        reader = Reader(path)
        reader.open()
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def readable(path: Path, where: Callable[[], str] = str) -> Iterator[None]:
    """What rosbags and the libraries below it raise, as one sentence."""
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:  # whatever broken bytes lead the libraries to
        raise RecordingError(f"{path} cannot be read{where()}: {mend_of(error, path)}") from error


def _image_topic(path: Path, asked: str, types: Mapping[str, set[str]]) -> str:
    images = sorted(topic for topic, names in types.items() if names & set(IMAGE_TYPES))
    if not types:
        raise RecordingError(f"{path} is empty: nothing was recorded; record again")
    if asked:
        return _checked(path, asked, images, types)
    if not images:
        raise RecordingError(
            f"{path} has no topic of type {' or '.join(IMAGE_TYPES)}; it has: {_listed(types)}"
        )
    if len(images) > 1:
        raise RecordingError(
            f"{path} has several image topics; choose one with --topic: {', '.join(images)}"
        )
    return _checked(path, images[0], images, types)


def _checked(path: Path, topic: str, images: list[str], types: Mapping[str, set[str]]) -> str:
    if topic not in types:
        listed = ", ".join(images) if images else f"none with images; all: {_listed(types)}"
        raise RecordingError(f"{path} has no topic {topic}; image topics: {listed}")
    if topic not in images:
        raise RecordingError(
            f"{topic} of {path} is of type {', '.join(sorted(types[topic]))}, which is no image; "
            f"image topics: {', '.join(images) or 'none'}"
        )
    if len(types[topic]) > 1:
        raise RecordingError(
            f"{topic} of {path} was published with several types at once: "
            f"{', '.join(sorted(types[topic]))}; record again with one"
        )
    return topic


def _listed(types: Mapping[str, set[str]]) -> str:
    return ", ".join(f"{topic} ({'/'.join(sorted(names))})" for topic, names in types.items())


class _Types:
    """Definitions and hashes of what was recorded."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._store: Typestore | None = None
        self._known: dict[tuple[str, str], tuple[str, str]] = {}

    def of(self, connection: Connection) -> tuple[str, str]:
        """Definition and digest of a connection's type."""
        key = connection.msgtype, connection.msgdef.data
        if key not in self._known:
            self._known[key] = self._found(connection)
        return self._known[key]

    def _found(self, connection: Connection) -> tuple[str, str]:
        from rosbags.typesys import TypesysError

        name, definition = connection.msgtype, connection.msgdef.data
        if definition and connection.digest:
            return definition, connection.digest
        try:
            if definition:
                return definition, _digest(name, definition)
            return self._distribution().generate_msgdef(name, ros_version=2)[0], (
                self._distribution().hash_rihs01(name)
            )
        except (TypesysError, KeyError):
            return definition, UNKNOWN_DIGEST

    def _distribution(self) -> Typestore:
        """The types of the ROS that recorded. From Iron on bags say it and carry their types."""
        from rosbags.typesys import Stores, get_typestore

        if self._store is None:
            named = f"ros2_{self._reader.ros_distro or 'humble'}"
            stores = {store.value: store for store in Stores}
            self._store = get_typestore(stores.get(named, Stores.ROS2_HUMBLE))
        return self._store


def _digest(name: str, definition: str) -> str:
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    separator = "=" * 80 + "\n"
    if definition.startswith(f"{separator}IDL: "):
        for part in definition.split(separator)[1:]:
            store.register(get_types_from_idl(part.partition("\n")[2]))
    else:
        store.register(get_types_from_msg(definition, name))
    digest: str = store.hash_rihs01(name)
    return digest
