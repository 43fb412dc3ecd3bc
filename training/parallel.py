"""One optimiser step's gradients: on one process or many, of a batch at once or in parts.

A batch that does not fit is taken in parts, but its rows are each other's negatives; so the
embeddings of all parts are made first, without a graph, the loss of all of them tells each
embedding's gradient, and each part is then run again to bring its share back to the weights
(the gradient cache of arXiv 2101.06983). The gradients are those of the whole batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint
from torch.utils.data import Dataset
from transformers.modeling_layers import GradientCheckpointingLayer

from training.distributed import Ranks
from training.pairs import Pairs, inner, joined
from training.precision import autocast

Batch = dict[str, Tensor]
Metrics = dict[str, float]


class Stage(Protocol):
    """One thing to train: its parts, its batches, its loss.

    Item i of the batches is part i % parts of the global batch i // parts, a pure function of i.
    """

    def module(self) -> nn.Module: ...
    def parts(self) -> list[tuple[nn.Module, float]]: ...
    def batches(self) -> Dataset[Batch]: ...
    def loss(self, batch: Batch) -> tuple[Tensor, Metrics]: ...
    def evaluate(self) -> Metrics: ...


@runtime_checkable
class ContrastiveStage(Stage, Protocol):
    """A stage whose rows are each other's negatives, also those of other parts."""

    def embed(self, batch: Batch) -> tuple[Pairs, Tensor, Metrics]:
        """What is compared, and the loss of the rows by themselves."""
        ...

    def contrast(self, pairs: Pairs) -> tuple[Tensor, Metrics]: ...


class Trained(nn.Module):
    """A stage as the one module whose calls DDP and FSDP watch."""

    def __init__(self, stage: Stage, device: str) -> None:
        super().__init__()
        self.module = stage.module()
        self._stage = stage
        self._device = device

    def forward(
        self,
        batch: Batch | None,
        gradients: dict[str, Tensor] | None = None,
        pairs_only: bool = False,
    ) -> tuple[Tensor, Metrics, Pairs | None]:
        """The loss of a batch; of a part with `gradients`, what has the same gradients.

        With `pairs_only`, what is compared and the loss of the rows by themselves; without a batch,
        the stage's scores.
        """
        if batch is None:
            return torch.zeros(()), self._stage.evaluate(), None
        with autocast(self._device):
            if gradients is None and not pairs_only:
                return *self._stage.loss(batch), None
            assert isinstance(self._stage, ContrastiveStage)
            pairs, loss, metrics = self._stage.embed(batch)
            if gradients is None:
                return loss, metrics, pairs
            return torch.stack([loss, *inner(pairs, gradients)]).sum(), metrics, None


class Parallel:
    """A stage ready to give gradients, alike on every rank."""

    def __init__(
        self,
        stage: Stage,
        ranks: Ranks,
        device: str,
        *,
        sharded: bool = False,
        recompute: bool = False,
        compiled: bool = False,
    ) -> None:
        self._stage = stage
        trained = Trained(stage, device).to(device)
        layers = [m for m in trained.modules() if isinstance(m, GradientCheckpointingLayer)]
        if recompute:
            _recompute(layers)
        if compiled:
            for layer in layers:
                layer.compile()
        self.trained: nn.Module = trained
        if ranks.world > 1 and sharded:
            for layer in layers:
                fully_shard(layer)
            fully_shard(trained)
        elif ranks.world > 1:
            # Which weights a contrastive batch uses depends on its tasks.
            some_unused = isinstance(stage, ContrastiveStage)
            self.trained = DistributedDataParallel(trained, find_unused_parameters=some_unused)

    def evaluate(self) -> Metrics:
        """The stage's scores, the same on every rank."""
        self.trained.eval()
        with torch.no_grad():
            metrics: Metrics = self.trained(None)[1]
        return metrics

    def backward(self, parts: Sequence[Batch]) -> tuple[float, Metrics]:
        """Leave the batch's gradients on the weights.

        Returns:
            This rank's share of the loss, and its metrics.
        """
        if len(parts) > 1 and isinstance(self._stage, ContrastiveStage):
            return self._backward_contrastive(self._stage, parts)
        losses, metrics = [], []
        for index, batch in enumerate(parts):
            with self._syncs(index + 1 == len(parts)):
                loss, found, _ = self.trained(batch)
                (loss / len(parts)).backward()
            losses.append(float(loss.detach()))
            metrics.append(found)
        return sum(losses) / len(parts), _means(metrics)

    def _backward_contrastive(
        self, stage: ContrastiveStage, parts: Sequence[Batch]
    ) -> tuple[float, Metrics]:
        states, pairs, own_losses = [], [], []
        with torch.no_grad():
            for batch in parts:
                states.append(_rng_states())
                own_loss, _, made = self.trained(batch, pairs_only=True)
                pairs.append(made.leaves())
                own_losses.append(float(own_loss))
        scale = pairs[0].scale
        loss, metrics = stage.contrast(joined(pairs))
        loss.backward()
        others = []
        for index, (batch, leaves, state) in enumerate(zip(parts, pairs, states, strict=True)):
            gradients = {n: x.grad for n, x in leaves.learnt().items() if x.grad is not None}
            if leaves.scale is not scale:
                gradients.pop("scale", None)
            _set_rng_states(state)
            with self._syncs(index + 1 == len(parts)):
                # The pairs' gradients are whole already; the other losses are means over parts.
                share = {name: gradient * len(parts) for name, gradient in gradients.items()}
                surrogate, found, _ = self.trained(batch, gradients=share)
                (surrogate / len(parts)).backward()
            others.append(found)
        total = float(loss.detach()) + sum(own_losses) / len(parts)
        return total, metrics | _means(others)

    def _syncs(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Gradients are exchanged once a step, with its last part."""
        if isinstance(self.trained, DistributedDataParallel) and not last:
            return self.trained.no_sync()
        if isinstance(self.trained, FSDPModule):
            self.trained.set_requires_gradient_sync(last)
        return contextlib.nullcontext()


def _recompute(layers: Sequence[GradientCheckpointingLayer]) -> None:
    """Layers keep their inputs alone and are run again on the way back."""
    for layer in layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def _rng_states() -> list[Tensor]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *cuda]


def _set_rng_states(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])


def _means(rows: Sequence[Metrics]) -> Metrics:
    names = dict.fromkeys(name for row in rows for name in row)
    found = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(all_) / len(all_) for name, all_ in found.items()}
