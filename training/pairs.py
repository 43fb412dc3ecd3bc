"""Predicted and target embeddings of some rows, on their way into the one loss.

Shapes: B rows, K own candidates a row, E embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Pairs:
    """What `info_nce` compares."""

    predicted_BE: Tensor
    target_BE: Tensor
    candidate_BKE: Tensor
    scale: Tensor
    """Inverse temperature."""
    key_B: Tensor
    candidate_exists_BK: Tensor

    def learnt(self) -> dict[str, Tensor]:
        """The tensors through which gradients flow."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}

    def leaves(self) -> Pairs:
        """The same values, cut off from what made them and ready to collect gradients."""
        cut = {name: x.detach().requires_grad_() for name, x in self.learnt().items()}
        return replace(self, **cut)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """The rows of all parts as one, with as many candidates a row as the widest part has."""
    if len(parts) == 1:
        return parts[0]
    most = max(pairs.candidate_BKE.shape[1] for pairs in parts)
    return Pairs(
        torch.cat([pairs.predicted_BE for pairs in parts]),
        torch.cat([pairs.target_BE for pairs in parts]),
        torch.cat([_padded(pairs.candidate_BKE, most) for pairs in parts]),
        parts[0].scale,
        torch.cat([pairs.key_B for pairs in parts]),
        torch.cat([_padded(pairs.candidate_exists_BK, most) for pairs in parts]),
    )


def _padded(x_BKX: Tensor, most: int) -> Tensor:
    return F.pad(x_BKX, (*(0, 0) * (x_BKX.ndim - 2), 0, most - x_BKX.shape[1]))


def inner(pairs: Pairs, gradients: dict[str, Tensor]) -> Iterator[Tensor]:
    """Products whose sum has, as its gradient, `gradients` times that of each tensor of `pairs`."""
    for name, gradient in gradients.items():
        yield (getattr(pairs, name) * gradient).sum()
