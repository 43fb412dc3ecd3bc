"""CrossTask: steps and tasks of the 18 primary tasks, on the videos of `videos_val.csv`.

`tasks_primary.txt`: number, title, address, number of steps, steps with commas, empty line, for
each task. `videos_val.csv`: task, video, address, without header. `annotations/TASK_VIDEO.csv`:
step (from 1), start, end [s], without header. Videos: `VIDEO.mp4`, untrimmed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data.errors import DataError
from training.evaluate.external.folder import Folder, interval, number, read_table
from training.evaluate.external.items import Classification
from training.evaluate.external.sets.build import ACTION_QUERY, TASK_QUERY, classification


@dataclass(frozen=True)
class Task:
    title: str
    steps: tuple[str, ...]


def steps(folder: Folder) -> Classification:
    """Clips of single steps. Candidates: the steps of all primary tasks.

    Raises:
        DataError: files that are missing or of another format.
    """
    tasks = read_tasks(folder.file("tasks_primary.txt"))
    file = folder.file("videos_val.csv")
    found = []
    for key, name in _videos(file, tasks):
        annotations = folder.file(f"{key}_{name}.csv")
        for place, row in read_table(annotations, ("step", "start", "end"), header=False):
            step = int(number(row["step"], place))
            if not 1 <= step <= len(tasks[key].steps):
                raise DataError(f"{place}: task {key} has no step {step}")
            start_s, end_s = (number(row[column], place) for column in ("start", "end"))
            label = tasks[key].steps[step - 1]
            found.append((folder.video(name), *interval(start_s, end_s, place), label))
    labels = [step for task in tasks.values() for step in task.steps]
    return classification(folder, ACTION_QUERY, labels, found, file)


def whole(folder: Folder) -> Classification:
    """Whole videos. Candidates: the titles of the primary tasks.

    Raises:
        DataError: files that are missing or of another format.
    """
    tasks = read_tasks(folder.file("tasks_primary.txt"))
    file = folder.file("videos_val.csv")
    found = [
        (folder.video(name), None, None, tasks[key].title) for key, name in _videos(file, tasks)
    ]
    labels = [task.title for task in tasks.values()]
    return classification(folder, TASK_QUERY, labels, found, file)


def read_tasks(file: Path) -> dict[str, Task]:
    """By number.

    Raises:
        DataError: not blocks of five lines, or not as many steps as a block says.
    """
    blocks = [block.splitlines() for block in file.read_text(encoding="utf-8").split("\n\n")]
    tasks = {}
    for block in (block for block in blocks if block):
        if len(block) != 5:
            raise DataError(f"{file}: a task has five lines, not {len(block)} ({block[0]!r:.40})")
        key, title, _, count, names = (line.strip() for line in block)
        task = Task(title, tuple(name.strip() for name in names.split(",")))
        if str(len(task.steps)) != count:
            raise DataError(f"{file}: task {key} names {len(task.steps)} steps, not {count}")
        tasks[key] = task
    return tasks


def _videos(file: Path, tasks: dict[str, Task]) -> Iterator[tuple[str, str]]:
    """(task, video) of the primary tasks."""
    for _, row in read_table(file, ("task", "video", "address"), header=False):
        if row["task"] in tasks:
            yield row["task"], row["video"]
