"""A toy comparison: an untrained tiny model and a few cached streams."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.compare.frozen import Frozen
from training.compare.learners import Streams
from training.compare.quick import quick_comparison
from training.compare.settings import Comparison
from training.compare.tasks import Tasks, make


@dataclass(frozen=True, eq=False)
class Toy:
    folder: Path
    comparison: Comparison
    frozen: Frozen
    streams: Streams
    tasks: Tasks


def toy_comparison(folder: Path) -> Toy:
    comparison = quick_comparison(folder)
    frozen = Frozen(comparison.model)
    streams = Streams(frozen, comparison)
    tasks = make(frozen, comparison.items, comparison.items.seed)
    return Toy(folder, comparison, frozen, streams, tasks)
