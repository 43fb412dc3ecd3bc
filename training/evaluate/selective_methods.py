"""When to decode: the methods that are compared, each as a curve of decodes against quality.

* uniform, oracle: as defined in training/evaluate/selective.py. Allowed fewer decodes than it
  wants, the oracle makes those that are worth most; allowed more, it has no use for them.
* ward: the paper's. The whole stream is cut into a number of segments that is set beforehand, and
  each is decoded once, from its middle step or from the mean of its embeddings. Stamped at a
  segment's start or middle it says what nobody could know by then; stamped when *published*, at the
  first step after the segment, it could be known but for the choice of the cuts, which still need
  the stream's end. The last segment has no step after it, and is neither published nor counted.
* online: the segmenter over its thresholds (`threshold_curve`).

Each stream may use the same number of decodes per true event; that number is told to the oracle
and to Ward, not to the others. Shapes as in training/evaluate/selective.py; N segments of Ward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from training.evaluate.selective import (
    SILENT,
    Curve,
    Floats,
    Ints,
    StreamRecord,
    oracle_decodes,
    said_seconds,
)
from vljepa_ros.stream.ward import middles, ward_segments

Embeddings: TypeAlias = npt.NDArray[np.float32]
Speak: TypeAlias = Callable[[Embeddings], Ints]
"""Embeddings (N, E) to the meanings (N,) of their captions."""

PER_EVENT = tuple(np.geomspace(0.35, 6.0, 20).round(3).tolist())
"""Decodes per true event that are tried."""
SWEEP = (*np.geomspace(0.02, 0.9, 12).round(4).tolist(), 0.93, 0.95, 0.97, 0.98, 0.99)
"""Thresholds of the segmenter that are tried. Above, it would say "idle" once and nothing more,
which is right for as long as nothing moves: a trap, not a method (docs/decisions/0050)."""


class Stamp(Enum):
    """The moment of a Ward segment at which its caption counts as said."""

    START = "start"
    MIDDLE = "middle"
    PUBLISH = "publish"


def ward_curves(
    streams: Sequence[StreamRecord],
    speaks: Sequence[Speak] | None = None,
    per_event: Sequence[float] = PER_EVENT,
) -> dict[Stamp, Curve]:
    """Ward clustering over the number of its segments, stamped each way.

    Args:
        speaks: of each stream, what the mean embedding of a segment says; None = each segment is
            decoded from its middle step.
    """
    shape = len(streams), len(per_event)
    decodes = {stamp: np.zeros(shape) for stamp in Stamp}
    right_s = {stamp: np.zeros(shape) for stamp in Stamp}
    for row, stream in enumerate(streams):
        for column, rate in enumerate(per_event):
            segments = min(max(round(rate * stream.events), 1), len(stream.times_s_S))
            segment_S = ward_segments(stream.embeddings_SE, segments)
            if speaks is None:
                meaning_N = stream.decoded_S[middles(segment_S)]
            else:
                meaning_N = speaks[row](segment_means(stream.embeddings_SE, segment_S))
            for stamp in Stamp:
                said_S = ward_said(segment_S, meaning_N, stamp)
                decodes[stamp][row, column] = np.count_nonzero(said_S != SILENT)
                right_s[stamp][row, column] = said_seconds(stream, said_S)
    duration_s_R = np.array([stream.duration_s for stream in streams])
    return {
        stamp: Curve(np.array(per_event), decodes[stamp], right_s[stamp], duration_s_R)
        for stamp in Stamp
    }


def ward_said(segment_S: Ints, meaning_N: Ints, stamp: Stamp) -> Ints:
    """The meaning (S,) that each step publishes, if each segment is said once at `stamp`."""
    firsts_N = np.flatnonzero(np.diff(segment_S, prepend=-1))
    at_N = {
        Stamp.START: firsts_N,
        Stamp.MIDDLE: middles(segment_S),
        Stamp.PUBLISH: np.append(firsts_N[1:], len(segment_S)),
    }[stamp]
    said_S = np.full(len(segment_S) + 1, SILENT)
    said_S[at_N] = meaning_N
    return said_S[:-1]


def segment_means(embeddings_SE: Embeddings, segment_S: Ints) -> Embeddings:
    """The mean embedding (N, E) of each segment, unit norm."""
    firsts_N = np.flatnonzero(np.diff(segment_S, prepend=-1))
    sums_NE = np.add.reduceat(embeddings_SE, firsts_N, axis=0)
    means_NE: Embeddings = sums_NE / np.linalg.norm(sums_NE, axis=1, keepdims=True)
    return means_NE


def oracle_curve(streams: Sequence[StreamRecord], per_event: Sequence[float] = PER_EVENT) -> Curve:
    """The oracle over the number of decodes that it is allowed."""
    shape = len(streams), len(per_event)
    decodes_RK, right_s_RK = np.zeros(shape), np.zeros(shape)
    for row, stream in enumerate(streams):
        candidates = np.flatnonzero(oracle_decodes(stream) & ~stream.gated_S)
        right_s_C = most_right_seconds(stream, candidates)
        allowed_K = np.round(np.array(per_event) * stream.events).astype(np.int64)
        used_K = np.minimum(allowed_K, len(candidates))
        decodes_RK[row], right_s_RK[row] = used_K, right_s_C[used_K]
    durations_s_R = np.array([stream.duration_s for stream in streams])
    return Curve(np.array(per_event), decodes_RK, right_s_RK, durations_s_R)


def most_right_seconds(stream: StreamRecord, candidates: Ints) -> Floats:
    """[n]: seconds in which the last published caption is true, if at most n = 0 … C of the C
    candidate steps, rising, are decoded, and those chosen best.
    """
    steps = len(stream.times_s_S)
    held_s = stream.held_s_DS()[np.append(0, candidates + 1)]
    sums_s = np.concatenate([np.zeros((len(held_s), 1)), np.cumsum(held_s, axis=1)], axis=1)
    starts, ends = np.append(0, candidates), np.append(candidates, steps)
    # [d, c]: seconds that decode d is worth until candidate c, or the end, takes its place.
    worth_s = sums_s[:, ends] - sums_s[np.arange(len(starts)), starts][:, None]
    worth_s[1:][np.tri(len(candidates), len(ends), dtype=np.bool_)] = -np.inf
    best_s = worth_s[0]
    found = [best_s[-1]]
    for _ in candidates:
        best_s = np.maximum(best_s, np.max(best_s[:-1, None] + worth_s[1:], axis=0))
        found.append(best_s[-1])
    return np.array(found)
