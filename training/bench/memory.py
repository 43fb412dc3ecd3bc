"""Memory that the loss takes on one rank, by rows of the batch, ranks and chunks."""

from __future__ import annotations

import resource
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from training.bench.processes import in_processes
from training.distributed import Ranks
from training.loss import info_nce

WIDTH = 1536
CASES = [(4096, 1), (8192, 1), (16_384, 1), (8192, 2), (8192, 4), (16_384, 4)]
"""Rows of the batch over all ranks, and ranks."""
CHUNKS = {"chunked": 1 << 24, "at_once": 1 << 40}


def peak_mb(ranks: Ranks, rows: int, chunk_logits: int) -> dict[str, Tensor]:
    """How far the loss and its gradient push this process's peak memory up."""
    local = rows // ranks.world
    torch.manual_seed(ranks.rank)
    predicted, target = (F.normalize(torch.randn(local, WIDTH), dim=-1) for _ in range(2))
    predicted.requires_grad_()
    target.requires_grad_()
    key = torch.arange(local) + ranks.rank * local
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scale = torch.tensor(14.0)
    info_nce(predicted, target, key, scale, ranks=ranks, chunk_logits=chunk_logits).backward()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"mb": torch.tensor((after - before) / 1024)}


def measure(folder: Path) -> dict[str, float]:
    """MB by case; `at_once` makes the local x global logits whole, as most code does."""
    scores = {}
    for way, chunk_logits in CHUNKS.items():
        for rows, world in CASES:
            if way == "at_once" and rows > 8192 and world == 1:
                continue  # Would take several GB.
            below = folder / f"memory-{way}-{rows}-{world}"
            below.mkdir(parents=True)
            job = partial(peak_mb, rows=rows, chunk_logits=chunk_logits)
            found = in_processes(world, job, below)
            largest = max(float(one["mb"]) for one in found)
            scores[f"loss_mb_{way}_{rows}_rows_{world}_ranks"] = round(largest, 1)
    return scores
