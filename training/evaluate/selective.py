"""Selective decoding, measured strictly: what a set of decode times is worth on known streams.

Definitions (all by *publish* time, which is the time of the step that decodes; nothing is
backdated to a segment's middle and nothing is flushed at the end):

* quality: share of stream time in which the last published caption's meaning is the truth. Before
  the first decode nothing is published: wrong. A stale caption is wrong.
* uniform: every k-th step, averaged over all k phases.
* oracle: one decode per true change, at the earliest step of the segment whose caption is right. A
  change that is never captioned right gets none: knowing that, too, is the oracle's privilege.
* true event: a change of the truth after the stream's start.
* hit: the event's meaning is published between its onset and its end + 1 s.

An *idle gate* knows what idling looks like: at the steps that it takes for idle, "idle" is
published and no decode is needed. A stream with such steps marked is scored by the same functions;
its scores are another method's and stand apart.

Shapes: R streams, S steps, G true segments, K settings, D decodes, E embedding width. Meanings are
numbers, equal for equal meaning keys (`number_meanings`); UNPARSED and SILENT are never the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

UNPARSED = -1
SILENT = -2
"""Where a step publishes nothing."""
HIT_GRACE_S = 1.0


@dataclass(frozen=True, eq=False)
class StreamRecord:
    """One stream: what every step would say, and the truth."""

    times_s_S: Floats
    """Stamp of each step's newest frame, strictly rising."""
    embeddings_SE: npt.NDArray[np.float32]
    decoded_S: Ints
    """Meaning of the caption that each step decodes, or UNPARSED."""
    starts_s_G: Floats
    """Start of each true segment, strictly rising; the first not after the first step. Each
    segment lasts until the next one starts."""
    truth_G: Ints
    """Meaning of each true segment; neighbours differ."""
    end_s: float
    """End of the stream: of its last segment and of its last step."""
    pace: str = ""
    log_probability: Callable[[int, int], float] | None = None
    """(i, j): of the caption decoded at step i, under step j's embedding; None = no Y-decoder."""
    novelty_S: npt.NDArray[np.float32] | None = None
    """How unlike those that the model knows each step's scene is; None = not at all."""
    clarity_S: npt.NDArray[np.float32] | None = None
    """How probable each step's caption would be, unfound; None = not known."""
    gate_S: Bools | None = None
    """Steps that an idle gate publishes without a decode, as `decoded_S` says; None = no gate."""

    def __post_init__(self) -> None:
        steps, segments = len(self.times_s_S), len(self.starts_s_G)
        if not steps or len(self.embeddings_SE) != steps or len(self.decoded_S) != steps:
            raise ValueError("a stream needs a time, an embedding and a meaning for every step")
        if not segments or len(self.truth_G) != segments:
            raise ValueError("a stream needs a start and a meaning for every true segment")
        if np.any(np.diff(self.times_s_S) <= 0) or np.any(np.diff(self.starts_s_G) <= 0):
            raise ValueError("times of steps and starts of segments must rise strictly")
        if self.starts_s_G[0] > self.times_s_S[0] or self.end_s <= self.times_s_S[-1]:
            raise ValueError("the true segments must cover all steps")
        if np.any(np.diff(self.truth_G) == 0) or np.any(self.truth_G == UNPARSED):
            raise ValueError("neighbouring segments must differ in meaning, and each must have one")

    @property
    def duration_s(self) -> float:
        """Stream time: from the first step to the end."""
        return float(self.end_s - self.times_s_S[0])

    @property
    def events(self) -> int:
        """True events: changes after the stream's start."""
        return int(np.count_nonzero(self.starts_s_G > self.times_s_S[0]))

    @cached_property
    def right_SG(self) -> Bools:
        """Whether the caption of a step is the truth of a segment."""
        return np.equal(self.decoded_S[:, None], self.truth_G[None, :])

    @cached_property
    def segment_S(self) -> Ints:
        """The true segment in which each step lies."""
        return np.searchsorted(self.starts_s_G, self.times_s_S, side="right") - 1

    @property
    def gated_S(self) -> Bools:
        """The steps that need no decode; none without a gate."""
        return np.zeros(len(self.times_s_S), np.bool_) if self.gate_S is None else self.gate_S

    @cached_property
    def overlap_s_SG(self) -> Floats:
        """Seconds of each true segment that lie between a step and the next."""
        step_ends_S = np.append(self.times_s_S[1:], self.end_s)
        segment_ends_G = np.append(self.starts_s_G[1:], self.end_s)
        starts_SG = np.maximum(self.times_s_S[:, None], self.starts_s_G[None, :])
        ends_SG = np.minimum(step_ends_S[:, None], segment_ends_G[None, :])
        overlap_s_SG: Floats = np.maximum(ends_SG - starts_SG, 0.0)
        return overlap_s_SG

    def held_s_DS(self) -> Floats:
        """[d, i]: seconds between step i and the next in which the last published caption is true,
        if step d − 1 ≤ i was the last that was decoded; d = 0: none yet.
        """
        steps = np.arange(len(self.times_s_S))
        right_s_SS = self.right_SG.astype(np.float64) @ self.overlap_s_SG.T
        said_s_DS = np.concatenate([np.zeros((1, len(steps))), right_s_SS])
        gates_S = np.maximum.accumulate(np.where(self.gated_S, steps + 1, 0))
        shown_DS = np.maximum(np.arange(len(steps) + 1)[:, None], gates_S)
        held_s_DS: Floats = np.take_along_axis(said_s_DS, shown_DS, axis=0)
        return held_s_DS


@dataclass(frozen=True, eq=False)
class Curve:
    """Decodes against quality: one point per setting, kept per stream so that streams resample."""

    settings_K: Floats
    decodes_RK: Floats
    right_s_RK: Floats
    """Seconds in which the last published caption is true."""
    duration_s_R: Floats

    def pooled(self, weights_R: Floats | None = None) -> tuple[Floats, Floats]:
        """(decodes_K, quality_K) of all streams together, each counted `weights_R` times."""
        weights_R = np.ones(len(self.duration_s_R)) if weights_R is None else weights_R
        quality_K = weights_R @ self.right_s_RK / (weights_R @ self.duration_s_R)
        return weights_R @ self.decodes_RK, quality_K


def number_meanings(
    decoded: Sequence[Hashable | None], truth: Sequence[Hashable]
) -> tuple[Ints, Ints]:
    """Meaning keys as numbers: (decoded_S, truth_G). None = the caption did not parse."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(truth))}
    other = len(numbers)
    decoded_S = [UNPARSED if key is None else numbers.get(key, other) for key in decoded]
    return np.array(decoded_S, dtype=np.int64), np.array([numbers[key] for key in truth])


def said_seconds(stream: StreamRecord, said_S: Ints) -> float:
    """Seconds in which the last of the meanings `said_S` is true; a step may be SILENT."""
    steps = np.arange(len(said_S))
    last_S = np.maximum.accumulate(np.where(said_S != SILENT, steps, 0))
    right_SG = np.equal(said_S[last_S][:, None], stream.truth_G[None, :])
    return float(stream.overlap_s_SG[right_SG].sum())


def right_seconds(stream: StreamRecord, decodes_S: Bools) -> float:
    """Seconds in which the last caption published at `decodes_S`, or by a gate, is true."""
    said_S = np.where(decodes_S | stream.gated_S, stream.decoded_S, SILENT)
    return said_seconds(stream, said_S)


def decode_count(stream: StreamRecord, decodes_S: Bools) -> int:
    """How many decodes that takes: those that no gate saves."""
    return int(np.count_nonzero(decodes_S & ~stream.gated_S))


def uniform_curve(streams: Sequence[StreamRecord], max_stride: int = 400) -> Curve:
    """Decoding every k-th step for k = 1 … max_stride, each averaged over its k phases.

    Over all phases of a stride k every step decodes exactly once and is held for k steps, so the
    mean over phases is a sum along the diagonals of `held_s_DS`, divided by k.
    """
    strides_K = np.arange(1, max_stride + 1, dtype=np.float64)
    held_s_RK = np.zeros((len(streams), max_stride))
    for row, stream in enumerate(streams):
        held_s_DS = stream.held_s_DS()
        steps = np.arange(len(stream.times_s_S))
        for age in range(max_stride):
            held_s_RK[row, age] = held_s_DS[np.maximum(steps - age + 1, 0), steps].sum()
    decoded_R = np.array([np.count_nonzero(~stream.gated_S) for stream in streams])
    return Curve(
        settings_K=strides_K,
        decodes_RK=decoded_R[:, None] / strides_K,
        right_s_RK=np.cumsum(held_s_RK, axis=1) / strides_K,
        duration_s_R=np.array([stream.duration_s for stream in streams]),
    )


def decodes_at(decodes_K: Floats, quality_K: Floats, quality: float) -> float | None:
    """Fewest decodes at which a curve reaches `quality`, linear between neighbouring points.

    Points are neighbours in the order of their decodes. None where none reaches the quality.
    """
    order = np.argsort(decodes_K, kind="stable")
    decodes_K, quality_K = decodes_K[order], quality_K[order]
    reaching = np.flatnonzero(quality_K >= quality)
    if not reaching.size:
        return None
    at = int(reaching[0])
    if at == 0:
        return float(decodes_K[0])
    share = (quality - quality_K[at - 1]) / (quality_K[at] - quality_K[at - 1])
    return float(decodes_K[at - 1] + share * (decodes_K[at] - decodes_K[at - 1]))


def oracle_decodes(stream: StreamRecord) -> Bools:
    """Once per true segment, at its first step whose caption is right; none where none is."""
    decodes_S = np.zeros(len(stream.times_s_S), dtype=np.bool_)
    right_S = stream.right_SG[np.arange(len(decodes_S)), stream.segment_S]
    right_steps = np.flatnonzero(right_S)
    _, first = np.unique(stream.segment_S[right_steps], return_index=True)
    decodes_S[right_steps[first]] = True
    return decodes_S


def event_delays_s(stream: StreamRecord, decodes_S: Bools) -> Floats:
    """Seconds from each true event's onset to the first publication of its meaning.

    Inf where it is not published until the event's end + HIT_GRACE_S: not a hit.
    """
    decodes_S = decodes_S | stream.gated_S
    times_s = stream.times_s_S[decodes_S]
    said = stream.decoded_S[decodes_S]
    ends_s_G = np.append(stream.starts_s_G[1:], stream.end_s)
    delays_s = []
    for start_s, end_s, meaning in zip(stream.starts_s_G, ends_s_G, stream.truth_G, strict=True):
        if start_s <= stream.times_s_S[0]:
            continue
        in_time = (times_s >= start_s) & (times_s <= end_s + HIT_GRACE_S) & (said == meaning)
        delays_s.append(times_s[in_time][0] - start_s if in_time.any() else np.inf)
    return np.array(delays_s, dtype=np.float64)
