"""The loop that every run shares: batches in, a trained module and a log out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from training.optim import Schedule, learning_rate, param_groups, set_learning_rate
from training.precision import autocast
from training.state import load_state, save_state

LOG_EVERY_STEPS = 20


@dataclass(frozen=True)
class FitConfig:
    """What every run has: how long, how fast, how often to save."""

    steps: int = 1000
    batch_size: int = 128
    lr: float = 1e-3
    warmup_steps: int = 100
    schedule: Schedule = "cosine"
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    beta2: float = 0.98
    seed: int = 0
    workers: int = 1
    threads: int = 2
    save_every_s: float = 120.0
    device: str = "cpu"


class Stage(Protocol):
    """One thing to train: its parts, its batches (a pure function of the step), its loss."""

    def module(self) -> nn.Module: ...
    def parts(self) -> list[tuple[nn.Module, float]]: ...
    def batches(self) -> Dataset[dict[str, Tensor]]: ...
    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]: ...
    def evaluate(self) -> dict[str, float]: ...


class NonFiniteLossError(RuntimeError):
    """The loss is NaN or infinite; the message names the step."""


def fit(stage: Stage, config: FitConfig, out: Path, say: Callable[[str], None] = print) -> None:
    """Train `stage` for `config.steps`, resuming from `out` where it was interrupted."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    out.mkdir(parents=True, exist_ok=True)
    module = stage.module().to(config.device)
    optimiser = torch.optim.AdamW(
        param_groups(stage.parts(), config.weight_decay),
        lr=config.lr,
        betas=(0.9, config.beta2),
    )
    lr_at = learning_rate(config.schedule, config.lr, config.warmup_steps, config.steps)
    first, seconds_before = load_state(out, module, optimiser)
    started = last_saved = time.monotonic()
    log = _Log(out / "log.jsonl", say)
    for step, batch in enumerate(_load(stage.batches(), config, first), start=first):
        set_learning_rate(optimiser, lr_at(step))
        metrics = _train_step(stage, batch, optimiser, config)
        now = time.monotonic()
        if step % LOG_EVERY_STEPS == 0 or step + 1 == config.steps:
            log.write(step, seconds_before + now - started, metrics)
        if now - last_saved > config.save_every_s or step + 1 == config.steps:
            save_state(out, step + 1, module, optimiser, seconds_before + now - started)
            last_saved = time.monotonic()
    module.eval()
    scores = stage.evaluate()
    if scores:
        log.write(config.steps, seconds_before + time.monotonic() - started, scores)


def _load(
    batches: Dataset[dict[str, Tensor]], config: FitConfig, first: int
) -> DataLoader[dict[str, Tensor]]:
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, config.steps),
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )


def _train_step(
    stage: Stage, batch: dict[str, Tensor], optimiser: torch.optim.Optimizer, config: FitConfig
) -> dict[str, float]:
    stage.module().train()
    batch = {name: value.to(config.device) for name, value in batch.items()}
    with autocast(config.device):
        loss, metrics = stage.loss(batch)
    if not torch.isfinite(loss):
        raise NonFiniteLossError(f"loss is {loss.item()}; lower the learning rate")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    trained = [p for group in optimiser.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(trained, config.clip_norm)
    optimiser.step()
    return {
        "loss": float(loss.detach()),
        "grad_norm": float(norm),
        "lr": float(optimiser.param_groups[0]["lr"]),
        **metrics,
    }


class _Log:
    """JSON lines on disk, a short line on the screen."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say

    def write(self, step: int, seconds: float, metrics: dict[str, Any]) -> None:
        row = {"step": step, "seconds": round(seconds, 1)}
        row |= {k: round(v, 5) for k, v in metrics.items()}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._say(" ".join(f"{k}={v}" for k, v in row.items()))
