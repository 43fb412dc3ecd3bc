"""The best that words can do: a model trained on questions and candidates without any picture.

It reads the query, the actions before it and all candidates of an item as words and pairs of
words, and learns which candidate is right until it learns no more. Objects are put as
the parts they play (the one that the query names, the one that the candidates name most …), so
that few examples suffice to see what the wording gives away.

Shapes: U distinct texts, L features of a text, R items, C candidates, W width.
"""

from __future__ import annotations

import copy
import re
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
from training.tabletop.names import ObjectName
from training.tabletop.templates import WORD_COLOURS, WORD_SHAPES

WIDTH = 48
HIDDEN = 128
STEPS = 3000
CHECK_EVERY = 100
BATCH_ITEMS = 128
PATIENCE = 300
"""Steps without progress on streams of its own after which the training ends."""
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


def in_roles(item: Item) -> Item:
    """The item with every "red cube" as "named1 cube" or "other2 cube".

    `named` are those of the query and the actions before it, in their order; the others are
    numbered by how often the candidates name them.
    """
    asked = [_parts(item.earlier), _parts(item.query)]
    named = list(dict.fromkeys(name for parts in asked for name in _names(parts)))
    counts = Counter(name for text in item.candidates for name in _names(_parts(text)))
    others = sorted((n for n in counts if n not in named), key=lambda n: (-counts[n], n))
    roles = {name: f"named{i} {name.shape}" for i, name in enumerate(named, start=1)}
    roles |= {name: f"other{i} {name.shape}" for i, name in enumerate(others, start=1)}

    def told(text: str) -> str:
        return " ".join(p if isinstance(p, str) else roles[p] for p in _parts(text))

    candidates = tuple(told(text) for text in item.candidates)
    return Item(item.kind, told(item.query), candidates, item.answer, told(item.earlier))


def _names(parts: Sequence[str | ObjectName]) -> list[ObjectName]:
    return [part for part in parts if isinstance(part, ObjectName)]


def _parts(text: str) -> list[str | ObjectName]:
    """Words; two that name an object together are one part."""
    words = re.findall(r"[a-z]+", text.lower())
    parts: list[str | ObjectName] = []
    for word in words:
        before = parts[-1] if parts else ""
        if isinstance(before, str) and before in WORD_COLOURS and word in WORD_SHAPES:
            parts[-1] = ObjectName(WORD_COLOURS[before], WORD_SHAPES[word])
        else:
            parts.append(word)
    return parts


class TextOnly:
    """A scorer of candidates from words alone."""

    def __init__(
        self,
        fitted_on: Sequence[Item],
        checked_on: Sequence[Item],
        seed: int = 0,
        steps: int = STEPS,
    ) -> None:
        """Fit it.

        Args:
            checked_on: items of other streams, which say when to stop: items of one stream share
                scenes, and a model that has learnt those by heart would look good on them.

        Raises:
            ValueError: nothing to fit on or to check on.
        """
        if not fitted_on or not checked_on:
            raise ValueError("a text-only model needs items to fit on and others to check on")
        fitted_on, checked_on = _all_in_roles(fitted_on), _all_in_roles(checked_on)
        self._vocabulary = _vocabulary(fitted_on)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._network = _Scorer(len(self._vocabulary) + 1)
            self._fit(self._rows(fitted_on), self._rows(checked_on), steps)

    @torch.no_grad()
    def right(self, items: Sequence[Item]) -> Bools:
        """Whether each item's true candidate scores best (R,)."""
        if not items:
            return np.zeros(0, np.bool_)
        rows = self._rows(_all_in_roles(items))
        parts = torch.arange(len(rows)).split(BATCH_ITEMS)
        found_R = torch.cat([self._network(rows, part).argmax(1) for part in parts])
        right_R: Bools = (found_R == rows.answer_R).numpy()
        return right_R

    def _fit(self, rows: _Rows, check: _Rows, steps: int) -> None:
        optimiser = torch.optim.AdamW(self._network.parameters(), lr=3e-3, weight_decay=0.05)
        best, best_loss, best_at = copy.deepcopy(self._network.state_dict()), float("inf"), 0
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = 3e-3 * (1 - step / steps)
            some = torch.randint(len(rows), (BATCH_ITEMS,))
            loss = F.cross_entropy(self._network(rows, some), rows.answer_R[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
                loss_now = self._loss(check)
                if loss_now < best_loss:
                    best = copy.deepcopy(self._network.state_dict())
                    best_loss, best_at = loss_now, step
                if step - best_at >= PATIENCE:
                    break
        self._network.load_state_dict(best)
        self._network.eval()

    @torch.no_grad()
    def _loss(self, rows: _Rows) -> float:
        self._network.eval()
        parts = torch.arange(len(rows)).split(BATCH_ITEMS)
        logits_RC = torch.cat([self._network(rows, part) for part in parts])
        self._network.train()
        return float(F.cross_entropy(logits_RC, rows.answer_R))

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
            nn.Linear(7 * WIDTH, HIDDEN), nn.GELU(), nn.Dropout(0.3), nn.Linear(HIDDEN, 1)
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


def _all_in_roles(items: Sequence[Item]) -> list[Item]:
    return [in_roles(item) for item in items]


def _vocabulary(items: Sequence[Item]) -> dict[str, int]:
    seen: Counter[str] = Counter()
    for item in items:
        for text in (item.query, item.earlier, *item.candidates):
            seen.update(features(text))
    kept = sorted(feature for feature, count in seen.items() if count >= FEWEST_SEEN)
    return {feature: index for index, feature in enumerate(kept, start=1)}
