"""The same items in wordings that training never uses: how a planner might put it instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from training.evaluate.choices import Item
from training.tabletop import language, questions

HELDOUT = "heldout_wording"
Reword = Callable[[Item], Item]


def rewording(split: str, seed: int) -> Reword:
    """What an item of this split is asked as: anew in the split of new wordings, else as it is."""
    if split != HELDOUT:
        return lambda item: item
    rng = np.random.default_rng([seed, 45])

    def reword(item: Item) -> Item:
        candidates = tuple(_worded(text, rng) for text in item.candidates)
        return replace(item, query=_query(item.query, rng), candidates=candidates)

    return reword


def _query(text: str, rng: np.random.Generator) -> str:
    if questions.read(text) is not None:
        return questions.heldout(text, rng)
    return _worded(text, rng)


def _worded(text: str, rng: np.random.Generator) -> str:
    """Captions and instructions anew; the rest (yes, a colour, a label) has no other wording."""
    meaning = language.parse(text)
    if meaning is None or meaning.kind not in ("action", "instruction"):
        return text
    return language.caption(meaning, rng, HELDOUT)
