"""Samples a second on one and two processes, and what saving costs, side by side in one run."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from training.bench.exact import RandomRows
from training.bench.processes import in_processes
from training.distributed import ALONE, Ranks
from training.embed import EmbedData, EmbedSettings, EmbedStage
from training.loss import Temperature
from training.parallel import Parallel
from training.state import Progress, States
from vljepa_ros.model import presets
from vljepa_ros.model.vljepa import VLJepa

ROWS, STEPS, ROUNDS, SAVE_EVERY = 32, 4, 3, 4


class _Run:
    """Steps of the default model on noise."""

    def __init__(self, ranks: Ranks) -> None:
        config = presets.tabletop()
        pixels = (config.clip_frames, config.x_encoder.crop_px)
        self._data = RandomRows(ROWS, ranks.world, config.predictor.vocab_size, pixels)
        settings = EmbedSettings(y_lr_share=0.05)
        model = VLJepa(config)
        self.stage = EmbedStage(model, Temperature(), EmbedData(self._data), settings, ranks)
        self._parallel = Parallel(self.stage, ranks, "cpu")
        for part, share in self.stage.parts():
            part.requires_grad_(share > 0)
        parameters = [p for p in self.stage.module().parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(parameters)
        self._batch = self._data[ranks.rank]
        self.step()

    def step(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        self._parallel.backward([self._batch])
        self.optimiser.step()

    def seconds(self, steps: int = STEPS) -> float:
        started = time.monotonic()
        for _ in range(steps):
            self.step()
        return time.monotonic() - started


def spread(ranks: Ranks) -> dict[str, Tensor]:
    """Rounds of the same batch on all ranks together; one thread each."""
    run = _Run(ranks)
    seconds = []
    for _ in range(ROUNDS):
        ranks.wait()
        seconds.append(run.seconds())
    return {"seconds": torch.tensor(seconds)}


def throughput(folder: Path) -> dict[str, float]:
    """Ratio of two processes of one thread to one process of one, and of two threads."""
    threads = torch.get_num_threads()
    found: dict[str, list[float]] = {"one": [], "two_threads": []}
    for name, count in (("one", 1), ("two_threads", 2)):
        torch.set_num_threads(count)
        run = _Run(ALONE)
        found[name] = [run.seconds() for _ in range(ROUNDS)]
    torch.set_num_threads(threads)
    below = folder / "speed"
    below.mkdir(parents=True)
    found["two_ranks"] = in_processes(2, spread, below)[0]["seconds"].tolist()
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return {
        "throughput_two_ranks_to_one": round(medians["one"] / medians["two_ranks"], 3),
        "throughput_two_threads_to_one": round(medians["one"] / medians["two_threads"], 3),
    }


def saving(folder: Path) -> dict[str, float]:
    """Time of steps with a state every `SAVE_EVERY`, to the same without; waited for and not."""
    run = _Run(ALONE)
    module: nn.Module = run.stage.module()
    ratios: dict[str, list[float]] = {"asynchronous": [], "waited_for": []}
    for _ in range(ROUNDS):
        plain = run.seconds(SAVE_EVERY)
        for name, rounds in ratios.items():
            states = States(folder / name)
            started = time.monotonic()
            states.save(Progress(1), module, run.optimiser)
            if name == "waited_for":
                states.wait()
            run.seconds(SAVE_EVERY)
            rounds.append((time.monotonic() - started) / plain)
            states.wait()
    return {
        f"saving_{name}_to_none": round(statistics.median(rounds), 3)
        for name, rounds in ratios.items()
    }
