"""A recording for the viewer Rerun: frames, state bands, captions, change score, label scores.

All that is known of package `rerun` is in this file: its interface breaks often, so `VERSIONS` says
which ones it was seen working with. Everything lies on one timeline, `stamp`: the camera's stamps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_ros.images import FrameError, frame_of
from vljepa_ros.recordings.bag import open_reader, readable
from vljepa_ros.recordings.errors import RecordingError, require_rosbags
from vljepa_ros.recordings.messages import COMPRESSED, EVENT, IMAGE_TYPES, STATE, Messages
from vljepa_ros.recordings.output import appearing
from vljepa_ros.recordings.story import Seen, Told, jpeg_of, node_of, seen_of, told_of

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Reader

VERSIONS = ">=0.41,<0.42"
TIMELINE = "stamp"
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How Rust tells the system's error number."""


def write_rrd(
    source: Path, path: Path, *, node: str = "", topic: str = "", force: bool = False
) -> Counter[str]:
    """Write states and events of one node and the frames beside them; it appears when complete.

    Args:
        node: whose; empty where the recording holds those of one node only.
        topic: whose images; empty = of every image topic.

    Returns:
        How many `states`, `events` and `frames` were written.

    Raises:
        RecordingError: the source cannot be read or holds no states, the file is there already or
            cannot be written, or package rerun-sdk is missing.
    """
    require_rosbags()
    rerun = _require_rerun()
    with open_reader(source) as reader:
        wanted = _wanted(reader, source, node_of(source, node, reader), topic)
        with appearing(path, force=force) as partial:
            partial.touch()  # tells of a folder that cannot be written to
            log = _Log(rerun, partial, source.name)
            with readable(source):
                _read(reader, wanted, log)
            log.close()
    return log.counts


def _require_rerun() -> Any:
    """Package `rerun`, with all that is used of it."""
    try:
        import rerun
        from rerun.blueprint import StateTimelineView  # noqa: F401
    except ImportError as error:
        raise RecordingError(
            f"this needs the package rerun-sdk ({error}); pip install 'rerun-sdk{VERSIONS}'"
        ) from error
    return rerun


def _wanted(reader: Reader, source: Path, node: str, topic: str) -> list[Connection]:
    ours = [c for c in reader.connections if c.msgtype in (STATE, EVENT)]
    cameras = [c for c in reader.connections if c.msgtype in IMAGE_TYPES]
    cameras = [c for c in cameras if topic in ("", c.topic)]
    if topic and not cameras:
        raise RecordingError(f"{source} has no image topic {topic}")
    return [c for c in ours if c.topic.rpartition("/")[0] == node] + cameras


def _read(reader: Reader, wanted: list[Connection], log: _Log) -> None:
    messages = Messages()
    for connection, _, data in reader.messages(wanted):
        if connection.msgtype in IMAGE_TYPES:
            try:
                message = messages.read(connection.msgtype, data)
                frame = frame_of(message, compressed=connection.msgtype == COMPRESSED)
            except FrameError:  # perception could not see it either
                continue
            log.frame(connection.topic, frame.stamp_ns, jpeg_of(frame.image_HWC))
            continue
        message = messages.store.deserialize_cdr(data, connection.msgtype)
        if connection.msgtype == STATE:
            log.state(message.camera, seen_of(message))
        else:
            log.event(message.camera, told_of(message))


class _Log:
    """What is written, under entities of its own for each camera."""

    def __init__(self, rerun: Any, path: Path, name: str) -> None:
        self.counts: Counter[str] = Counter(states=0, events=0, frames=0)
        self._rerun = rerun
        self._stream = rerun.RecordingStream("vljepa_ros", send_properties=False)
        self._stream.set_log_time_enabled(False)
        self._stream.set_log_tick_enabled(False)
        if not self._stream.is_enabled():
            raise RecordingError("Rerun is switched off; unset the environment variable RERUN")
        with _room():
            self._stream.save(path, default_blueprint=_blueprint())
        self._stream.send_recording_name(name)

    def close(self) -> None:
        with _room():
            self._stream.flush()
        self._stream.disconnect()

    def frame(self, topic: str, stamp_ns: int, jpeg: bytes) -> None:
        picture = self._rerun.EncodedImage(contents=jpeg, media_type="image/jpeg")
        self._log(stamp_ns, ["frames", topic.strip("/")], picture)
        self.counts["frames"] += 1

    def state(self, camera: str, seen: Seen) -> None:
        scores = {"score": seen.change_score, "threshold": seen.change_threshold}
        for name, value in scores.items():
            self._log(seen.stamp_ns, ["change", camera, name], self._rerun.Scalars(value))
        for label, probability in seen.labels:
            self._log(seen.stamp_ns, ["labels", camera, label], self._rerun.Scalars(probability))
        self.counts["states"] += 1

    def event(self, camera: str, told: Told) -> None:
        caption = told.caption or f"(state {told.state_id}, no caption)"
        self._log(told.stamp_ns, ["states", camera], self._rerun.StateChange(state=caption))
        line = f"{caption} [{told.reason}, change score {told.change_score:.2f}]"
        self._log(told.stamp_ns, ["captions", camera], self._rerun.TextLog(line, level="INFO"))
        self.counts["events"] += 1

    def _log(self, stamp_ns: int, entity: list[str], what: Any) -> None:
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))
        self._stream.log(self._rerun.new_entity_path(entity), what, strict=True)


@contextmanager
def _room() -> Iterator[None]:
    """How Rerun says that a file cannot be written, as everybody else says it."""
    try:
        yield
    except RuntimeError as error:
        number = _OS_ERROR.search(str(error))
        raise OSError(int(number[1]) if number else 0, str(error)) from error


def _blueprint() -> Any:
    from rerun import blueprint

    return blueprint.Blueprint(
        blueprint.Horizontal(
            blueprint.Vertical(
                blueprint.Spatial2DView(origin="/frames", name="what the camera saw"),
                blueprint.TextLogView(origin="/captions", name="captions"),
            ),
            blueprint.Vertical(
                blueprint.StateTimelineView(origin="/states", name="states"),
                blueprint.TimeSeriesView(origin="/change", name="change score, threshold"),
                blueprint.TimeSeriesView(origin="/labels", name="labels"),
            ),
        ),
        blueprint.TimePanel(timeline=TIMELINE),
    )
