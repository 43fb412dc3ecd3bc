"""Number type and attention of training: whatever is fast on the machine at hand.

Figures: docs/decisions/0006.
"""

from __future__ import annotations

import torch

from training.distributed import resolved
from vljepa_ros.model.device import cpu_multiplies_bfloat16


def bfloat16_is_fast(device: str) -> bool:
    """Whether `device` multiplies bfloat16 in hardware; without it, it is slower than float32."""
    if torch.device(device).type == "cpu":
        return cpu_multiplies_bfloat16()
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def autocast(device: str) -> torch.autocast:
    """bfloat16 where that is fast, else float32."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=bfloat16_is_fast(device))


def attention(device: str) -> str:
    """The attention that was measured faster for a forward and a backward pass."""
    device = resolved(device)
    on_cpu = torch.device(device).type == "cpu"
    return "eager" if on_cpu and bfloat16_is_fast(device) else "sdpa"
