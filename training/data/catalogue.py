"""What lies where in the shards of a mixture, as arrays: millions of samples fit into memory.

Samples of one folder and one task are a *stratum*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.data.errors import DataError
from training.data.samples import EXTENSIONS
from training.data.shards import ShardIndex, read_index, shard_paths

Columns = npt.NDArray[np.int64]
"""(samples, 6): tar, extension, media offset and size, json offset and size."""


class Place(NamedTuple):
    """Where a sample lies: (offset, size) in bytes."""

    tar: Path
    extension: str
    media_span: tuple[int, int]
    json_span: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.tar.parent.name}/{self.tar.name} at byte {self.json_span[0]}"


@dataclass(frozen=True, eq=False)
class Stratum:
    """The samples of one task in one folder, and their share of what is drawn."""

    folder: str
    task: str
    weight: float
    tars: Sequence[Path]
    columns: Columns

    def __len__(self) -> int:
        return len(self.columns)

    def place(self, index: int) -> Place:
        tar, extension, *spans = (int(v) for v in self.columns[index])
        media_span, json_span = (spans[0], spans[1]), (spans[2], spans[3])
        return Place(self.tars[tar], EXTENSIONS[extension], media_span, json_span)


def strata(
    root: Path, mixture: Mapping[str, float], task_shares: Mapping[str, float]
) -> list[Stratum]:
    """The strata of a mixture; their weights add up to 1.

    Args:
        mixture: folder below `root` (or an absolute path) → weight, relative to the others'.
        task_shares: task → share within every folder, relative to the others'; a task that is not
            named is left out. Empty = each task as often as it is in the folder.

    Raises:
        DataError: no folder, a weight that is not above 0, a folder without shards, or without any
            task that has a share.
    """
    if not mixture:
        raise DataError("the mixture is empty; name at least one folder of shards")
    _check_weights("weight of folder", mixture)
    _check_weights("share of task", task_shares)
    found: list[Stratum] = []
    total = sum(mixture.values())
    for folder, weight in mixture.items():
        found += _of_folder(root / folder, folder, weight / total, task_shares)
    absent = sorted(set(task_shares) - {s.task for s in found})
    if absent:
        raise DataError(f"no shard has samples of task {absent[0]!r}; leave out its share")
    return found


def _check_weights(what: str, weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise DataError(f"{what} {name!r} is {weight}; give more than 0, or leave it out")


def _of_folder(
    path: Path, folder: str, weight: float, task_shares: Mapping[str, float]
) -> list[Stratum]:
    tars = shard_paths(path)
    by_task: dict[str, list[Columns]] = {}
    for number, tar in enumerate(tars):
        index = read_index(tar)
        columns, tasks = _columns(index, number), np.array(index.tasks)
        for task in sorted(set(index.tasks)):
            by_task.setdefault(task, []).append(columns[tasks == task])
    joined = {task: np.concatenate(parts) for task, parts in sorted(by_task.items())}
    counts = {task: float(len(columns)) for task, columns in joined.items()}
    shares = {t: s for t, s in task_shares.items() if t in joined} if task_shares else counts
    if not shares:
        raise DataError(f"{path} has no samples of a task with a share; it has {', '.join(joined)}")
    total = sum(shares.values())
    return [
        Stratum(folder, task, weight * shares[task] / total, tars, joined[task])
        for task in sorted(shares)
    ]


def _columns(index: ShardIndex, tar: int) -> Columns:
    extensions = [EXTENSIONS.index(e) for e in index.extensions]
    columns = [
        [tar] * len(index),
        extensions,
        *(index.media_offsets, index.media_sizes),
        *(index.json_offsets, index.json_sizes),
    ]
    return np.array(columns, np.int64).T
