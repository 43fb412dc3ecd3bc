"""All benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.evaluate.external.folder import Folder
from training.evaluate.external.items import Benchmark
from training.evaluate.external.sets import (
    coin,
    crosstask,
    egoexo4d,
    epic,
    kinetics,
    msrvtt,
    msvd,
    paragraphs,
    questions,
    ssv2,
    worldprediction,
    youcook2,
)

BENCHMARKS: dict[str, Callable[[Folder], Benchmark]] = {
    "ssv2": ssv2.load,
    "kinetics": kinetics.load,
    "epic100_verb": epic.verbs,
    "epic100_noun": epic.nouns,
    "epic100_action": epic.actions,
    "egoexo4d": egoexo4d.load,
    "coin_step": coin.steps,
    "coin_task": coin.tasks,
    "crosstask_step": crosstask.steps,
    "crosstask_task": crosstask.whole,
    "msrvtt": msrvtt.one_k_a,
    "msrvtt_full": msrvtt.full,
    "msvd": msvd.load,
    "didemo": paragraphs.didemo,
    "activitynet": paragraphs.activitynet,
    "youcook2": youcook2.load,
    "nextqa": questions.nextqa,
    "gqa": questions.gqa,
    "tallyqa": questions.tallyqa,
    "pope": questions.pope,
    "worldprediction": worldprediction.load,
}


def load(name: str, folder: Path) -> Benchmark:
    """The benchmark of that name, read from a folder.

    Raises:
        KeyError: no benchmark of that name.
        DataError: files that are missing or of another format; the message names them.
    """
    return BENCHMARKS[name](Folder(folder))
