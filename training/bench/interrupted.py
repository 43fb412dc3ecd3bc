"""A run for tests that are about being cut off: small, slow enough to be hit, with dropout."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.distributed import ranks
from training.fit import EngineConfig, FitConfig, fit

Batch = dict[str, Tensor]


class Batches(Dataset[Batch]):
    """Item i is row i of an endless table."""

    def __getitem__(self, index: int) -> Batch:
        return {"x": torch.randn(8, 16, generator=torch.Generator().manual_seed(index))}


class Slow:
    """Learns x → sum(x) through dropout."""

    def __init__(self, step_s: float = 0.0, width: int = 16) -> None:
        torch.manual_seed(0)
        self._net = nn.Sequential(nn.Linear(16, width), nn.Dropout(0.3), nn.Linear(width, 1))
        self._step_s = step_s

    def module(self) -> nn.Module:
        return self._net

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [(self._net, 1.0)]

    def batches(self) -> Dataset[Batch]:
        return Batches()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        time.sleep(self._step_s)
        wanted = batch["x"].sum(dim=1, keepdim=True)
        return (self._net(batch["x"]) - wanted).square().mean(), {}

    def evaluate(self) -> dict[str, float]:
        return {}


CONFIG = FitConfig(
    steps=60,
    batch_size=8,
    warmup_steps=2,
    lr=0.01,
    workers=0,
    threads=1,
    save_every_s=0.0,
    engine=EngineConfig(keep_states=2),
)


def train(
    out: Path, step_s: float = 0.0, save_every_s: float = 0.0, workers: int = 0
) -> list[Tensor]:
    """Train to the end, or on to it; the weights."""
    stage = Slow(step_s)
    config = replace(CONFIG, save_every_s=save_every_s, workers=workers)
    with ranks() as these:
        fit(stage, config, out, say=lambda _: None, ranks=these)
    return [p.detach().clone() for p in stage.module().parameters()]


if __name__ == "__main__":
    train(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
