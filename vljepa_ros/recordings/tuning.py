"""Which threshold makes perception speak as often as is wanted, on recordings of one's own scene.

A recording is seen once (`see`). The speaker of the node's perceiver then judges the embeddings
again for each threshold: what it says equals a replay at that threshold, without the images.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Embeddings, Engine
from vljepa_ros.recordings.errors import RecordingError, require_rosbags
from vljepa_ros.recordings.messages import Messages
from vljepa_ros.recordings.replay import (
    Progress,
    ReplayOptions,
    check_seen,
    notes_of,
    open_recording,
)
from vljepa_ros.recordings.seer import Seer
from vljepa_ros.stream.clip_buffer import MAX_GAP_S
from vljepa_ros.stream.segmenter import Decision
from vljepa_ros.stream.speaker import Speaker
from vljepa_ros.types import EventReason, Step

WORDS, DISTANCE = "threshold", "distance_threshold"
PARAMETERS = (WORDS, DISTANCE)
"""Of `SelectiveConfig`: the one where words decide, the one where they do not."""
GRID = (
    0.01,
    0.02,
    0.03,
    0.05,
    0.07,
    *(round(0.05 * n, 2) for n in range(2, 20)),
    0.97,
    0.99,
    0.999,
    0.9999,
)
HALVINGS = 6
"""Of the step of the grid within which the rate passes the wanted one."""
DIGITS = 4
"""Thresholds are tried to so many decimals."""


@dataclass(frozen=True, eq=False)
class Watched:
    """What perception knew of one recording, step by step."""

    source: Path
    topic: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...]

    @property
    def length_s(self) -> float:
        """How long the camera was watched [s]: silences in which it was off do not count."""
        stamps_ns = np.array([step.state.stamp_ns for step in self.steps], np.int64)
        apart_s = np.diff(stamps_ns) / 1e9
        return float(apart_s[(apart_s > 0.0) & (apart_s <= MAX_GAP_S)].sum())


@dataclass(frozen=True)
class Point:
    """What one threshold does. The event that each stream begins with does not count."""

    threshold: float
    changes: int
    heartbeats: int
    length_s: float

    @property
    def events_per_minute(self) -> float:
        return 60.0 * (self.changes + self.heartbeats) / self.length_s


@dataclass(frozen=True)
class Tuned:
    """The curve and the place on it that comes nearest to what is wanted."""

    parameter: str
    """Name in `SelectiveConfig`."""
    by_words: float
    """Share of the steps in which words decided, at the settings that were given."""
    wanted_per_minute: float
    present: Point
    """The threshold that was given."""
    chosen: Point
    """Of several equally near ones the one nearest to the present."""
    points: tuple[Point, ...]
    """By threshold, ascending."""

    @property
    def in_reach(self) -> bool:
        """Some thresholds give fewer events than wanted, or as many, and some more."""
        rates = [point.events_per_minute for point in self.points]
        return min(rates) <= self.wanted_per_minute <= max(rates)


class Recaller:
    """The engine's words, each found once however often a stream is judged again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._texts: dict[bytes, str] = {}
        self._log_probabilities: dict[tuple[str, bytes], float] = {}

    @property
    def has_decoder(self) -> bool:
        return self._engine.has_decoder

    def decode(self, embeddings: Embeddings) -> list[str]:
        """A text for the one embedding (1, E): as the perceiver asks, so to the same bit."""
        key = _digest(embeddings)
        if key not in self._texts:
            [self._texts[key]] = self._engine.decode(embeddings)
        return [self._texts[key]]

    def caption_log_probability(self, text: str, embeddings: Embeddings) -> npt.NDArray[np.float64]:
        """Of a text under the one embedding (1, E)."""
        key = text, _digest(embeddings)
        if key not in self._log_probabilities:
            [self._log_probabilities[key]] = self._engine.caption_log_probability(text, embeddings)
        return np.array([self._log_probabilities[key]])

    def clarity(self, embeddings: Embeddings) -> npt.NDArray[np.float32]:
        """As the engine says; it costs next to nothing."""
        return self._engine.clarity(embeddings)


def _digest(embeddings: Embeddings) -> bytes:
    """Short, since there may be one for each caption and step."""
    return hashlib.blake2b(embeddings.tobytes(), digest_size=16).digest()


def see(
    source: Path,
    engine: Engine,
    config: PerceptionConfig,
    options: ReplayOptions | None = None,
    progress: Progress = lambda seen, of: None,
) -> Watched:
    """Perceive one recording and keep its steps in memory, an embedding each.

    Args:
        options: `topic` and `video_start_ns` of it.

    Raises:
        RecordingError: it cannot be read or holds nothing to perceive.
        TextError: the configured query or a label cannot be read as text.
    """
    options = options or ReplayOptions()
    require_rosbags()
    steps: list[Step] = []
    with open_recording(source, options.topic, Messages(), options.video_start_ns) as recording:
        seer = Seer(engine, config)
        for moment in recording.moments(originals=False):
            steps += [step for _, step in seer.see(moment)]
            progress(seer.tally.images, recording.images)
        steps += [step for _, step in seer.finish()]
        check_seen(seer, recording, source)
        return Watched(source, recording.topic, tuple(steps), notes_of(seer, recording, config))


def judge(watched: Watched, recaller: Recaller, config: SelectiveConfig) -> list[Decision]:
    """What the node would have decided of each step under other settings."""
    speaker = Speaker(recaller, config)
    decisions = []
    for step in watched.steps:
        if step.event is not None and step.event.reason is EventReason.FIRST:
            speaker.reset()  # the recording began, or its stamps jumped back
        state = step.state
        decisions.append(speaker.step(state.stamp_ns, state.embedding_E, state.scene_novelty)[0])
    return decisions


def tune(
    watched: Sequence[Watched],
    recaller: Recaller,
    config: SelectiveConfig,
    events_per_minute: float,
    *,
    parameter: str = "",
    progress: Progress = lambda seen, of: None,
) -> Tuned:
    """Find the threshold that makes so many events a minute over all recordings.

    Args:
        config: the other settings, and the threshold to compare with.
        parameter: of PARAMETERS; empty = the one that decides in most steps of these recordings.
        progress: told after each threshold.

    Raises:
        RecordingError: the recordings are so short that not one event is wanted in them.
    """
    length_s = sum(each.length_s for each in watched)
    if length_s * events_per_minute < 60.0:
        raise RecordingError(
            f"{length_s:.1f} s of recording are too short to tell {events_per_minute:g} events a "
            f"minute from none: record {60.0 / events_per_minute:.0f} s at the very least, better "
            "ten times that"
        )
    given = [decision for each in watched for decision in judge(each, recaller, config)]
    by_words = [d.by_words for d in given if d.reason is not EventReason.FIRST]
    share = sum(by_words) / len(by_words)
    parameter = parameter or (WORDS if share >= 0.5 else DISTANCE)

    def point(threshold: float) -> Point:
        at = dataclasses.replace(config, **{parameter: threshold})
        said = [decision.reason for each in watched for decision in judge(each, recaller, at)]
        changes, heartbeats = map(said.count, (EventReason.CHANGE, EventReason.HEARTBEAT))
        return Point(threshold, changes, heartbeats, length_s)

    present = getattr(config, parameter)
    points = _curve(point, present, events_per_minute, progress)
    chosen = min(
        points.values(),
        key=lambda p: (abs(p.events_per_minute - events_per_minute), abs(p.threshold - present)),
    )
    ascending = tuple(points[threshold] for threshold in sorted(points))
    return Tuned(parameter, share, events_per_minute, points[present], chosen, ascending)


def _curve(
    point: Callable[[float], Point], present: float, wanted: float, progress: Progress
) -> dict[float, Point]:
    """By threshold: the grid, and closer together where the rate passes the wanted one."""
    points: dict[float, Point] = {}
    grid = sorted({*GRID, present})
    for threshold in grid:
        points[threshold] = point(threshold)
        progress(len(points), len(grid) + HALVINGS)
    for _ in range(HALVINGS):
        middle = _middle(points, present, wanted)
        if middle is None:
            break
        points[middle] = point(middle)
        progress(len(points), len(grid) + HALVINGS)
    return points


def _middle(points: dict[float, Point], present: float, wanted: float) -> float | None:
    """Between two neighbours, of which one speaks too often and one too seldom.

    Of several such places the one nearest to the present threshold; None = it gets no nearer.
    """
    excess = {t: points[t].events_per_minute - wanted for t in sorted(points)}
    half_an_event = 30.0 / points[present].length_s
    if min(map(abs, excess.values())) <= half_an_event:
        return None
    thresholds = list(excess)
    middles = {
        round((low + high) / 2, DIGITS)
        for low, high in itertools.pairwise(thresholds)
        if excess[low] * excess[high] < 0.0
    }
    return min(middles - points.keys(), key=lambda t: abs(t - present), default=None)


def label_scores(watched: Sequence[Watched]) -> dict[str, npt.NDArray[np.float64]]:
    """Each label's similarity and probability in every state, (S, 2)."""
    scores: dict[str, list[tuple[float, float]]] = {}
    for each in watched:
        for step in each.steps:
            for score in step.state.labels:
                scores.setdefault(score.label, []).append((score.similarity, score.probability))
    return {label: np.array(values) for label, values in scores.items()}
