"""The segmenter with the words of its last event: of each embedding, whether to speak, and what.

All that a perceiver decides after the model has seen: embeddings that were kept can be judged again
under other thresholds, without the images.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vljepa_ros.config import SelectiveConfig
from vljepa_ros.stream.segmenter import Decision, Segmenter, Words
from vljepa_ros.types import EmbeddingE

Embeddings = npt.NDArray[np.float32]
"""(n, E), unit norm."""


class Decoder(Protocol):
    """Embeddings to words; the engine is one."""

    @property
    def has_decoder(self) -> bool:
        """Whether embeddings can be turned into text."""

    def decode(self, embeddings: Embeddings) -> list[str]:
        """A text for each; "" where there are no words."""

    def caption_log_probability(self, text: str, embeddings: Embeddings) -> npt.NDArray[np.float64]:
        """How probable a text is for each; asked only where there is a decoder."""

    def clarity(self, embeddings: Embeddings) -> npt.NDArray[np.float32]:
        """How probable the text would be that `decode` finds for each (n,), 0..1."""


class Speaker:
    """One stream of unit embeddings, judged step by step; single-threaded."""

    def __init__(self, decoder: Decoder, config: SelectiveConfig) -> None:
        self._decoder = decoder
        self._segmenter = Segmenter(config)
        self._spoken = ("", 0.0)
        """Caption of the last event and its log probability when it was decoded."""

    def set_config(self, config: SelectiveConfig) -> None:
        """Other thresholds from the next step on; the state goes on."""
        self._segmenter.config = config

    def reset(self) -> None:
        """Forget the stream: the next step is the first."""
        self._segmenter.reset()

    def request(self) -> None:
        """Let the next step open a state: what came before is of another query."""
        self._segmenter.request()

    def judge(self, stamp_ns: int, embedding_E: EmbeddingE, scene_novelty: float) -> Decision:
        """Judge one step. Stamps [ns] rise strictly between resets.

        Whoever is told to speak finds the words and tells them by `say`.
        """
        return self._segmenter.step(stamp_ns, embedding_E, self._words(embedding_E, scene_novelty))

    def say(self, caption: str, embedding_E: EmbeddingE) -> None:
        """Remember the words of an event, decoded from the step just judged."""
        if self._decoder.has_decoder:
            self._spoken = caption, self._log_probability(caption, embedding_E)

    def step(
        self, stamp_ns: int, embedding_E: EmbeddingE, scene_novelty: float
    ) -> tuple[Decision, str]:
        """Judge one step and find its words.

        Returns:
            The decision, and the caption where there is something to say ("" without Y-decoder).
        """
        decision = self.judge(stamp_ns, embedding_E, scene_novelty)
        if decision.reason is None:
            return decision, ""
        caption = self._decoder.decode(embedding_E[None])[0]
        self.say(caption, embedding_E)
        return decision, caption

    def _words(self, embedding_E: EmbeddingE, scene_novelty: float) -> Words | None:
        if not self._decoder.has_decoder:
            return None
        caption, when_spoken = self._spoken
        now = partial(self._log_probability, caption, embedding_E)
        return Words(when_spoken, now, partial(self._clarity, embedding_E), scene_novelty)

    def _clarity(self, embedding_E: EmbeddingE) -> float:
        return float(self._decoder.clarity(embedding_E[None])[0])

    def _log_probability(self, caption: str, embedding_E: EmbeddingE) -> float:
        return float(self._decoder.caption_log_probability(caption, embedding_E[None])[0])
