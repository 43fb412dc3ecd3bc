"""Mean over the tokens that count."""

from __future__ import annotations

from torch import Tensor


def masked_mean(tokens_BND: Tensor, mask_BN: Tensor) -> Tensor:
    """Mean over N of the tokens whose mask is 1, summed in float32: (B, D) in the tokens' type."""
    weights_BN1 = mask_BN.unsqueeze(-1).float()
    total_BD = (tokens_BND.float() * weights_BN1).sum(dim=1)
    return (total_BD / weights_BN1.sum(dim=1).clamp(min=1.0)).to(tokens_BND.dtype)
