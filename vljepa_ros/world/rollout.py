"""Imagining sequences of actions, shared beginnings once, towards a goal.

Depth by depth; after each depth only the beginnings that come closest to the goal go on, if so
wanted. What an action predicts is the scene from which the next one is imagined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import torch

from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.types import EmbeddingE

BATCH_ACTIONS = 64
"""Most actions imagined at once: what one step delays perception by."""

Beginning: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Ranked:
    """How one sequence ends."""

    index: int
    """Which of the sequences."""
    goal_similarity: float
    uncertainty: float
    """Probability that a step on the way is predicted wrongly."""


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a beginning leads."""

    goal_similarity: float
    uncertainty: float


class Rollout:
    """One search. `step` until it returns False; the ranking so far may be read at any time."""

    def __init__(
        self,
        engine: Engine,
        tokens_BTND: Tokens,
        sequences: Sequence[Sequence[str]],
        goal_E: EmbeddingE,
        *,
        beam_width: int = 0,
        max_depth: int = 0,
    ) -> None:
        """See `WorldModel.rollout`."""
        if not sequences or not all(sequences):
            raise ValueError("there is no sequence, or an empty one; give each an action")
        if beam_width < 0 or max_depth < 0:
            raise ValueError("beam_width and max_depth must be 0 (all) or more")
        self._engine, self._goal_E, self._beam_width = engine, goal_E, beam_width
        depth = max_depth or max(map(len, sequences))
        self._sequences = [tuple(sequence)[:depth] for sequence in sequences]
        self._places: dict[Beginning, _Place] = {(): _Place(-1.0, 0.0)}
        # Scenes are large: only those from which the next depth starts, and those it reaches.
        self._clips_BTND: dict[Beginning, Tokens] = {(): tokens_BTND}
        self._depth = 0
        self._alive = set(range(len(sequences)))
        self._waiting: list[Beginning] = []
        self._next_depth()

    @property
    def evaluated(self) -> int:
        """Sequences whose end has been imagined."""
        return sum(sequence in self._places for sequence in self._sequences)

    def step(self) -> bool:
        """Imagine one batch of actions; True while there is more to do.

        Raises:
            TextError: an action that is no usable text.
            EngineError: the model was not trained for this.
        """
        if not self._waiting:
            return False
        batch = list(islice(self._waiting, BATCH_ACTIONS))
        self._imagine(batch)
        self._waiting = self._waiting[len(batch) :]
        if not self._waiting:
            self._prune()
            self._next_depth()
        return bool(self._waiting)

    def best(self) -> Ranked | None:
        """The best sequence so far; None before the first."""
        ranked = self.ranked()
        return ranked[0] if ranked else None

    def ranked(self) -> list[Ranked]:
        """Best first; sequences that were not followed to their end come after all that were."""
        found = [(self._reached(i), i) for i in range(len(self._sequences))]
        rows = [
            (len(b) == len(self._sequences[i]), Ranked(i, p.goal_similarity, p.uncertainty))
            for b, i in found
            if b
            for p in [self._places[b]]
        ]
        rows.sort(key=lambda row: (not row[0], -row[1].goal_similarity, row[1].index))
        return [ranked for _, ranked in rows]

    def _reached(self, index: int) -> Beginning:
        """The longest beginning of a sequence that has been imagined."""
        sequence = self._sequences[index]
        lengths = range(len(sequence), 0, -1)
        return next((sequence[:n] for n in lengths if sequence[:n] in self._places), ())

    def _imagine(self, beginnings: Sequence[Beginning]) -> None:
        parents = [self._places[b[:-1]] for b in beginnings]
        clips_BTND = torch.cat([self._clips_BTND[b[:-1]] for b in beginnings])
        imagined = self._engine.imagine(clips_BTND, [b[-1] for b in beginnings])
        near_B = imagined.embeddings @ self._goal_E
        for row, (beginning, parent) in enumerate(zip(beginnings, parents, strict=True)):
            sure = (1 - parent.uncertainty) * (1 - float(imagined.uncertainty[row]))
            self._places[beginning] = _Place(float(near_B[row]), 1 - sure)
            self._clips_BTND[beginning] = imagined.tokens[row : row + 1]

    def _prune(self) -> None:
        """Keep the sequences whose beginning is among the best."""
        if not self._beam_width:
            return
        reached = {self._sequences[i][: self._depth] for i in self._alive}
        best = sorted(reached, key=lambda b: -self._places[b].goal_similarity)
        kept = set(best[: self._beam_width])
        self._alive = {i for i in self._alive if self._sequences[i][: self._depth] in kept}

    def _next_depth(self) -> None:
        """Line up the distinct beginnings that are one action longer, in the order given."""
        self._depth += 1
        self._alive = {i for i in self._alive if len(self._sequences[i]) >= self._depth}
        longer = (self._sequences[i][: self._depth] for i in sorted(self._alive))
        self._waiting = list(dict.fromkeys(longer))
        parents = {beginning[:-1] for beginning in self._waiting}
        self._clips_BTND = {b: clip for b, clip in self._clips_BTND.items() if b in parents}
