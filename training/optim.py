"""Optimiser and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import nn

Schedule = Literal["constant", "cosine"]


def param_groups(
    parts: Iterable[tuple[nn.Module, float]], weight_decay: float
) -> list[dict[str, object]]:
    """Optimiser groups; each part has its own share of the learning rate.

    Weight decay is for matrices only. A share of 0 freezes the part (the paper trains the
    Y-encoder at ×0.05).
    """
    groups: list[dict[str, object]] = []
    for module, lr_share in parts:
        for parameter in module.parameters():
            parameter.requires_grad_(lr_share > 0)
        if lr_share <= 0:
            continue
        matrices = [p for p in module.parameters() if p.ndim >= 2]
        vectors = [p for p in module.parameters() if p.ndim < 2]
        groups.append({"params": matrices, "weight_decay": weight_decay, "lr_share": lr_share})
        groups.append({"params": vectors, "weight_decay": 0.0, "lr_share": lr_share})
    return [g for g in groups if g["params"]]


def learning_rate(
    kind: Schedule, peak: float, warmup_steps: int, steps: int
) -> Callable[[int], float]:
    """Learning rate of each step: linear warm-up, then constant or a cosine down to 2 %."""

    def at(step: int) -> float:
        if step < warmup_steps:
            return peak * (step + 1) / warmup_steps
        if kind == "constant":
            return peak
        done = (step - warmup_steps) / max(1, steps - warmup_steps)
        return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    return at


def set_learning_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_share"]
