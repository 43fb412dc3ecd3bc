"""Questions to a state, seen or imagined: what would happen, what happened, what is true.

An action is asked as a query. What comes back is the embedding of the sentence that says what will
have happened, and the visual tokens of the scene after it: of those, every query can be asked again
(docs/decisions/0051). The X-encoder does not run here.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.model.imagined import Imagined
from vljepa_ros.types import EmbeddingE, LabelScore
from vljepa_ros.world.rollout import Rollout


@dataclass(frozen=True, eq=False)
class Transition:
    """What one action would lead to."""

    embedding_E: EmbeddingE
    """What will have happened."""
    caption: str
    """The same in words; empty unless asked for."""
    goal_similarity: float
    """Cosine to the goal; NaN without one."""
    change: float
    """1 - cosine between the scene before and after, under the model's fixed scene query [0..2]."""
    uncertainty: float
    """Probability that the prediction is wrong [0..1]."""
    out_of_distribution: bool
    """State or action are unlike anything the model was trained on."""


class WorldModel:
    """One engine's view of what could be. Any thread may call."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._scene: tuple[Tokens, EmbeddingE] | None = None

    def check_action(self, text: str) -> None:
        """Raise TextError if this text cannot be asked as an action."""
        self._engine.check_query(text)

    def transitions(
        self,
        tokens_BTND: Tokens,
        actions: Sequence[str],
        *,
        goal_E: EmbeddingE | None = None,
        captions: bool = False,
    ) -> list[Transition]:
        """What each action would lead to from one state (1, T', N, D), in the order asked.

        All actions run in one batch.

        Raises:
            TextError: an action that is no usable text.
            EngineError: the model was not trained for this, or there is no action.
        """
        work = self.transitions_by_pass(tokens_BTND, actions, goal_E=goal_E, captions=captions)
        while True:
            try:
                next(work)
            except StopIteration as end:
                found: list[Transition] = end.value
                return found

    def transitions_by_pass(
        self,
        tokens_BTND: Tokens,
        actions: Sequence[str],
        *,
        goal_E: EmbeddingE | None = None,
        captions: bool = False,
    ) -> Generator[None, None, list[Transition]]:
        """The same in two parts: yields after the pass that imagines."""
        imagined = self._engine.imagine(tokens_BTND, actions)
        yield
        texts = self._engine.decode(imagined.embeddings) if captions else [""] * len(actions)
        nearness = [math.nan] * len(actions)
        if goal_E is not None:
            nearness = [float(s) for s in imagined.embeddings @ goal_E]
        rows = zip(
            imagined.embeddings,
            texts,
            nearness,
            self._changes(tokens_BTND, imagined),
            imagined.uncertainty,
            imagined.out_of_distribution,
            strict=True,
        )
        return [
            Transition(embedding_E, text, near, float(change), float(doubt), bool(strange))
            for embedding_E, text, near, change, doubt, strange in rows
        ]

    def _changes(self, tokens_BTND: Tokens, imagined: Imagined) -> npt.NDArray[np.float32]:
        """How far each imagined scene lies from the one before.

        What the scene query answers before is kept for the next request about the same state.
        """
        known = self._scene
        if known is None or known[0] is not tokens_BTND:
            before_E = self._engine.predict(tokens_BTND, [self._engine.config.scene_query])[0]
            known = self._scene = (tokens_BTND, before_E)
        changes: npt.NDArray[np.float32] = (
            1.0 - self._engine.scenes_after(imagined, known[1]) @ known[1]
        )
        return np.clip(changes, 0.0, 2.0)

    def explain(
        self, initial_BTND: Tokens, final_BTND: Tokens, actions: Sequence[str]
    ) -> tuple[LabelScore, ...]:
        """How well each action explains what lies between two states; labels are the actions.

        The paper's world prediction (section 4): both states joined to one clip, its embedding
        against those of the actions.

        Raises:
            TextError: an action that is no usable text.
            EngineError: the model was not trained for this.
        """
        joined_BTND = self._engine.join_states(initial_BTND, final_BTND)
        return self.answer(joined_BTND, self._engine.config.inverse_query, actions)

    def answer(
        self, tokens_BTND: Tokens, question: str, candidates: Sequence[str]
    ) -> tuple[LabelScore, ...]:
        """How well each candidate answers a question to a state; "" = describes its scene.

        Raises:
            TextError: a question or candidate that is no usable text.
        """
        query = question or self._engine.config.scene_query
        embedding_E = self._engine.predict(tokens_BTND, [query])[0]
        return self._engine.score_labels(embedding_E, candidates)

    def rollout(
        self,
        tokens_BTND: Tokens,
        sequences: Sequence[Sequence[str]],
        goal_E: EmbeddingE,
        *,
        beam_width: int = 0,
        max_depth: int = 0,
    ) -> Rollout:
        """Sequences of actions from one state towards a goal, imagined batch by batch.

        Args:
            beam_width: beginnings of sequences that are kept after each step; 0 = all.
            max_depth: most steps that are imagined of each sequence; 0 = all.

        Raises:
            ValueError: no sequences, an empty one, or a negative number.
        """
        return Rollout(
            self._engine,
            tokens_BTND,
            sequences,
            goal_E,
            beam_width=beam_width,
            max_depth=max_depth,
        )
