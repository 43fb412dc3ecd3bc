"""Selective decoding, online and causal: speak when the meaning has moved, and has settled.

Three vectors are enough:

* *spoken*: the embedding at the last published event, what listeners believe now;
* *recent*: a short running average of the embedding (time constant `average_s`), because one noisy
  step is not a change;
* the new embedding itself; its distance to *recent* is the step's *unrest*.

Distances are 1 − cosine. The score is the distance of recent to spoken. When it rises above the
threshold a change is *pending*; it is dropped again if the score falls below hysteresis ×
threshold, and published once the unrest is small beside the distance moved (the stream has settled
at a new meaning), or after `patience_s` (a stale caption is wrong anyway). The published embedding
becomes *spoken*. A word said too early therefore leaves the settled meaning away from *spoken*: the
score rises again, and the next event corrects it.

The threshold adapts: it never lies below `noise_factor` times the stream's own noise. Noise is how
far steps lie from the mean of their state, over the calmer part of the last NOISE_WINDOW_S, so that
a still but noisy stream is silent and a lively one keeps its threshold.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_ros.config import SelectiveConfig
from vljepa_ros.types import EmbeddingE, EventReason

NOISE_WINDOW_S = 10.0
"""Long beside a change of meaning, short beside a change of lighting."""
NOISE_SAMPLES = 64
"""Kept of a window; a faster stream is thinned out."""
CALMER_SHARE = 0.3
"""Quantile that counts as noise: in a busy stream more than half of the steps are under way."""


@dataclass(frozen=True)
class Decision:
    """What the segmenter says of one step."""

    reason: EventReason | None
    """Why to publish an event now; None = nothing to say."""
    score: float
    """Distance of the recent meaning from the spoken one, 0…1."""
    threshold: float
    """Score that counts as a change at present, 0…1."""

    @property
    def changed(self) -> bool:
        """A new state opens with this step."""
        return self.reason is not None and self.reason is not EventReason.HEARTBEAT


class Segmenter:
    """Change detection on one stream of unit embeddings. O(E) a step; single-threaded."""

    def __init__(self, config: SelectiveConfig) -> None:
        self.config = config
        """May be replaced at any time; the next step uses it."""
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next step is the first."""
        self._opening: EventReason | None = EventReason.FIRST
        self._noise = _NoiseFloor()
        self._pending_since_ns: int | None = None

    def request(self) -> None:
        """Let the next step open a state: what came before is of another query."""
        if self._opening is None:
            self.reset()
            self._opening = EventReason.REQUEST

    def step(self, stamp_ns: int, embedding_E: EmbeddingE) -> Decision:
        """Judge one step. Stamps rise strictly between resets.

        Args:
            stamp_ns: stamp of the step's newest frame.
            embedding_E: the step's embedding, unit norm.
        """
        if self._opening is not None:
            opening, self._opening = self._opening, None
            self._speak(stamp_ns, embedding_E)
            self._last_ns = stamp_ns
            return Decision(opening, 0.0, self._threshold())
        elapsed_s = (stamp_ns - self._last_ns) / 1e9
        self._last_ns = stamp_ns
        unrest = _distance(embedding_E, self._recent_E)
        keep = math.exp(-elapsed_s / self.config.average_s) if self.config.average_s > 0 else 0.0
        self._recent_E *= keep
        self._recent_E += (1.0 - keep) * embedding_E
        score = _distance(self._recent_E, self._spoken_E)
        threshold = self._threshold()
        reason = self._reason(stamp_ns, score, threshold, unrest)
        self._noise.add(stamp_ns, embedding_E)
        if reason is not None:
            self._speak(stamp_ns, embedding_E)
        return Decision(reason, score, threshold)

    def _threshold(self) -> float:
        return min(max(self.config.threshold, self.config.noise_factor * self._noise.level), 1.0)

    def _reason(
        self, stamp_ns: int, score: float, threshold: float, unrest: float
    ) -> EventReason | None:
        config = self.config
        if score > threshold and self._pending_since_ns is None:
            self._pending_since_ns = stamp_ns
        elif score < config.hysteresis * threshold:
            self._pending_since_ns = None
        silent_s = (stamp_ns - self._spoken_ns) / 1e9
        if self._pending_since_ns is not None and silent_s >= config.min_interval_s:
            pending_s = (stamp_ns - self._pending_since_ns) / 1e9
            if unrest <= config.settle * score or pending_s >= config.patience_s:
                return EventReason.CHANGE
        if 0.0 < config.max_interval_s <= silent_s:
            return EventReason.HEARTBEAT
        return None

    def _speak(self, stamp_ns: int, embedding_E: EmbeddingE) -> None:
        self._spoken_E = embedding_E.astype(np.float64)
        self._recent_E = self._spoken_E.copy()
        self._noise.start_state(embedding_E)
        self._spoken_ns = stamp_ns
        self._pending_since_ns = None


class _NoiseFloor:
    """How far steps lie from the mean of their state, where the stream is calm."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, float]] = deque(maxlen=NOISE_SAMPLES)
        self.level = 0.0

    def start_state(self, embedding_E: EmbeddingE) -> None:
        self._sum_E = embedding_E.astype(np.float64)

    def add(self, stamp_ns: int, embedding_E: EmbeddingE) -> None:
        window_ns = int(NOISE_WINDOW_S * 1e9)
        if not self._samples or (stamp_ns - self._samples[-1][0]) * NOISE_SAMPLES >= window_ns:
            self._samples.append((stamp_ns, _distance(embedding_E, self._sum_E)))
            while self._samples[0][0] < stamp_ns - window_ns:
                self._samples.popleft()
            ordered = sorted(distance for _, distance in self._samples)
            self.level = ordered[int(CALMER_SHARE * len(ordered))]
        self._sum_E += embedding_E


def _distance(one_E: npt.NDArray[np.floating], other_E: npt.NDArray[np.floating]) -> float:
    """1 − cosine, limited to 0…1."""
    norms = math.sqrt(float(one_E @ one_E) * float(other_E @ other_E))
    return min(max(1.0 - float(one_E @ other_E) / norms, 0.0), 1.0) if norms > 0.0 else 1.0
