"""The best that words can do: a model trained on questions and candidates without any picture.

It reads the query, the actions before it and all candidates of an item as words and pairs of
words, and learns which candidate is right until it learns no more.

Shapes: U distinct texts, L features of a text, R items, C candidates, W width.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.evaluate.blind import features
from training.evaluate.choices import Item
from training.evaluate.measures import Bools

WIDTH = 48
HIDDEN = 128
STEPS = 1500
CHECK_EVERY = 100
BATCH_ITEMS = 128
HELD_SHARE = 0.15
"""Items by which the best moment of the training is chosen."""
FEWEST_SEEN = 3
"""Features seen less often are left out."""
PADDING = 0


@dataclass(frozen=True, eq=False)
class _Rows:
    """Items as rows of a table of distinct texts."""

    texts_UL: Tensor
    query_R: Tensor
    earlier_R: Tensor
    candidates_RC: Tensor
    there_RC: Tensor
    answer_R: Tensor

    def __len__(self) -> int:
        return len(self.answer_R)


class TextOnly:
    """A scorer of candidates from words alone."""

    def __init__(self, fitted_on: Sequence[Item], seed: int = 0, steps: int = STEPS) -> None:
        """Fit it.

        Raises:
            ValueError: too few items to hold some aside.
        """
        if len(fitted_on) < 10:
            raise ValueError(f"{len(fitted_on)} items; a text-only model needs 10 or more")
        self._vocabulary = _vocabulary(fitted_on)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._network = _Scorer(len(self._vocabulary) + 1)
            self._fit(fitted_on, steps)

    @torch.no_grad()
    def right(self, items: Sequence[Item]) -> Bools:
        """Whether each item's true candidate scores best (R,)."""
        if not items:
            return np.zeros(0, np.bool_)
        rows = self._rows(items)
        parts = torch.arange(len(rows)).split(BATCH_ITEMS)
        found_R = torch.cat([self._network(rows, part).argmax(1) for part in parts])
        right_R: Bools = (found_R == rows.answer_R).numpy()
        return right_R

    def _fit(self, items: Sequence[Item], steps: int) -> None:
        rows, order = self._rows(items), torch.randperm(len(items))
        held = max(1, round(len(items) * HELD_SHARE))
        aside, learnt = order[:held], order[held:]
        optimiser = torch.optim.AdamW(self._network.parameters(), lr=3e-3, weight_decay=0.02)
        best, best_loss = copy.deepcopy(self._network.state_dict()), float("inf")
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = 3e-3 * (1 - step / steps)
            some = learnt[torch.randint(len(learnt), (BATCH_ITEMS,))]
            loss = F.cross_entropy(self._network(rows, some), rows.answer_R[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
                held_loss = self._loss(rows, aside)
                if held_loss < best_loss:
                    best, best_loss = copy.deepcopy(self._network.state_dict()), held_loss
        self._network.load_state_dict(best)
        self._network.eval()

    @torch.no_grad()
    def _loss(self, rows: _Rows, some: Tensor) -> float:
        self._network.eval()
        loss = F.cross_entropy(self._network(rows, some), rows.answer_R[some])
        self._network.train()
        return float(loss)

    def _rows(self, items: Sequence[Item]) -> _Rows:
        texts: dict[str, int] = {}
        for item in items:
            for text in (item.query, item.earlier, *item.candidates):
                texts.setdefault(text, len(texts))
        known = [[self._vocabulary.get(f, PADDING) for f in features(text)] for text in texts]
        table = [torch.tensor([i for i in row if i] or [PADDING]) for row in known]
        most = max(len(item.candidates) for item in items)
        candidates_RC = torch.zeros(len(items), most, dtype=torch.long)
        there_RC = torch.zeros(len(items), most, dtype=torch.bool)
        for row, item in enumerate(items):
            count = len(item.candidates)
            candidates_RC[row, :count] = torch.tensor([texts[text] for text in item.candidates])
            there_RC[row, :count] = True
        return _Rows(
            nn.utils.rnn.pad_sequence(table, batch_first=True, padding_value=PADDING),
            torch.tensor([texts[item.query] for item in items]),
            torch.tensor([texts[item.earlier] for item in items]),
            candidates_RC,
            there_RC,
            torch.tensor([item.answer for item in items]),
        )


class _Scorer(nn.Module):
    """Each text is the mean of its features; a small network joins them."""

    def __init__(self, known: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(known, WIDTH, mode="mean", padding_idx=PADDING)
        self.layers = nn.Sequential(
            nn.Linear(7 * WIDTH, HIDDEN), nn.GELU(), nn.Dropout(0.1), nn.Linear(HIDDEN, 1)
        )

    def forward(self, rows: _Rows, some: Tensor) -> Tensor:
        """Logits (R, C) of the items `some`."""
        there_RC, candidates_RC = rows.there_RC[some], rows.candidates_RC[some]
        candidates_RCW = self.bag(rows.texts_UL[candidates_RC.flatten()])
        candidates_RCW = candidates_RCW.unflatten(0, candidates_RC.shape)
        weight_RC1 = there_RC[..., None].float()
        all_R1W = (candidates_RCW * weight_RC1).sum(1, True) / weight_RC1.sum(1, True)
        query_R1W = self.bag(rows.texts_UL[rows.query_R[some]])[:, None]
        earlier_R1W = self.bag(rows.texts_UL[rows.earlier_R[some]])[:, None]
        about = [query_R1W, earlier_R1W, all_R1W]
        joined = [part.expand_as(candidates_RCW) for part in about]
        # The scale of a product of two small numbers would hide it from the layers.
        joined += [candidates_RCW, *(part * candidates_RCW * WIDTH**0.5 for part in about)]
        logits_RC: Tensor = self.layers(torch.cat(joined, dim=-1))[..., 0]
        return logits_RC.masked_fill(~there_RC, float("-inf"))


def _vocabulary(items: Sequence[Item]) -> dict[str, int]:
    seen: Counter[str] = Counter()
    for item in items:
        for text in (item.query, item.earlier, *item.candidates):
            seen.update(features(text))
    kept = sorted(feature for feature, count in seen.items() if count >= FEWEST_SEEN)
    return {feature: index for index, feature in enumerate(kept, start=1)}
