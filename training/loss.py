"""The one training loss: bi-directional InfoNCE between predicted and target embeddings.

VL-JEPA (arXiv 2512.10942 §3) trains predictor and Y-encoder with InfoNCE. Three things are added:
pairs with equal targets are masked (they are not negatives), pairs with nearly equal ones may be,
and a row may bring candidates of its own (the wrong answers of a question, one-attribute edits of
a caption) as further negatives.

The negatives are those of all ranks. A rank compares its own rows with everybody's columns, some
rows at a time, so that nothing of B x B is ever made: memory is O(b·E + B·E) plus one chunk.

Shapes: b rows of this rank, B of all ranks, C of a chunk, K own candidates a row, E embedding
width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.distributed import ALONE, Ranks

MAX_LOGIT_SCALE = 100.0
CHUNK_LOGITS = 1 << 24
"""Logits made at a time: 64 MB in float32."""


class Temperature(nn.Module):
    """Learned inverse temperature, kept below 100 as in CLIP (the paper is silent)."""

    def __init__(self, initial_temperature: float = 0.07) -> None:
        super().__init__()
        # One element, not none: FSDP shards no scalars.
        self.log_scale = nn.Parameter(torch.tensor([1.0 / initial_temperature]).log())

    def forward(self) -> Tensor:
        return self.log_scale[0].exp().clamp(max=MAX_LOGIT_SCALE)


def info_nce(
    predicted_bE: Tensor,
    target_bE: Tensor,
    key_b: Tensor,
    scale: Tensor,
    *,
    candidate_bKE: Tensor | None = None,
    candidate_mask_bK: Tensor | None = None,
    ranks: Ranks = ALONE,
    near_equal: float = 1.0,
    chunk_logits: int = CHUNK_LOGITS,
) -> Tensor:
    """Mean bi-directional InfoNCE over this rank's rows; its mean over the ranks is the batch's.

    So gradients that are averaged over ranks, as DDP and FSDP do, are those of one process that
    had the whole batch (tests/training/test_distributed_loss.py).

    Args:
        predicted_bE, target_bE: unit vectors; row i of one belongs to row i of the other. Every
            rank brings as many rows.
        key_b: int64; rows of equal key have the same target meaning and are never negatives
            of each other.
        scale: inverse temperature.
        candidate_bKE: wrong candidates of each row; they take part in the direction
            prediction → text of their own row only.
        candidate_mask_bK: True where a candidate exists.
        ranks: whose rows are compared.
        near_equal: targets of at least this cosine are not negatives either; 1 masks none.
        chunk_logits: most logits held at a time, in each direction.
    """
    with torch.autocast(predicted_bE.device.type, enabled=False):
        return _info_nce(
            _exact(predicted_bE),
            _exact(target_bE),
            key_b,
            scale,
            None if candidate_bKE is None else _exact(candidate_bKE),
            candidate_mask_bK,
            ranks,
            near_equal,
            chunk_logits,
        )


def _info_nce(
    predicted_bE: Tensor,
    target_bE: Tensor,
    key_b: Tensor,
    scale: Tensor,
    candidate_bKE: Tensor | None,
    candidate_mask_bK: Tensor | None,
    ranks: Ranks,
    near_equal: float,
    chunk_logits: int,
) -> Tensor:
    everyone = _Columns(
        ranks.rows(predicted_bE),
        ranks.rows(target_bE),
        ranks.rows(key_b),
        ranks.rank * len(key_b),
        near_equal,
    )
    own_bK: Tensor | None = None
    if candidate_bKE is not None:
        own_bK = scale * torch.einsum("be,bke->bk", predicted_bE, candidate_bKE)
        if candidate_mask_bK is not None:
            own_bK = own_bK.masked_fill(~candidate_mask_bK, float("-inf"))
    rows = max(1, min(len(key_b), chunk_logits // len(everyone.key_B)))
    total = predicted_bE.new_zeros(())
    for first in range(0, len(key_b), rows):
        chunk = slice(first, min(first + rows, len(key_b)))
        own_CK = None if own_bK is None else own_bK[chunk]
        arguments = (predicted_bE[chunk], target_bE[chunk], key_b[chunk], own_CK, scale)
        if rows >= len(key_b):
            total = total + everyone.loss(first, *arguments)
        else:
            # Logits are made again on the way back, so that one chunk's are held at a time.
            part = checkpoint(everyone.loss, first, *arguments, use_reentrant=False)
            total = total + part
    return 0.5 * total / len(key_b)


def _exact(x: Tensor) -> Tensor:
    """At least float32: half precision would blur close candidates."""
    return x if x.dtype == torch.float64 else x.float()


@dataclass(frozen=True, eq=False)
class _Columns:
    """All ranks' embeddings, and where this rank's rows begin among them."""

    predicted_BE: Tensor
    target_BE: Tensor
    key_B: Tensor
    offset: int
    near_equal: float

    def loss(
        self,
        first: int,
        predicted_CE: Tensor,
        target_CE: Tensor,
        key_C: Tensor,
        own_CK: Tensor | None,
        scale: Tensor,
    ) -> Tensor:
        """Summed cross-entropies of some of this rank's rows, `first` and on, both directions."""
        right_C = self.offset + first + torch.arange(len(key_C), device=key_C.device)
        masked_CB = self._not_negative(key_C, target_CE, right_C)
        to_text_CB = (scale * predicted_CE @ self.target_BE.T).masked_fill(masked_CB, -torch.inf)
        to_visual_CB = (scale * target_CE @ self.predicted_BE.T).masked_fill(masked_CB, -torch.inf)
        if own_CK is not None:
            to_text_CB = torch.cat([to_text_CB, own_CK], dim=1)
        return F.cross_entropy(to_text_CB, right_C, reduction="sum") + F.cross_entropy(
            to_visual_CB, right_C, reduction="sum"
        )

    @torch.no_grad()
    def _not_negative(self, key_C: Tensor, target_CE: Tensor, right_C: Tensor) -> Tensor:
        masked_CB = key_C[:, None] == self.key_B[None, :]
        if self.near_equal < 1.0:
            masked_CB |= target_CE @ self.target_BE.T >= self.near_equal
        masked_CB[torch.arange(len(key_C), device=key_C.device), right_C] = False
        return masked_CB
