"""A LeRobotDataset v3 folder: its tasks, and what its language columns say.

Of each episode and camera: the task, from the first frame to the last; every subtask, while it
lasts; every question with its answer, of the moments around it. Plans, memories, traces and spoken
words are left out: they are no answers to what a camera sees.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from training.data.encode import cut
from training.data.errors import DataError
from training.data.samples import from_values
from training.data.skips import Skips
from training.data.sources.lerobot_folder import Episode, LeRobotFolder
from training.data.writer import Draft
from vljepa_ros.config import ModelConfig

TASK_QUERY = "What is the robot asked to do?"
QUESTION_S = 1.0
"""A question is asked of so long before and after its moment."""


class Asked(NamedTuple):
    """Something asked of an episode; times in seconds from its first frame."""

    task: str
    query: str
    target: str
    start_s: float
    end_s: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder with meta/, data/ and videos/")
    parser.add_argument("--cameras", nargs="+", default=(), help="video features (default: all)")


def run(given: argparse.Namespace, skips: Skips) -> Iterator[Draft]:
    return drafts(LeRobotFolder(given.folder), tuple(given.cameras), skips)


def drafts(folder: LeRobotFolder, cameras: tuple[str, ...], skips: Skips) -> Iterator[Draft]:
    """
    Raises:
        DataError: no such camera, or the folder cannot be read.
    """
    unknown = sorted(set(cameras) - set(folder.cameras))
    if unknown or not folder.cameras:
        raise DataError(
            f"there is no video feature {unknown[0] if unknown else ''!r}; the dataset has "
            f"{', '.join(folder.cameras) or 'none (its images are not stored as video)'}"
        )
    for episode in folder.episodes():
        for camera in cameras or folder.cameras:
            path, start_s, end_s = folder.video(episode, camera)
            for asked in asked_of(episode, camera, end_s - start_s):
                source = f"episode {episode.index} {camera} {asked.start_s:.2f} s"
                with skips.guard(source):
                    yield _draft(asked, path, start_s, source)


def asked_of(episode: Episode, camera: str, length_s: float) -> Iterator[Asked]:
    """Everything that is asked of an episode as one camera saw it."""
    for task in episode.tasks:
        yield Asked("task", TASK_QUERY, task, 0.0, length_s)
    yield from _subtasks(episode, length_s)
    yield from _questions(episode, camera, length_s)


def _subtasks(episode: Episode, length_s: float) -> Iterator[Asked]:
    """Each lasts until the next begins."""
    subtasks = sorted(
        (row["timestamp"], row["content"])
        for row in episode.persistent
        if row["style"] == "subtask" and row["content"]
    )
    ends_s = [start_s for start_s, _ in subtasks[1:]] + [length_s]
    for (start_s, text), end_s in zip(subtasks, ends_s, strict=False):
        if end_s > start_s:
            yield Asked("subtask", ModelConfig().caption_query, text, start_s, end_s)


def _questions(episode: Episode, camera: str, length_s: float) -> Iterator[Asked]:
    """The user's question and the assistant's answer come on one frame, one after the other."""
    question: tuple[float, str] | None = None
    for time_s, row in episode.events:
        if row["style"] != "vqa" or row["camera"] not in (None, camera) or not row["content"]:
            continue
        if row["role"] == "user":
            question = (time_s, row["content"])
        elif question is not None and question[0] == time_s:
            start_s, end_s = max(0.0, time_s - QUESTION_S), min(length_s, time_s + QUESTION_S)
            yield Asked("question", question[1], row["content"], start_s, end_s)
            question = None


def _draft(asked: Asked, path: Path, offset_s: float, source: str) -> Draft:
    sample = from_values(
        {"query": asked.query, "target": asked.target, "task": asked.task, "source": source}
    )
    return Draft(sample, cut(path, offset_s + asked.start_s, offset_s + asked.end_s), "mp4")
