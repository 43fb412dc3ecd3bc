"""What a request to the world state may hold: each bad one gets its code and the mend.

Nothing here runs the model or waits for it, so the executor's thread may call.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time

from vljepa_ros import msg
from vljepa_ros.fields import NS_PER_S
from vljepa_ros.model.text import TextError, check_text
from vljepa_ros.ros import conversions
from vljepa_ros.ros.requests import RequestError
from vljepa_ros.types import EmbeddingE

MAX_ITEMS = 512
"""Most actions, candidates, texts or embeddings of one request."""
MAX_SEQUENCES = 2048
MAX_DEPTH = 16
"""Most actions of one sequence."""
MAX_SECONDS = 86_400
"""A day: no age, deadline or action of a robot is longer."""
NORM_TOLERANCE = 1e-2
TEXT = "text"


@dataclass(frozen=True)
class Space:
    """Which embeddings and actions the model takes."""

    space_id: str
    dim: int
    action_types: tuple[str, ...]

    def embedding(self, message: msg.Embedding, name: str) -> EmbeddingE:
        """The embedding (E,), of unit norm.

        Raises:
            RequestError: SPACE_MISMATCH, DIM_MISMATCH, or no vector of unit norm.
        """
        if message.space_id != self.space_id:
            raise RequestError(
                msg.Status.SPACE_MISMATCH,
                f"{name} is of space {message.space_id!r}, this model's is {self.space_id!r}; take "
                "embeddings of this node, and again after its model was changed",
            )
        embedding_E = conversions.embedding_from_message(message)
        if len(embedding_E) != self.dim:
            raise RequestError(
                msg.Status.DIM_MISMATCH,
                f"{name} has {len(embedding_E)} values, this space {self.dim} (EmbeddingInfo.dim)",
            )
        norm = float(np.linalg.norm(embedding_E.astype(np.float64)))
        if not abs(norm - 1.0) <= NORM_TOLERANCE:  # NaN is no norm either
            raise _invalid(f"{name} has norm {norm:.3g}; embeddings have unit norm: normalise it")
        unit_E: EmbeddingE = (embedding_E / norm).astype(np.float32)
        return unit_E

    def goal(
        self,
        text: str,
        message: msg.Embedding,
        names: tuple[str, str] = ("goal_text", "goal_embedding"),
    ) -> str | EmbeddingE | None:
        """The goal as it was given, in words or as an embedding; None if it was not.

        Raises:
            RequestError: there are two goals, or one that cannot be used.
        """
        if text and len(message.data):
            raise _invalid(f"{' and '.join(names)} are both set; leave one of them empty")
        if text:
            return checked_text(text, names[0])
        return self.embedding(message, names[1]) if len(message.data) else None

    def actions(self, actions: Sequence[msg.CandidateAction], name: str = "actions") -> list[str]:
        """The texts of some actions.

        Raises:
            RequestError: UNSUPPORTED_ACTION, or an action that contradicts itself.
        """
        return [self._action(action, f"{name}[{at}]") for at, action in enumerate(actions)]

    def _action(self, action: msg.CandidateAction, name: str) -> str:
        if not self.action_types:
            raise RequestError(
                msg.Status.UNSUPPORTED_ACTION,
                "this model takes no actions: it was not trained to predict what they lead to; set "
                "model_path to one whose EmbeddingInfo.action_types is not empty",
            )
        if action.type not in self.action_types:
            raise RequestError(
                msg.Status.UNSUPPORTED_ACTION,
                f"{name} is of type {action.type!r}; use one of: {', '.join(self.action_types)}",
            )
        if len(action.values):
            raise _invalid(f"{name} has values, but type {TEXT!r} takes none; leave them empty")
        checked_length_ns(action.duration, f"{name}.duration")
        return checked_text(action.text, f"{name}.text")


def check_count(items: Sequence[Any], name: str, most: int = MAX_ITEMS) -> None:
    """
    Raises:
        RequestError: there is none, or more than one request may hold (TOO_MANY).
    """
    if not items:
        raise _invalid(f"{name} is empty; give at least one")
    if len(items) > most:
        raise RequestError(
            msg.Status.TOO_MANY,
            f"{name} holds {len(items)}, one request at most {most}; send several requests",
        )


def check_ids(ids: Iterable[str], name: str) -> None:
    """
    Raises:
        RequestError: an id stands for two; empty ones stand for nothing and may.
    """
    seen: set[str] = set()
    for id_ in ids:
        if id_ and id_ in seen:
            raise _invalid(f"id {id_!r} is given to two of {name}; give each its own, or none")
        seen.add(id_)


def checked_texts(texts: Sequence[str], name: str) -> list[str]:
    """
    Raises:
        RequestError: no texts, too many, or one that cannot be read.
    """
    check_count(texts, name)
    return [checked_text(text, f"{name}[{at}]") for at, text in enumerate(texts)]


def checked_text(text: str, name: str) -> str:
    """
    Raises:
        RequestError: a text that is empty, far too long, or no valid Unicode.
    """
    try:
        check_text(text)
    except TextError as error:
        raise _invalid(f"{name}: {error}") from error
    return text


def checked_length_ns(length: Duration, name: str) -> int:
    """
    Raises:
        RequestError: a length that is negative, no length, or longer than a day.
    """
    try:
        length_ns = conversions.length_ns(length)
    except ValueError as error:
        raise _invalid(f"{name}: {error}") from error
    if length_ns > MAX_SECONDS * NS_PER_S:
        raise _invalid(
            f"{name} is {length.sec} s, longer than a day; say at most {MAX_SECONDS} s, or 0"
        )
    return length_ns


def checked_range_ns(start: Time, end: Time) -> tuple[int, int]:
    """First and last stamp of a range; 0 = open.

    Raises:
        RequestError: a time that is none, or an end before the start.
    """
    times_ns = []
    for name, time in (("start", start), ("end", end)):
        if time.sec < 0 or time.nanosec >= NS_PER_S:
            raise _invalid(
                f"{name} is {time.sec} s and {time.nanosec} ns, which is no time; give ROS time, "
                "or 0 for an open range"
            )
        times_ns.append(time.sec * NS_PER_S + time.nanosec)
    start_ns, end_ns = times_ns
    if end_ns and end_ns < start_ns:
        raise _invalid("end lies before start; exchange them, or set one to 0")
    return start_ns, end_ns


def _invalid(sentence: str) -> RequestError:
    return RequestError(msg.Status.INVALID_REQUEST, sentence)
