"""The online segmenter against uniform decoding and the oracle, at equal quality.

How *equal quality* is read. The target is 95 % of the quality of decoding every step, of the same
streams. Uniform decoding is interpolated over its strides to that quality. The segmenter runs with
the setting tuned on other streams; reaches it the target, its decodes count as they are, with no
credit for quality above the target. Falls it short, its threshold alone is lowered until the target
is reached (interpolated along the sweep of thresholds), which can only cost decodes. Where no
threshold reaches the target, it is charged with decoding every step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from training.evaluate.selective import (
    Bools,
    Curve,
    Floats,
    StreamRecord,
    decode_count,
    decodes_at,
    event_delays_s,
    oracle_decodes,
    right_seconds,
    uniform_curve,
)
from vljepa_ros.config import SelectiveConfig
from vljepa_ros.stream.segmenter import Segmenter, Words
from vljepa_ros.types import EventReason

EQUAL_QUALITY = 0.95
THRESHOLDS = tuple(float(t) for t in np.geomspace(0.01, 0.95, 24).round(4))
RESAMPLES = 1000


@dataclass(frozen=True)
class SelectiveScores:
    """One pace, pooled over its streams. Decodes are per true event; FIRST and HEARTBEAT count."""

    streams: int
    events: int
    every_step_quality: float
    target_quality: float
    quality: float
    """Of the setting as tuned."""
    reached: bool
    """The tuned setting reaches the target without help."""
    tuned_decodes_per_event: float
    """Of the setting as tuned."""
    decodes_per_event: float
    """At equal quality."""
    uniform_decodes_per_event: float
    oracle_decodes_per_event: float
    oracle_quality: float
    selective_gain: float
    selective_gain_low: float
    selective_gain_high: float
    """95 % interval: streams are resampled, and all methods see the same ones."""
    saving: float
    """Uniform decodes ÷ ours."""
    hits: float
    """Share of true events hit, as tuned."""
    every_step_hits: float
    """Share of true events that decoding every step hits."""
    delay_s_p50: float
    """Of the hits, as tuned."""


def segment(
    stream: StreamRecord, config: SelectiveConfig
) -> tuple[Bools, list[EventReason | None]]:
    """Run the segmenter over a stream: where it decodes, and why.

    Steps that a gate speaks for are not shown to it; the first one after them opens a state.
    """
    segmenter = Segmenter(config)
    stamps_ns = np.round(stream.times_s_S * 1e9).astype(np.int64)
    reasons: list[EventReason | None] = []
    spoken = 0
    for step, stamp_ns in enumerate(stamps_ns):
        if stream.gated_S[step]:
            segmenter.request()
            reasons.append(None)
            continue
        words = _words(stream, spoken, step)
        reasons.append(segmenter.step(int(stamp_ns), stream.embeddings_SE[step], words).reason)
        spoken = spoken if reasons[-1] is None else step
    return np.array([reason is not None for reason in reasons]), reasons


def _words(stream: StreamRecord, spoken: int, step: int) -> Words | None:
    if stream.log_probability is None:
        return None
    when_spoken = stream.log_probability(spoken, spoken)
    novelty = 0.0 if stream.novelty_S is None else float(stream.novelty_S[step])
    clarity = 1.0 if stream.clarity_S is None else float(stream.clarity_S[step])
    now = partial(stream.log_probability, spoken, step)
    return Words(when_spoken, now, lambda: clarity, novelty)


def threshold_curve(
    streams: Sequence[StreamRecord],
    config: SelectiveConfig,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Curve:
    """The segmenter's curve over thresholds, all else as in `config`."""
    decodes_RK = np.zeros((len(streams), len(thresholds)))
    right_s_RK = np.zeros_like(decodes_RK)
    for row, stream in enumerate(streams):
        for column, threshold in enumerate(thresholds):
            at = dataclasses.replace(config, threshold=threshold, distance_threshold=threshold)
            decodes_S, _ = segment(stream, at)
            decodes_RK[row, column] = decode_count(stream, decodes_S)
            right_s_RK[row, column] = right_seconds(stream, decodes_S)
    durations_s_R = np.array([stream.duration_s for stream in streams])
    return Curve(np.array(thresholds), decodes_RK, right_s_RK, durations_s_R)


def score(
    streams: Sequence[StreamRecord], config: SelectiveConfig, *, seed: int = 0
) -> SelectiveScores:
    """Measure a tuned setting on streams that it was not tuned on; see the module's text.

    Raises:
        ValueError: no streams, or streams without a true event.
    """
    events_R = np.array([stream.events for stream in streams])
    if not streams or not events_R.all():
        raise ValueError("selective decoding is scored on streams with at least one true event")
    comparison = _Comparison(streams, config)
    weights_NR = resampled_weights(len(streams), seed)
    gains_N = np.array([comparison.at(weights_R).gain for weights_R in weights_NR])
    gains_N = gains_N[np.isfinite(gains_N)]
    low, high = np.percentile(gains_N, (2.5, 97.5)) if gains_N.size else (np.nan, np.nan)
    point = comparison.at(np.ones(len(streams)))
    delays_s = pooled_delays_s(streams, [segment(stream, config)[0] for stream in streams])
    hit = np.isfinite(delays_s)
    every_step = [np.ones(len(stream.times_s_S), dtype=np.bool_) for stream in streams]
    events = float(events_R.sum())
    return SelectiveScores(
        streams=len(streams),
        events=int(events),
        every_step_quality=point.every_step_quality,
        target_quality=point.target,
        quality=point.quality,
        reached=point.quality >= point.target,
        tuned_decodes_per_event=point.tuned / events,
        decodes_per_event=point.ours / events,
        uniform_decodes_per_event=point.uniform / events,
        oracle_decodes_per_event=point.oracle / events,
        oracle_quality=point.oracle_quality,
        selective_gain=point.gain,
        selective_gain_low=float(low),
        selective_gain_high=float(high),
        saving=point.uniform / point.ours,
        hits=float(hit.mean()),
        every_step_hits=float(np.isfinite(pooled_delays_s(streams, every_step)).mean()),
        delay_s_p50=float(np.median(delays_s[hit])) if hit.any() else float("nan"),
    )


def resampled_weights(streams: int, seed: int) -> Floats:
    """(RESAMPLES, R): how often each stream is drawn, for a bootstrap over streams."""
    rng = np.random.default_rng(seed)
    drawn_NR = rng.multinomial(streams, np.full(streams, 1 / streams), RESAMPLES)
    return drawn_NR.astype(np.float64)


def pooled_delays_s(streams: Sequence[StreamRecord], decodes: Sequence[Bools]) -> Floats:
    """Delays of all streams' true events, inf where missed; see `event_delays_s`."""
    pairs = zip(streams, decodes, strict=True)
    return np.concatenate([event_delays_s(stream, decodes_S) for stream, decodes_S in pairs])


def false_changes_per_hour(streams: Sequence[StreamRecord], config: SelectiveConfig) -> float:
    """CHANGE decisions an hour on streams in which nothing happens (still, noisy, compressed).

    Raises:
        ValueError: a stream has a true event.
    """
    if any(stream.events for stream in streams):
        raise ValueError("false changes are counted on streams without a true event")
    changes = sum(
        reason is EventReason.CHANGE for stream in streams for reason in segment(stream, config)[1]
    )
    return changes * 3600.0 / sum(stream.duration_s for stream in streams)


@dataclass(frozen=True)
class _Point:
    every_step_quality: float
    target: float
    quality: float
    tuned: float
    ours: float
    uniform: float
    oracle: float
    oracle_quality: float

    @property
    def gain(self) -> float:
        possible = self.uniform - self.oracle
        return (self.uniform - self.ours) / possible if possible > 0.0 else float("nan")


class _Comparison:
    """Per-stream tables, computed once, pooled under any weights of the streams."""

    def __init__(self, streams: Sequence[StreamRecord], config: SelectiveConfig) -> None:
        # Lowering the threshold is the only freedom left on streams not tuned on.
        by_distance = streams[0].log_probability is None
        tuned = config.distance_threshold if by_distance else config.threshold
        lower = [t for t in THRESHOLDS if t < tuned]
        self._uniform = uniform_curve(streams)
        self._ours = threshold_curve(streams, config, [*lower, tuned])
        oracle = [oracle_decodes(stream) for stream in streams]
        pairs = list(zip(streams, oracle, strict=True))
        self._oracle_R = np.array([decode_count(*pair) for pair in pairs], dtype=np.float64)
        self._oracle_s_R = np.array([right_seconds(*pair) for pair in pairs])

    def at(self, weights_R: Floats) -> _Point:
        uniform_K, uniform_quality_K = self._uniform.pooled(weights_R)
        ours_K, ours_quality_K = self._ours.pooled(weights_R)
        target = EQUAL_QUALITY * float(uniform_quality_K[0])
        ours: float | None = float(ours_K[-1])
        if ours_quality_K[-1] < target:
            ours = decodes_at(ours_K, ours_quality_K, target)
        duration_s = float(weights_R @ self._uniform.duration_s_R)
        return _Point(
            every_step_quality=float(uniform_quality_K[0]),
            target=target,
            quality=float(ours_quality_K[-1]),
            tuned=float(ours_K[-1]),
            ours=float(uniform_K[0]) if ours is None else ours,
            uniform=decodes_at(uniform_K, uniform_quality_K, target) or float(uniform_K[0]),
            oracle=float(weights_R @ self._oracle_R),
            oracle_quality=float(weights_R @ self._oracle_s_R) / duration_s,
        )
