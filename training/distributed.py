"""The processes of one training, as torchrun starts them; without torchrun, one process alone.

Shapes: b local rows, B rows of all ranks, rank after rank.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vljepa_ros.config import ConfigError

TIMEOUT_S = 1800.0
"""A rank that hangs (one that dies is seen at once) stops the others after so long; the first rank
may prepare data for the others meanwhile."""

SETTLES_S = 0.2
"""Gloo's threads take Python's lock for a moment to drop what a backward pass exchanged. PyTorch's
caches of shardings keep these threads to the end of the process, which aborts if they want the lock
while it ends; and whoever ends a group while it has the lock waits for them for ever."""


@dataclass(frozen=True)
class Ranks:
    """Which process this is, of how many."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes for all."""
        return self.rank == 0

    def device(self, kind: str) -> str:
        """This process's own device: "cpu" stays, "cuda" becomes "cuda:<local rank>"."""
        kind = resolved(kind)
        return f"{kind}:{self.local_rank}" if kind == "cuda" else kind

    def rows(self, local_bX: Tensor) -> Tensor:
        """The rows (B, …) of all ranks; gradients flow back to the rank each row came from.

        Every rank must call it with as many rows.
        """
        if self.world == 1:
            return local_bX
        gathered: Tensor = _GatherRows.apply(local_bX)  # type: ignore[no-untyped-call]
        return gathered

    def mean(self, value: float) -> float:
        """The mean of all ranks' values."""
        if self.world == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=_communicates_on())
        dist.all_reduce(tensor)
        return float(tensor) / self.world

    def largest(self, value: float) -> float:
        """The largest of all ranks' values: what one rank has seen, all of them know."""
        if self.world == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=_communicates_on())
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return float(tensor)

    def means(self, values: dict[str, float]) -> dict[str, float]:
        """Means over the ranks; a name that a rank lacks is averaged over those that have it."""
        if self.world == 1:
            return values
        everyone: list[dict[str, float]] = [{} for _ in range(self.world)]
        dist.all_gather_object(everyone, values)
        names = dict.fromkeys(name for one in everyone for name in one)
        found = {name: [one[name] for one in everyone if name in one] for name in names}
        return {name: sum(all_) / len(all_) for name, all_ in found.items()}

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            dist.barrier()


ALONE = Ranks()


def resolved(kind: str) -> str:
    """ "auto" is a GPU where there is one.

    Raises:
        ConfigError: no such device here.
    """
    if kind == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if kind not in ("cpu", "cuda"):
        raise ConfigError(f"device {kind} is not known; use cpu, cuda or auto")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device cuda: torch finds no GPU here; use auto or cpu, or mend the driver"
        )
    return kind


# The names until torch 2.12, where there are no newer ones.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


class _GatherRows(torch.autograd.Function):
    """all_gather whose gradient is a reduce_scatter: each rank's loss reaches every row."""

    @staticmethod
    def forward(ctx: Any, local_bX: Tensor) -> Tensor:
        world = dist.get_world_size()
        all_BX = local_bX.new_empty((world * len(local_bX), *local_bX.shape[1:]))
        _all_gather(all_BX, local_bX.contiguous())
        return all_BX

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        grad_BX = gradients[0].contiguous()
        rows = len(grad_BX) // dist.get_world_size()
        grad_bX = grad_BX.new_empty((rows, *grad_BX.shape[1:]))
        _reduce_scatter(grad_bX, grad_BX)
        return grad_bX


def _communicates_on() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


@contextmanager
def ranks(kind: str = "cpu", timeout_s: float = TIMEOUT_S) -> Iterator[Ranks]:
    """The processes that torchrun started with this one; `ALONE` where it was not torchrun.

    Args:
        kind: "cpu", "cuda" or "auto": what the tensors that are exchanged lie on.
        timeout_s: how long an exchange waits for a rank before it stops this one.
    """
    if "RANK" not in os.environ or dist.is_initialized():
        yield of_process()
        return
    kind = resolved(kind)
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Gloo beside NCCL: checkpoints are written from host memory while training goes on.
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
    with connected(backend, timeout=timedelta(seconds=timeout_s)) as these:
        yield these


@contextmanager
def connected(backend: str, **how: Any) -> Iterator[Ranks]:
    """A process group (`how`: as `init_process_group` takes it) as long as the block lasts."""
    dist.init_process_group(backend, **how)
    try:
        yield of_process()
    finally:
        time.sleep(SETTLES_S)
        dist.destroy_process_group()


def of_process() -> Ranks:
    """This process's place among those that are connected already."""
    if not dist.is_initialized():
        return ALONE
    local = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
    return Ranks(dist.get_rank(), dist.get_world_size(), local)
