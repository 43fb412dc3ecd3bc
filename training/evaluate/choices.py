"""Questions with candidates, asked of clips in batches and answered by the nearest candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from training.evaluate.measures import Bools
from training.tabletop.transitions import Transition
from vljepa_ros.model.engine import Embeddings, Engine, Tokens
from vljepa_ros.model.imagined import Imagined

BATCH = 64


@dataclass(frozen=True)
class Item:
    """One question in words, as a model without eyes gets it."""

    kind: str
    """Items of one kind weigh as much as those of another in a mean over kinds."""
    query: str
    candidates: tuple[str, ...]
    answer: int
    """Index of the true candidate."""
    earlier: str = ""
    """Actions imagined before the query."""


def item_of(asked: Transition, kind: str, query: str, earlier: str = "") -> Item:
    return Item(kind, query, asked.candidates, asked.answer, earlier)


def predicted(engine: Engine, clips: Sequence[Tokens], queries: Sequence[str]) -> Embeddings:
    """Embeddings (R, E) of one query a clip."""
    parts = [np.empty((0, engine.embedding_width), np.float32)]
    parts += [engine.predict(tokens, texts) for tokens, texts in _batches(clips, queries)]
    return np.concatenate(parts)


def imagined(engine: Engine, clips: Sequence[Tokens], actions: Sequence[str]) -> Iterator[Imagined]:
    """What one action a clip leads to, batch after batch: all tokens at once would fill memory."""
    for tokens_BTND, texts in _batches(clips, actions):
        yield engine.imagine(tokens_BTND, texts)


def imagined_embeddings(
    engine: Engine, clips: Sequence[Tokens], actions: Sequence[str]
) -> Embeddings:
    """(R, E)"""
    parts = [np.empty((0, engine.embedding_width), np.float32)]
    return np.concatenate([*parts, *(i.embeddings for i in imagined(engine, clips, actions))])


def _batches(
    clips: Sequence[Tokens], texts: Sequence[str]
) -> Iterator[tuple[Tokens, Sequence[str]]]:
    for at in range(0, len(clips), BATCH):
        yield torch.stack(list(clips[at : at + BATCH])), texts[at : at + BATCH]


def answered(engine: Engine, embeddings_RE: Embeddings, items: Sequence[Item]) -> Bools:
    """Whether the candidate nearest to each embedding is the true one (R,)."""
    texts = sorted({text for item in items for text in item.candidates}, key=len)
    row_of = {text: row for row, text in enumerate(texts)}
    texts_UE = engine.encode_texts(texts)
    right = [
        int((texts_UE[[row_of[text] for text in item.candidates]] @ embedding_E).argmax())
        == item.answer
        for item, embedding_E in zip(items, embeddings_RE, strict=True)
    ]
    return np.array(right, dtype=np.bool_)


def accuracy(right_R: Bools) -> float:
    """NaN of nothing."""
    return float(right_R.mean()) if len(right_R) else float("nan")


def by_kind(right_R: Bools, items: Sequence[Item]) -> dict[str, float]:
    """Accuracy of every kind, in alphabetical order."""
    kinds: npt.NDArray[np.str_] = np.array([item.kind for item in items], dtype=np.str_)
    return {str(kind): float(right_R[kinds == kind].mean()) for kind in np.unique(kinds)}


def macro(right_R: Bools, items: Sequence[Item]) -> float:
    """Mean of the kinds' accuracies; NaN of nothing."""
    return float(np.mean(list(by_kind(right_R, items).values()))) if items else float("nan")


def chance(items: Sequence[Item]) -> float:
    """What guessing reaches."""
    return float(np.mean([1 / len(item.candidates) for item in items])) if items else float("nan")
