"""The one training loss: bi-directional InfoNCE between predicted and target embeddings.

VL-JEPA (arXiv 2512.10942 §3) trains predictor and Y-encoder with InfoNCE. Two things are added:
pairs with equal targets are masked (they are not negatives), and a row may bring candidates of its
own (the wrong answers of a question, one-attribute edits of a caption) as further negatives.

Shapes: B rows, K own candidates a row, E embedding width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_LOGIT_SCALE = 100.0


class Temperature(nn.Module):
    """Learned inverse temperature, kept below 100 as in CLIP (the paper is silent)."""

    def __init__(self, initial_temperature: float = 0.07) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1.0 / initial_temperature).log())

    def forward(self) -> Tensor:
        return self.log_scale.exp().clamp(max=MAX_LOGIT_SCALE)


def info_nce(
    predicted_BE: Tensor,
    target_BE: Tensor,
    key_B: Tensor,
    scale: Tensor,
    *,
    candidate_BKE: Tensor | None = None,
    candidate_mask_BK: Tensor | None = None,
) -> Tensor:
    """Mean bi-directional InfoNCE.

    Args:
        predicted_BE, target_BE: unit vectors; row i of one belongs to row i of the other.
        key_B: int64; rows of equal key have the same target meaning and are never negatives
            of each other.
        scale: inverse temperature.
        candidate_BKE: wrong candidates of each row; they take part in the direction
            prediction → text of their own row only.
        candidate_mask_BK: True where a candidate exists.
    """
    logits_BB = scale * predicted_BE.float() @ target_BE.float().T
    rows = torch.arange(len(key_B), device=key_B.device)
    equal_BB = key_B[:, None] == key_B[None, :]
    equal_BB[rows, rows] = False
    logits_BB = logits_BB.masked_fill(equal_BB, float("-inf"))
    to_text = logits_BB
    if candidate_BKE is not None:
        own_BK = scale * torch.einsum("be,bke->bk", predicted_BE.float(), candidate_BKE.float())
        if candidate_mask_BK is not None:
            own_BK = own_BK.masked_fill(~candidate_mask_BK, float("-inf"))
        to_text = torch.cat([logits_BB, own_BK], dim=1)
    return 0.5 * (F.cross_entropy(to_text, rows) + F.cross_entropy(logits_BB.T, rows))
