"""Run one function in several connected processes and collect what each returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, multiprocessing

from training.distributed import Ranks, ranks

Job = Callable[[Ranks], dict[str, Tensor]]


def in_processes(world: int, job: Job, folder: Path) -> list[dict[str, Tensor]]:
    """What `job` (a function of a module) returns on each of `world` ranks."""
    multiprocessing.start_processes(
        _run, (world, job, str(folder)), nprocs=world, start_method="spawn"
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


def _run(rank: int, world: int, job: Job, folder: str) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(f"{folder}/store", world)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    try:
        with ranks() as these:
            torch.save(job(these), f"{folder}/{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()
