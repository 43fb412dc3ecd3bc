"""A run killed at random moments, again and again, against one that was left in peace."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import torch

from training.bench.interrupted import CONFIG, train
from training.state import MANIFEST, STATES_FOLDER

KILLS = 24
STEP_S = 0.03


def _saved(out: Path) -> int:
    return len(list((out / STATES_FOLDER).glob(f"*/{MANIFEST}")))


def measure(folder: Path) -> dict[str, float]:
    """How many SIGKILLs were survived, and how many weights differ at the end."""
    unbroken = train(folder / "unbroken")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.bench.interrupted"])
    rng = random.Random(0)
    out, killed = folder / "killed", 0
    while killed < KILLS:
        child = context.Process(target=train, args=(out, STEP_S))
        child.start()
        time.sleep(rng.uniform(0.3, 1.2))
        killed += child.is_alive()
        child.kill()
        child.join()
        if (out / STATES_FOLDER / f"step-{CONFIG.steps:08d}").exists():
            break
    resumed = train(out)
    different = sum(int((a != b).sum()) for a, b in zip(unbroken, resumed, strict=True))
    total = sum(torch.numel(a) for a in unbroken)
    return {"kills": killed, "weights_that_differ": different, "weights": total}
