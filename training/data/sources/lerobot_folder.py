"""What a LeRobotDataset v3 folder says of its episodes, read with pyarrow.

Source of the layout: huggingface/lerobot, `docs/source/lerobot-dataset-v3.mdx` (folders) and
`language_and_recipes.mdx` (the two language columns).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.data.errors import DataError

LANGUAGE = ("language_persistent", "language_events")


@dataclass(frozen=True)
class Episode:
    """One episode; times in seconds from its first frame."""

    index: int
    tasks: tuple[str, ...]
    rows: dict[str, Any] = field(repr=False)
    """Its row of meta/episodes."""
    persistent: tuple[dict[str, Any], ...] = ()
    """Language that holds from its `timestamp` on, until another of its style."""
    events: tuple[tuple[float, dict[str, Any]], ...] = ()
    """Language that belongs to one moment."""


class LeRobotFolder:
    """The episodes of a folder and where their videos are."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            DataError: no LeRobotDataset, or one of another version.
        """
        self._folder = folder
        path = folder / "meta/info.json"
        if not path.is_file():
            raise DataError(f"{folder} is no LeRobotDataset: {path} is missing")
        self._info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = str(self._info.get("codebase_version"))
        if not version.startswith("v3."):
            raise DataError(
                f"{folder} is a LeRobotDataset {version}, this reads v3; convert it with lerobot's "
                "convert_dataset_v21_to_v30 script"
            )
        self._data_file = lru_cache(maxsize=1)(self._read_data_file)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the video features."""
        features = self._info["features"]
        return tuple(name for name, of in features.items() if of["dtype"] == "video")

    def episodes(self) -> Iterator[Episode]:
        """
        Raises:
            DataError: a table is missing or has not the columns of version 3.
        """
        files = sorted(self._folder.glob("meta/episodes/*/*.parquet"))
        if not files:
            raise DataError(f"{self._folder} has no meta/episodes; copy the whole dataset")
        for file in files:
            for row in read_rows(file, ("episode_index", "data/file_index")):
                yield self._episode(row)

    def video(self, episode: Episode, camera: str) -> tuple[Path, float, float]:
        """File of a camera's video, and where in it the episode starts and ends [s].

        Raises:
            DataError: the episode's row has no such columns.
        """
        prefix = f"videos/{camera}/"
        wanted = [prefix + c for c in ("chunk_index", "file_index", "from_timestamp")]
        missing = [column for column in wanted if column not in episode.rows]
        if missing:
            raise DataError(f"meta/episodes has no column {missing[0]}; copy the whole dataset")
        chunk, number, start_s = (episode.rows[column] for column in wanted)
        name = self._info["video_path"].format(
            video_key=camera, chunk_index=chunk, file_index=number
        )
        return self._folder / name, start_s, episode.rows[prefix + "to_timestamp"]

    def _episode(self, row: dict[str, Any]) -> Episode:
        index = row["episode_index"]
        data = self._data_file(row["data/chunk_index"], row["data/file_index"]).get(index, [])
        numbers = sorted({frame["task_index"] for frame in data})
        # The same rows stand on every frame of the episode.
        persistent = next((f["language_persistent"] for f in data if f["language_persistent"]), ())
        events = [(f["timestamp"], e) for f in data for e in f["language_events"] or ()]
        tasks = tuple(row.get("tasks") or [self._tasks[number] for number in numbers])
        return Episode(index, tasks, row, tuple(persistent), tuple(events))

    def _read_data_file(self, chunk: int, number: int) -> dict[int, list[dict[str, Any]]]:
        """Frames of one file of data/, by episode: only what language needs."""
        name = self._info["data_path"].format(chunk_index=chunk, file_index=number)
        path = self._folder / name
        columns = ("episode_index", "timestamp", "task_index")
        by_episode: dict[int, list[dict[str, Any]]] = {}
        for frame in read_rows(path, columns, LANGUAGE):
            by_episode.setdefault(frame["episode_index"], []).append(frame)
        return by_episode

    @cached_property
    def _tasks(self) -> dict[int, str]:
        """Text of each task; pandas may have stored it as the table's index."""
        rows = read_rows(self._folder / "meta/tasks.parquet", ("task_index",))
        texts = [{k: v for k, v in row.items() if isinstance(v, str)} for row in rows]
        if not all(texts):
            raise DataError("meta/tasks.parquet has no column of texts; copy the whole dataset")
        return {
            row["task_index"]: next(iter(text.values()))
            for row, text in zip(rows, texts, strict=True)
        }


def read_rows(
    path: Path, needed: tuple[str, ...], optional: tuple[str, ...] | None = None
) -> list[dict[str, Any]]:
    """A table's rows; with `optional`, of the needed and optional columns alone (None = absent).

    Raises:
        DataError: the file is missing or damaged, or a needed column is.
    """
    try:
        there = pq.read_schema(path).names
        missing = [column for column in needed if column not in there]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}; is this a LeRobotDataset v3?")
        if optional is None:
            return list(pq.read_table(path).to_pylist())
        wanted = [*needed, *(column for column in optional if column in there)]
        rows = pq.read_table(path, columns=wanted).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read ({error}); copy the whole dataset") from error
    return [dict.fromkeys(optional) | row for row in rows]
