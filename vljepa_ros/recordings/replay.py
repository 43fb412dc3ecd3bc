"""A recording perceived again: what the node would have published, written beside the originals.

The same perceiver with the same settings as the node's, so states and events equal those of a
node that keeps up with the camera. Stamps and frame_id are the camera's; what is written has the
log time of the image it was made from, and `latency` is the time from stamp to log time: the
model's own time is no part of a recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vljepa_ros.config import PerceptionConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings import messages as types
from vljepa_ros.recordings.bag import open_bag
from vljepa_ros.recordings.diagnose import is_bag
from vljepa_ros.recordings.errors import RecordingError, require_rosbags
from vljepa_ros.recordings.messages import Messages
from vljepa_ros.recordings.moments import Recording
from vljepa_ros.recordings.output import Output, open_output, partial_of
from vljepa_ros.recordings.seer import Seer, Tally
from vljepa_ros.recordings.video import DEFAULT_START_NS, Video
from vljepa_ros.types import Step

DEFAULT_NODE = "/vljepa/perception"
Progress = Callable[[int, int], None]
"""Told after each image: how many were seen, and of how many (0 = not known)."""


@dataclass(frozen=True)
class ReplayOptions:
    """How recordings are replayed."""

    topic: str = ""
    """Whose images are perceived; empty where a recording has one such topic only."""
    node: str = DEFAULT_NODE
    """Name of the node under which states and events are written."""
    originals: bool = True
    """Copy what was recorded, unchanged, beside them."""
    force: bool = False
    """Replace an output that is there."""
    video_start_ns: int = DEFAULT_START_NS
    """Stamp of the first picture of a video, which has none of its own."""


@dataclass(frozen=True)
class Replayed:
    """What one replay did."""

    source: Path
    output: Path
    topic: str
    tally: Tally
    notes: tuple[str, ...] = field(default=())
    """What whoever replays should know, a sentence each."""


def replay(
    source: Path,
    output: Path,
    engine: Engine,
    config: PerceptionConfig,
    options: ReplayOptions | None = None,
    progress: Progress = lambda seen, of: None,
) -> Replayed:
    """Perceive one recording and write states and events to an MCAP file.

    The output appears when it is complete; until then it lies in `<output>.partial`, and what a
    killed replay left there is begun anew. The source is never changed.

    Raises:
        RecordingError: the source cannot be read, holds nothing to perceive, or the output cannot
            be written.
        TextError: the configured query or a label cannot be read as text.
    """
    options = options or ReplayOptions()
    require_rosbags()
    _keep_apart(source, output)
    messages = Messages()
    with (
        open_recording(source, options.topic, messages, options.video_start_ns) as recording,
        open_output(output, force=options.force) as written,
    ):
        scribe = _Scribe(messages, written, engine, options.node)
        if options.originals:
            scribe.check_topics(source, recording.topics)
        seer = Seer(engine, config)
        _play(recording, seer, scribe, written, progress, originals=options.originals)
        check_seen(seer, recording, source)
        notes = notes_of(seer, recording, config)
        return Replayed(source, output, recording.topic, seer.tally, notes)


@contextmanager
def open_recording(
    source: Path, topic: str, messages: Messages, video_start_ns: int = DEFAULT_START_NS
) -> Iterator[Recording]:
    """Open a bag or a video.

    Raises:
        RecordingError: it is neither, or has no image topic of that name.
    """
    if not source.exists():
        raise RecordingError(f"{source} does not exist")
    if is_bag(source):
        with open_bag(source, topic, messages) as bag:
            yield bag
    else:
        yield Video(source, topic, messages, video_start_ns)


def _play(
    recording: Recording,
    seer: Seer,
    scribe: _Scribe,
    written: Output,
    progress: Progress,
    *,
    originals: bool,
) -> None:
    for moment in recording.moments(originals=originals):
        for log_ns, step in seer.until(moment.log_ns):
            scribe.write(log_ns, step, seer.tally)
        if originals:
            written.write(moment.channel, moment.log_ns, moment.message())
        if moment.frame is not None:
            for log_ns, step in seer.see(moment):
                scribe.write(log_ns, step, seer.tally)
            progress(seer.tally.images, recording.images)
    for log_ns, step in seer.finish():
        scribe.write(log_ns, step, seer.tally)


class _Scribe:
    """Writes states and events under the node's topics."""

    def __init__(self, messages: Messages, written: Output, engine: Engine, node: str) -> None:
        self._messages = messages
        self._written = written
        self._engine = engine
        self._informed = False
        self._state, self._event, self._info = (
            messages.channel(f"{node}/{name}", type_name, types.qos(depth, latched=latched))
            for name, type_name, depth, latched in (
                ("semantic_state", types.STATE, 1, False),
                ("semantic_event", types.EVENT, 10, True),
                ("embedding_info", types.INFO, 1, True),
            )
        )

    def check_topics(self, source: Path, topics: frozenset[str]) -> None:
        """
        Raises:
            RecordingError: the originals have a topic that is to be written.
        """
        for channel in (self._state, self._event, self._info):
            if channel.topic in topics:
                raise RecordingError(
                    f"{source} holds {channel.topic} already; give --node another name, or "
                    "--without-originals"
                )

    def write(self, log_ns: int, step: Step, tally: Tally) -> None:
        space_id = self._engine.space_id
        if not self._informed:
            self._written.write(
                self._info, log_ns, self._messages.info(self._engine, now_ns=log_ns)
            )
            self._informed = True
        state = self._messages.state(
            step.state, space_id=space_id, dropped_frames=tally.gave_way, now_ns=log_ns
        )
        self._written.write(self._state, log_ns, state)
        if step.event is not None:
            event = self._messages.event(step.event, space_id=space_id, now_ns=log_ns)
            self._written.write(self._event, log_ns, event)


def _keep_apart(source: Path, output: Path) -> None:
    original, written = source.resolve(), output.resolve()
    for path in (written, partial_of(written)):
        if original == path or (original.is_dir() and original in path.parents):
            raise RecordingError(f"{output} lies in the recording {source}: write elsewhere")


def check_seen(seer: Seer, recording: Recording, source: Path) -> None:
    """
    Raises:
        RecordingError: no image made a state.
    """
    if not seer.tally.states:
        why = "; ".join(seer.tally.notes()) or "there is none"
        raise RecordingError(f"no image of {recording.topic} in {source} can be used: {why}")


def notes_of(seer: Seer, recording: Recording, config: PerceptionConfig) -> tuple[str, ...]:
    """What whoever perceives a recording should know, a sentence each."""
    notes = [*recording.notes, *seer.tally.notes()]
    if config.cameras:
        notes.append(
            f"parameter cameras is not heeded: of a recording one camera is perceived at a time, "
            f"here {recording.topic} as camera {config.camera!r}; choose with --topic, name with "
            "parameter camera"
        )
    if len(recording.formats) > 1:
        counts = ", ".join(f"{name} ({n})" for name, n in recording.formats.most_common())
        notes.append(f"{recording.topic} mixes encodings; each image was read as it says: {counts}")
    return tuple(notes)
