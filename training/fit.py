"""The loop that every run shares: batches in, a trained module and a log out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader

from training import milestones
from training.distributed import ALONE, Ranks
from training.optim import Schedule, learning_rate, param_groups, set_learning_rate
from training.parallel import Batch, Metrics, Parallel, Stage
from training.state import Progress, StateError, States
from training.stop import Guard, Interruption, end_workers, keep_batch, left_to_the_run
from training.watch import Watch
from vljepa_ros.config import ConfigError


@dataclass(frozen=True)
class EngineConfig:
    """How a run is spread over processes and memory; its numbers stay the same."""

    parts: int = 1
    """Parts that each rank takes its share of a batch in, one after the other."""
    sharded: bool = False
    """Shard weights and optimiser over the ranks (FSDP2) instead of copying them (DDP)."""
    recompute: bool = False
    """Keep the layers' inputs alone and run them again on the way back."""
    compiled: bool = False
    """Compile the transformer layers."""
    keep_states: int = 2
    explodes_at: float = 20.0
    """A loss of so many times its running mean stops the run."""


@dataclass(frozen=True)
class FitConfig:
    """What every run has: how long, how fast, how often to save."""

    steps: int = 1000
    batch_size: int = 128
    """Rows of a batch, over all ranks."""
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
    """"cpu", "cuda", or "auto": a GPU where there is one."""
    validate_every_steps: int = 0
    """0 = at the end."""
    keep_at: tuple[int, ...] = ()
    """Steps after which the weights are kept for good (training/milestones.py)."""
    engine: EngineConfig = field(default_factory=EngineConfig)

    def parts(self, ranks: Ranks) -> int:
        """Parts that a batch is cut into, over all ranks.

        Raises:
            ConfigError: they would not be alike.
        """
        parts = self.engine.parts * ranks.world
        if self.batch_size % parts:
            raise ConfigError(
                f"batch_size {self.batch_size} cannot be cut into {ranks.world} ranks x "
                f"{self.engine.parts} parts of equal size; make it a multiple of {parts}"
            )
        return parts


def fit(
    stage: Stage,
    config: FitConfig,
    out: Path,
    say: Callable[[str], None] = print,
    ranks: Ranks = ALONE,
) -> None:
    """Train `stage` for `config.steps`, resuming from `out` where it was interrupted.

    Raises:
        ConfigError: settings that do not go together.
        Interruption: SIGTERM or SIGUSR1 came; the state is saved.
        LossError: the loss is no number or explodes; its batch is saved.
        StateError: a state cannot be written, or is that of another model.
    """
    config.parts(ranks)
    if config.keep_at and config.engine.sharded:
        raise ConfigError("keep_at keeps whole weights; set engine.sharded to false")
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed + ranks.rank)
    out.mkdir(parents=True, exist_ok=True)
    loop = _Loop(stage, config, out, ranks)
    watch = Watch(out, config.steps, config.batch_size, ranks, loop.device, say)
    with watch, Guard(ranks) as guard:
        try:
            loop.run(watch, guard)
        finally:
            loop.close()


@runtime_checkable
class Counting(Protocol):
    """Batches that count what goes wrong with them."""

    def counts(self) -> Metrics: ...


@runtime_checkable
class Streamed(Protocol):
    """Batches in an order of their own: where they are is saved, not computed from the step."""

    loader: str
    """Its name, as recipes give it in `shards.loader`."""

    def __iter__(self) -> Iterator[Batch]:
        """This rank's parts, one after the other, without end."""
        ...

    def position(self) -> bytes:
        """What `go_on` needs to give the part after the one that was given last."""
        ...

    def go_on(self, position: bytes) -> None: ...

    def close(self) -> None:
        """End its processes."""
        ...


class _Loop:
    """The steps of one run, from where its newest state left it."""

    def __init__(self, stage: Stage, config: FitConfig, out: Path, ranks: Ranks) -> None:
        self._stage, self._config, self._out, self._ranks = stage, config, out, ranks
        self.device = ranks.device(config.device)
        engine = config.engine
        self._parallel = Parallel(
            stage,
            ranks,
            self.device,
            sharded=engine.sharded,
            recompute=engine.recompute,
            compiled=engine.compiled,
        )
        groups = param_groups(stage.parts(), config.weight_decay)
        self._optimiser = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, config.beta2))
        self._trained = [p for group in self._optimiser.param_groups for p in group["params"]]
        self._lr_at = learning_rate(config.schedule, config.lr, config.warmup_steps, config.steps)
        self._batches_of_run = stage.batches()
        self._loaded: object = None
        self._states = States(out, ranks, engine.keep_states, self._position())
        self._done = self._states.load(stage.module(), self._optimiser)
        data = self._batches_of_run
        if isinstance(data, Streamed) and self._done.step and not self._done.loader:
            raise StateError(
                f"{out} was trained without shards.loader {data.loader}; train into another folder "
                "with --out"
            )
        self._started = self._saved = time.monotonic()

    def _position(self) -> dict[str, int | str]:
        """Settings without which neither the step nor a loader's position says what was seen."""
        config = self._config
        position: dict[str, int | str] = {"seed": config.seed, "batch_size": config.batch_size}
        data = self._batches_of_run
        if not isinstance(data, Streamed):
            return position | {"shards.loader": "plain"}
        position |= {"shards.loader": data.loader, "ranks": self._ranks.world}
        return position | {"engine.parts": config.engine.parts, "workers": config.workers}

    @property
    def _seconds(self) -> float:
        """Trained so far, before this process too."""
        return self._done.seconds + time.monotonic() - self._started

    def run(self, watch: Watch, guard: Guard) -> None:
        """See `fit`."""
        config, ranks = self._config, self._ranks
        self._started = self._saved = time.monotonic()
        for step, parts in self._batches(watch):
            with watch.counting():
                loss, metrics = self._step(step, parts)
            self._states.check()
            guard.check(
                loss,
                metrics["grad_norm"],
                step,
                config.engine.explodes_at,
                partial(self._keep, step, parts),
            )
            watch.step(step, self._seconds, {"loss": loss} | metrics | self._counts())
            if step + 1 in config.keep_at and ranks.first:
                progress = Progress(step + 1, self._seconds)
                milestones.keep(self._out, progress, self._stage.module())
            self._save_or_stop(step, guard.asked())
            if config.validate_every_steps and (step + 1) % config.validate_every_steps == 0:
                self._validate(watch, step)
        self._states.wait()
        ranks.wait()
        self._validate(watch, config.steps)

    def _validate(self, watch: Watch, step: int) -> None:
        """Write the stage's scores to the log, if it has some."""
        scores = self._ranks.means(self._parallel.evaluate())
        if scores:
            watch.write(step, self._seconds, scores)

    def close(self) -> None:
        """End the loader, and let a state that is being written become whole.

        Who goes on writes to the same place.
        """
        data = self._batches_of_run
        if isinstance(data, Streamed):
            data.close()
        end_workers(self._loaded)
        self._states.settle()

    def _save_or_stop(self, step: int, asked: bool) -> None:
        """Save where it is time, at the end, or where somebody asks to stop; then stop."""
        last = step + 1 == self._config.steps
        silent_s = self._ranks.largest(time.monotonic() - self._saved)
        if silent_s > self._config.save_every_s or last or asked:
            progress = Progress(step + 1, self._seconds, self._loader_position())
            self._states.save(progress, self._stage.module(), self._optimiser)
            self._saved = time.monotonic()
        if asked and not last:
            self._states.wait()
            # Together: torchrun ends the others some time after the first of them has gone.
            self._ranks.wait()
            raise Interruption(step + 1)

    def _items(self, step: int) -> list[int]:
        """This rank's parts of a batch, as the stage's batches count them."""
        own, world = self._config.engine.parts, self._ranks.world
        return [(step * own + part) * world + self._ranks.rank for part in range(own)]

    def _keep(self, step: int, parts: list[Batch]) -> Path:
        return keep_batch(
            parts, self._items(step), self._batches_of_run, self._out, self._ranks.rank
        )

    def _counts(self) -> Metrics:
        """What the batches have to tell of themselves."""
        data = self._batches_of_run
        return data.counts() if isinstance(data, Counting) else {}

    def _batches(self, watch: Watch) -> Iterator[tuple[int, list[Batch]]]:
        """This rank's parts of each batch that is still to come."""
        loaded = self._streamed() if isinstance(self._batches_of_run, Streamed) else self._indexed()
        for step in range(self._done.step, self._config.steps):
            with watch.waiting():
                parts = [next(loaded) for _ in range(self._config.engine.parts)]
            yield step, parts

    def _streamed(self) -> Iterator[Batch]:
        """This rank's parts, in the loader's own order."""
        assert isinstance(self._batches_of_run, Streamed)
        if self._done.loader:
            self._batches_of_run.go_on(self._done.loader)
        loaded = iter(self._batches_of_run)
        # A loader draws when it begins, which a resumed run's dropout must not notice.
        with torch.random.fork_rng(devices=[]):
            first = next(loaded)
        yield first
        yield from loaded

    def _loader_position(self) -> bytes:
        data = self._batches_of_run
        return data.position() if isinstance(data, Streamed) else b""

    def _indexed(self) -> Iterator[Batch]:
        """This rank's parts, computed from the step."""
        config, first = self._config, self._done.step
        loader: DataLoader[Batch] = DataLoader(
            self._batches_of_run,
            batch_size=None,
            sampler=[item for step in range(first, config.steps) for item in self._items(step)],
            num_workers=config.workers,
            worker_init_fn=left_to_the_run,
            prefetch_factor=4 if config.workers else None,
            # Else it would draw a number of its own, and a resumed run's dropout would be another.
            generator=torch.Generator(),
        )
        loaded = iter(loader)
        self._loaded = loaded
        return loaded

    def _step(self, step: int, parts: list[Batch]) -> tuple[float, dict[str, float]]:
        """One step of the optimiser; the batch's loss over all ranks, and this rank's metrics."""
        self._parallel.trained.train()
        set_learning_rate(self._optimiser, self._lr_at(step))
        self._optimiser.zero_grad(set_to_none=True)
        loss, metrics = self._parallel.backward(
            [{name: value.to(self.device) for name, value in part.items()} for part in parts]
        )
        clipped = nn.utils.clip_grad_norm_(self._trained, self._config.clip_norm)
        norm = float(clipped.full_tensor() if isinstance(clipped, DTensor) else clipped)
        if math.isfinite(norm):
            self._optimiser.step()
        first_lr = float(self._optimiser.param_groups[0]["lr"])
        return self._ranks.mean(loss), {"grad_norm": norm, "lr": first_lr} | metrics
