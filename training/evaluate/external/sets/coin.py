"""COIN: steps and tasks of instructional videos, split "testing".

`COIN.json`: `{"database": {YOUTUBE_ID: {"class", "subset", "annotation": [{"id", "label",
"segment": [start_s, end_s]}]}}}`. Videos: `YOUTUBE_ID.mp4`, untrimmed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.evaluate.external.folder import Folder, get, read_json, stretch
from training.evaluate.external.items import Classification
from training.evaluate.external.sets.build import ACTION_QUERY, TASK_QUERY, classification

TESTED = {"testing", "validation"}
"""The file says one, its description the other."""


def steps(folder: Folder) -> Classification:
    """Clips of single steps. Candidates: the labels of all steps of both splits.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("COIN.json")
    labels, found = [], []
    for name, video, place in _videos(file):
        tested = get(video, "subset", str, place) in TESTED
        for step in get(video, "annotation", list, place):
            label = get(step, "label", str, place)
            labels.append(label)
            if tested:
                start_s, end_s = stretch(get(step, "segment", list, place), place)
                found.append((folder.video(name), start_s, end_s, label))
    return classification(folder, ACTION_QUERY, sorted(labels), found, file)


def tasks(folder: Folder) -> Classification:
    """Whole videos. Candidates: all tasks of both splits, as words ("change car tire").

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("COIN.json")
    labels, found = [], []
    for name, video, place in _videos(file):
        labels.append(in_words(get(video, "class", str, place)))
        if get(video, "subset", str, place) in TESTED:
            found.append((folder.video(name), None, None, labels[-1]))
    return classification(folder, TASK_QUERY, sorted(labels), found, file)


def in_words(camel: str) -> str:
    """`ReplaceCDDriveWithSSD` is "replace CD drive with SSD"."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", camel)
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def _videos(file: Path) -> Iterator[tuple[str, Any, str]]:
    database = get(read_json(file), "database", dict, str(file))
    for name, video in database.items():
        yield name, video, f"{file}, {name}"
