"""What every learner of the comparison can do.

Shapes: B rows, T tubelets, N tokens, D token width, L query tokens, M text tokens, E embedding
width, C candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.evaluate.choices import Item
from training.parallel import Stage
from vljepa_ros.model.engine import Tokens

Scores = npt.NDArray[np.float64]
"""One number a candidate (C,), the higher the better; NaN all through: no answer."""

TOKEN_DROPOUT = 0.1
"""Of visual tokens, for every learner: they are the same in every pass."""
ASKED_AT_ONCE = 64


class Learner(Stage, Protocol):
    """Something to train by the one loop, and then to ask."""

    def speaks(self, query: str) -> bool:
        """Whether it has free captions for such a query."""
        ...

    def parameters(self) -> dict[str, int]:
        """Trained parameters of each part, the token table apart (as the paper counts)."""
        ...

    def scores(self, clips: Sequence[Tokens], items: Sequence[Item]) -> Iterator[Scores]:
        """Its scores of each item's candidates, in their order."""
        ...

    def captions(self, clips: Sequence[Tokens], queries: Sequence[str]) -> list[str]:
        """Its own words, one query a clip, where it `speaks`."""
        ...


def chunks(
    clips: Sequence[Tokens], texts: Sequence[str], device: str
) -> Iterator[tuple[Tensor, Sequence[str]]]:
    """Tokens (B, T, N, D) of some clips at a time, and the texts that go with them."""
    for at in range(0, len(clips), ASKED_AT_ONCE):
        some = slice(at, at + ASKED_AT_ONCE)
        yield torch.stack(list(clips[some])).to(device), texts[some]


def target_tokens(batch: dict[str, Tensor], eos_id: int) -> tuple[Tensor, Tensor]:
    """Ids and mask (B, M) of each row's target text, EOS at its end."""
    row_B = batch["target_row_B"]
    ids_BM, mask_BM = batch["text_ids_BL"][row_B], batch["text_mask_BL"][row_B]
    length_B = mask_BM.sum(dim=1)
    longest = int(length_B.max())
    ids_BM = torch.nn.functional.pad(ids_BM[:, :longest], (0, 1))
    mask_BM = torch.nn.functional.pad(mask_BM[:, :longest], (0, 1))
    rows = torch.arange(len(row_B), device=row_B.device)
    ids_BM[rows, length_B] = eos_id
    mask_BM[rows, length_B] = 1
    return ids_BM, mask_BM
