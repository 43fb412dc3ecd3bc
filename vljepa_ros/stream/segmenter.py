"""Selective decoding, online and causal: speak when the last caption no longer holds.

The score says how wrong the last event's words have become:

* by words: *doubt*, the share of its probability that the last caption has lost under the new
  embedding. To read how probable given words are takes the Y-decoder one parallel pass; to find new
  words takes it one pass for each of them;
* by distance: 1 − cosine to the embedding of the last event. So it is for a model without a
  Y-decoder, and where the model does not trust its own words: when its captions had little
  probability already when they were decoded, or tell of scenes unlike any it was trained on.

When the score rises above its threshold a change is *pending*; it is dropped again if the score
falls below hysteresis × threshold, and published `patience_s` after the last step at which the
caption still held: a stream of few steps a second has no time to wait, one of many need not believe
a single step. A stream that has settled (the embedding's distance from the step before is small
beside that from the last event) is not waited for.

While an action begins, the old words are wrong and new ones would be a guess. *Clarity* says,
before any are looked for, how probable the new words would be; where that is little, a change stays
pending, for `unclear_s` at most. Words that were wrong all the same are corrected by the same rule:
they soon lose their probability too.

What the stream does by itself, standing still, is noise: how far steps lie from the mean of their
state, over the calmer part of the last NOISE_WINDOW_S. Within `noise_factor` times that of the last
event nothing has changed, and the Y-decoder is not asked.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
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
UNMOVED = 0.005
"""An embedding no further away than this says the same; the Y-decoder is not asked again."""

TRUST_S = 10.0
"""Time over which the probability of the spoken captions is averaged."""
STRANGE_NOVELTY = 1.5
"""Novelty of a scene of which no words are trusted: known streams reach 1.4, footage of a kitchen
starts at 1.77 (docs/decisions/0050)."""


@dataclass(frozen=True)
class Words:
    """How probable the Y-decoder finds the caption of the last event (log probabilities), and how
    probable it would find the next one."""

    when_spoken: float
    """Under the embedding from which it was decoded."""
    now: Callable[[], float]
    """Under the step's embedding; takes a pass of the Y-decoder."""
    clarity: Callable[[], float]
    """Probability [0..1] that the words to be found for the step's embedding would have."""
    scene_novelty: float = 0.0
    """How unlike those that the model was trained on the step's scene is."""


@dataclass(frozen=True)
class Decision:
    """What the segmenter says of one step."""

    reason: EventReason | None
    """Why to publish an event now; None = nothing to say."""
    score: float
    """How wrong the last caption has become, 0…1."""
    threshold: float
    """Score that counts as a change at present, 0…1."""
    by_words: bool
    """The score is doubt; else it is a distance."""

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
        self._spoken_E = self._newest_E = np.zeros(0)
        self._asked_E: EmbeddingE | None = None
        self._trust, self._trust_s = 0.0, 0.0
        self._noise = _NoiseFloor()
        self._pending_since_ns: int | None = None

    def request(self) -> None:
        """Let the next step open a state: what came before is of another query."""
        if self._opening is None:
            self.reset()
            self._opening = EventReason.REQUEST

    def step(self, stamp_ns: int, embedding_E: EmbeddingE, words: Words | None = None) -> Decision:
        """Judge one step. Stamps rise strictly between resets.

        Args:
            stamp_ns: stamp of the step's newest frame.
            embedding_E: the step's embedding, unit norm.
            words: those of the last event; None = the model has none. Not used at the first step.
        """
        if self._opening is not None:
            opening, self._opening = self._opening, None
            self._speak(stamp_ns, embedding_E)
            self._newest_ns = stamp_ns
            return Decision(opening, 0.0, self._threshold(words), words is not None)
        distance = _distance(embedding_E, self._spoken_E)
        words = self._trusted(stamp_ns, words)
        score = distance if words is None else self._doubt(embedding_E, distance, words)
        threshold = self._threshold(words)
        settled = _distance(embedding_E, self._newest_E) <= self.config.settle * distance
        reason = self._reason(stamp_ns, score, threshold, settled, words)
        self._noise.add(stamp_ns, embedding_E)
        self._newest_E, self._newest_ns = embedding_E.astype(np.float64), stamp_ns
        if reason is not None:
            self._speak(stamp_ns, embedding_E)
        return Decision(reason, score, threshold, words is not None)

    def _trusted(self, stamp_ns: int, words: Words | None) -> Words | None:
        """The words, if those of the last TRUST_S were probable enough to go by.

        Of unknown scenes none are: a Y-decoder can be sure of nonsense.
        """
        if words is None:
            return None
        elapsed_s = (stamp_ns - self._newest_ns) / 1e9
        self._trust_s = min(self._trust_s + elapsed_s, TRUST_S)
        share = min(elapsed_s / self._trust_s, 1.0)
        strange = words.scene_novelty > STRANGE_NOVELTY
        probability = 0.0 if strange else math.exp(min(words.when_spoken, 0.0))
        self._trust += share * (probability - self._trust)
        return words if self._trust >= self.config.trust else None

    def _doubt(self, embedding_E: EmbeddingE, distance: float, words: Words) -> float:
        if distance <= max(UNMOVED, self._own_motion):
            return 0.0
        if self._asked_E is None or _distance(embedding_E, self._asked_E) > UNMOVED:
            self._asked_E = embedding_E
            self._answer = 1.0 - math.exp(min(words.now() - words.when_spoken, 0.0))
        return self._answer

    @property
    def _own_motion(self) -> float:
        """Distance from the last event that the stream's noise explains."""
        return min(self.config.noise_factor * self._noise.level, 1.0)

    def _threshold(self, words: Words | None) -> float:
        if words is None:
            return max(self.config.distance_threshold, self._own_motion)
        return self.config.threshold

    def _reason(
        self, stamp_ns: int, score: float, threshold: float, settled: bool, words: Words | None
    ) -> EventReason | None:
        config = self.config
        if score > threshold and self._pending_since_ns is None:
            self._pending_since_ns = self._newest_ns
        elif score < config.hysteresis * threshold:
            self._pending_since_ns = None
        silent_s = (stamp_ns - self._spoken_ns) / 1e9
        if self._pending_since_ns is not None and silent_s >= config.min_interval_s:
            pending_s = (stamp_ns - self._pending_since_ns) / 1e9
            if (settled or pending_s >= config.patience_s) and self._is_clear(words, pending_s):
                return EventReason.CHANGE
        if 0.0 < config.max_interval_s <= silent_s:
            return EventReason.HEARTBEAT
        return None

    def _is_clear(self, words: Words | None, pending_s: float) -> bool:
        """Whether new words are worth finding now: likely right, or waited for long enough."""
        if words is None or pending_s >= self.config.unclear_s:
            return True
        return words.clarity() >= self.config.clarity

    def _speak(self, stamp_ns: int, embedding_E: EmbeddingE) -> None:
        self._spoken_E = self._newest_E = embedding_E.astype(np.float64)
        self._asked_E = None
        self._answer = 0.0
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
