"""Run one function in several connected processes and collect what each returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.multiprocessing.spawn import start_processes

from training.distributed import Ranks, connected

Job = Callable[[Ranks], dict[str, Tensor]]


def in_processes(world: int, job: Job, folder: Path) -> list[dict[str, Tensor]]:
    """What `job` (a function of a module) returns on each of `world` ranks."""
    start_processes(_run, (world, job, str(folder)), nprocs=world, start_method="spawn")
    return [load_file(folder / f"{rank}.safetensors") for rank in range(world)]


def _run(rank: int, world: int, job: Job, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    store = f"file://{folder}/store"
    with connected("gloo", init_method=store, rank=rank, world_size=world) as these:
        save_file(job(these), f"{folder}/{rank}.safetensors")
