"""One step of the paper's model at full size, with random weights, on one GPU.

    python -m training.bench.gpu --out docs/results/training_gpu.json

Forward, and training at the largest batch that fits; layers as they are written and compiled. What
a step reaches is its counted operations a second: `…_of_matmul` against the fastest matrix product
that this device was seen to make, `…_of_data_sheet` against what its vendor says.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from jsonargparse import auto_cli
from torch import Tensor

from training.bench.exact import RandomRows
from training.distributed import ALONE, resolved
from training.embed import EmbedData, EmbedSettings, EmbedStage
from training.flops import counted, peak_flops_per_s
from training.loss import Temperature
from training.optim import param_groups
from training.parallel import Parallel
from training.precision import attention
from training.train import with_frames
from vljepa_ros.config import ConfigError
from vljepa_ros.model import presets
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.provenance import commit, machine

PRESETS = {"paper": presets.paper, "tabletop": presets.tabletop, "tiny": presets.tiny}
MATMUL_WIDTHS = {"cuda": (4096, 8192, 16_384), "cpu": (512,)}
ROUNDS = 3
FEWEST = 4

Scores = dict[str, float | int | str | None]


class Job:
    """A model with its optimiser, and batches of noise of any number of rows."""

    def __init__(
        self, preset: str, frames: int, device: str, *, recompute: bool, compiled: bool
    ) -> None:
        config = PRESETS[preset]()
        if frames and frames != config.clip_frames:
            config = with_frames(config, frames)
        torch.manual_seed(0)
        self._config, self._device = config, device
        settings = EmbedSettings(y_lr_share=0.05, token_dropout=0.0, near_equal=0.98)
        model = VLJepa(config, attention(device))
        stage = EmbedStage(model, Temperature(), EmbedData(self._rows(FEWEST)), settings)
        self._parallel = Parallel(stage, ALONE, device, recompute=recompute, compiled=compiled)
        self._optimiser = torch.optim.AdamW(param_groups(stage.parts(), 0.05), lr=1e-6)

    def _rows(self, rows: int) -> RandomRows:
        pixels = (self._config.clip_frames, self._config.x_encoder.crop_px)
        return RandomRows(rows, 1, self._config.predictor.vocab_size, pixels)

    def forward(self, rows: int) -> Callable[[], None]:
        """The loss of a batch of so many rows, without a graph."""
        batch = {n: x.to(self._device) for n, x in self._rows(rows)[0].items()}

        def step() -> None:
            self._parallel.trained.eval()
            with torch.no_grad():
                self._parallel.trained(batch)

        return step

    def training(self, rows: int) -> Callable[[], None]:
        """A step of the optimiser on a batch of so many rows."""
        batch = {n: x.to(self._device) for n, x in self._rows(rows)[0].items()}

        def step() -> None:
            self._parallel.trained.train()
            self._optimiser.zero_grad(set_to_none=True)
            self._parallel.backward([batch])
            self._optimiser.step()

        return step


def seconds(step: Callable[[], None], device: str, steps: int) -> float:
    """Median time of a step after the first one, which compiles and fills caches."""
    step()
    found = []
    for _ in range(ROUNDS):
        _finish(device)
        started = time.monotonic()
        for _ in range(steps):
            step()
        _finish(device)
        found.append((time.monotonic() - started) / steps)
    return statistics.median(found)


def matmul_flops_per_s(device: str) -> float:
    """The fastest product of square bfloat16 matrices."""
    found = []
    for width in MATMUL_WIDTHS[torch.device(device).type]:
        a, b = (torch.randn(width, width, device=device, dtype=torch.bfloat16) for _ in range(2))
        out = torch.empty_like(a)
        found.append(2 * width**3 / seconds(partial(_product, a, b, out), device, 10))
    return max(found)


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    torch.mm(a, b, out=out)


def largest(make: Callable[[int], Callable[[], None]], most: int) -> int:
    """Most rows, a power of two, whose step fits into memory; 0 where not even `FEWEST` do."""
    rows = FEWEST
    while rows <= most and _fits(make, rows):
        rows *= 2
    return rows // 2 if rows > FEWEST else 0


def _fits(make: Callable[[int], Callable[[], None]], rows: int) -> bool:
    try:
        make(rows)()
        return True
    except torch.OutOfMemoryError:
        return False
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def measured(step: Callable[[], None], device: str, steps: int, matmul: float, name: str) -> Scores:
    """Time, peak memory and what is reached, of a step that is counted first."""
    with counted() as counter:
        step()
    flops = counter.get_total_flops()
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    step_s = seconds(step, device, steps)
    sheet = peak_flops_per_s(device)
    return {
        f"{name}_step_s": step_s,
        f"{name}_tflop": flops / 1e12,
        f"{name}_of_matmul": flops / step_s / matmul,
        f"{name}_of_data_sheet": None if sheet is None else flops / step_s / sheet,
        f"{name}_peak_gb": torch.cuda.max_memory_allocated() / 1e9 if on_gpu else None,
    }


def main(
    out: str = "",
    preset: str = "paper",
    device: str = "auto",
    frames: int = 8,
    steps: int = 5,
    most_rows: int = 1024,
    recompute: bool = False,
    compile: bool = True,
) -> Scores:
    """Run the measures and print them.

    Args:
        out: JSON file that is written as well; empty = none.
        preset: one of paper, tabletop and tiny.
        device: "cuda", "cpu" or "auto".
        frames: of a clip; 0 = the preset's.
        steps: timed together, three times.
        most_rows: no larger batch is tried.
        recompute: keep the layers' inputs alone; more rows fit, and more is computed.
        compile: also with compiled layers.
    """
    try:
        device = resolved(device)
    except ConfigError as error:
        raise SystemExit(str(error)) from error
    if device == "cpu" and preset == "paper":
        raise SystemExit(
            "no GPU is found, and without one a step of the paper's model takes hours; "
            "--preset tiny --device cpu shows that the command runs"
        )
    matmul = matmul_flops_per_s(device)
    scores: Scores = {"preset": preset, "frames": frames, "matmul_tflop_per_s": matmul / 1e12}
    scores |= {"commit": commit(), **machine()}
    rows = 0
    for way in ("eager", "compiled")[: 1 + compile]:
        torch.compiler.reset()
        job = Job(preset, frames, device, recompute=recompute, compiled=way == "compiled")
        # Compiled layers are measured at as many rows: it is the step that is compared.
        rows = rows or largest(job.training, most_rows)
        if not rows:
            raise SystemExit(f"not even {FEWEST} rows of {preset} fit into the memory of {device}")
        scores["rows"] = rows
        for name, make in (("forward", job.forward), ("training", job.training)):
            scores |= measured(make(rows), device, steps, matmul, f"{name}_{way}")
            print(json.dumps(scores, indent=2), flush=True)
            if out:
                Path(out).write_text(json.dumps(scores, indent=2) + "\n")
        del job
    return scores


def _finish(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
