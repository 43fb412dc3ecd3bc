"""What a benchmark asks, whatever format it was published in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class VideoSegment:
    """A stretch of a video file on its own time stamps, or an image."""

    path: Path
    start_s: float | None = None
    """None = its beginning."""
    end_s: float | None = None
    """None = its end."""


@dataclass(frozen=True)
class Labelled:
    segment: VideoSegment
    label: int
    """Row of the benchmark's labels."""


@dataclass(frozen=True)
class Classification:
    """Which of all labels does a clip show?"""

    query: str
    labels: tuple[str, ...]
    """The candidates, the same for every clip."""
    items: tuple[Labelled, ...]
    missing: tuple[str, ...] = ()
    """Videos that the annotations name and the folder does not hold."""


@dataclass(frozen=True)
class Captioned:
    segment: VideoSegment
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Retrieval:
    """Which of all clips does a text describe, and the other way round?"""

    query: str
    items: tuple[Captioned, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    segment: VideoSegment
    query: str
    candidates: tuple[str, ...]
    answer: int
    """Row of the true candidate."""
    kind: str = ""
    """Type of question, where the benchmark has any."""


@dataclass(frozen=True)
class Questions:
    """Which of its own candidates answers a question to a clip?"""

    items: tuple[Question, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """Two states of a video and clips of actions, of which one led from the first to the last."""

    path: Path
    initial_s: float
    final_s: float
    candidates: tuple[VideoSegment, ...]
    answer: int
    source: str
    """Data set that it was taken from."""


@dataclass(frozen=True)
class WorldPrediction:
    items: tuple[Change, ...]
    clip_query: str
    """Asked of each candidate; the model's own `inverse_query` is asked of the states."""
    missing: tuple[str, ...] = ()


Benchmark: TypeAlias = Classification | Retrieval | Questions | WorldPrediction
