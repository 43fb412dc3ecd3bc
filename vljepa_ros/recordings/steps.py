"""States and events of a recording as perception made them, embeddings included.

Shapes: E embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_ros.images import FrameError
from vljepa_ros.recordings.bag import open_reader, readable
from vljepa_ros.recordings.errors import RecordingError, require_rosbags
from vljepa_ros.recordings.messages import EVENT, STATE, Messages
from vljepa_ros.recordings.story import node_of, nodes_in, ns_of
from vljepa_ros.types import EventReason, LabelScore, SemanticEvent, SemanticState, Step

if TYPE_CHECKING:
    from rosbags.rosbag2 import Reader

Told = tuple[str, Step]
"""The space_id of its embedding, and the step."""


def read_steps(source: Path, *, node: str = "") -> dict[str, list[Told]]:
    """All steps by node, in the order of their stamps.

    An event whose state was not recorded makes a step of its own.

    Args:
        node: whose; empty = of all nodes of the recording.

    Raises:
        RecordingError: it cannot be read, or holds no states of that node.
    """
    require_rosbags()
    messages = Messages()
    with open_reader(source) as reader, readable(source):
        nodes = [node_of(source, node, reader)] if node else nodes_in(source, reader)
        return {name: _steps(source, reader, messages, name) for name in nodes}


def _steps(source: Path, reader: Reader, messages: Messages, node: str) -> list[Told]:
    states = {_key(m): m for m in _read(source, reader, messages, f"{node}/semantic_state", STATE)}
    events = {_key(m): m for m in _read(source, reader, messages, f"{node}/semantic_event", EVENT)}
    steps = []
    for key in sorted(states.keys() | events.keys()):
        told = _event(events[key]) if key in events else None
        seen = _state(states[key]) if key in states else _implied(_event(events[key]))
        message = states[key] if key in states else events[key]
        space_id = str(message.embedding.space_id)
        steps.append((space_id, Step(seen, told)))
    return steps


def _key(message: Any) -> tuple[int, str, int]:
    return ns_of(message.header.stamp), str(message.camera), int(message.state_id)


def _read(
    source: Path, reader: Reader, messages: Messages, topic: str, type_name: str
) -> Iterator[Any]:
    ours = [c for c in reader.connections if (c.topic, c.msgtype) == (topic, type_name)]
    try:
        for _, _, data in reader.messages(ours) if ours else ():
            yield messages.read(type_name, data)
    except FrameError as error:
        raise RecordingError(
            f"{source}: {topic} was recorded by another version of vljepa_ros ({error}); replay "
            "the recording again"
        ) from error


# --- messages to nouns -------------------------------------------------------------------------


def _state(message: Any) -> SemanticState:
    return SemanticState(
        stamp_ns=ns_of(message.header.stamp),
        frame_id=message.header.frame_id,
        camera=message.camera,
        clip_start_ns=ns_of(message.clip_start),
        query=message.query,
        embedding_E=np.asarray(message.embedding.data, np.float32),
        labels=_labels(message),
        state_id=int(message.state_id),
        state_since_ns=ns_of(message.state_since),
        changed=bool(message.changed),
        change_score=float(message.change_score),
        change_threshold=float(message.change_threshold),
    )


def _event(message: Any) -> SemanticEvent:
    return SemanticEvent(
        stamp_ns=ns_of(message.header.stamp),
        frame_id=message.header.frame_id,
        camera=message.camera,
        state_id=int(message.state_id),
        previous_state_id=int(message.previous_state_id),
        reason=EventReason(message.reason),
        query=message.query,
        caption=message.caption,
        caption_score=float(message.caption_score),
        labels=_labels(message),
        embedding_E=np.asarray(message.embedding.data, np.float32),
        change_score=float(message.change_score),
    )


def _implied(event: SemanticEvent) -> SemanticState:
    """What the state of an event must have been, as far as the event tells."""
    return SemanticState(
        stamp_ns=event.stamp_ns,
        frame_id=event.frame_id,
        camera=event.camera,
        clip_start_ns=event.stamp_ns,
        query=event.query,
        embedding_E=event.embedding_E,
        labels=event.labels,
        state_id=event.state_id,
        state_since_ns=event.stamp_ns,
        changed=event.reason is EventReason.CHANGE,
        change_score=event.change_score,
        change_threshold=float("nan"),
    )


def _labels(message: Any) -> tuple[LabelScore, ...]:
    return tuple(
        LabelScore(score.label, float(score.similarity), float(score.probability))
        for score in message.labels
    )
