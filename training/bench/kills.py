"""A run killed at random moments, again and again, against one that was left in peace."""

from __future__ import annotations

import multiprocessing
import random
from multiprocessing.context import ForkServerContext
from pathlib import Path

import torch

from training.bench.interrupted import CONFIG, train
from training.state import STATES_FOLDER

KILLS = 24
STEP_S = 0.03


def measure(folder: Path) -> dict[str, float]:
    """How many SIGKILLs runs were hit by until they ended, and how many weights differ then."""
    unbroken = train(folder / "unbroken")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.bench.interrupted"])
    rng = random.Random(0)
    kills = runs = different = 0
    while kills < KILLS:
        out = folder / f"killed-{runs}"
        kills += _kill_until_ended(out, context, rng)
        resumed = train(out)
        different += sum(int((a != b).sum()) for a, b in zip(unbroken, resumed, strict=True))
        runs += 1
    weights = runs * sum(torch.numel(a) for a in unbroken)
    return {"kills": kills, "weights_that_differ": different, "weights": weights}


def _kill_until_ended(out: Path, context: ForkServerContext, rng: random.Random) -> int:
    """Kills of one run, which goes on after each."""
    kills = 0
    while not (out / STATES_FOLDER / f"step-{CONFIG.steps:08d}").exists():
        child = context.Process(target=train, args=(out, STEP_S))
        child.start()
        child.join(rng.uniform(0.3, 1.2))
        kills += child.is_alive()
        child.kill()
        child.join()
    return kills
