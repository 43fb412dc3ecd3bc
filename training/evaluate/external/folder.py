"""A user's folder of annotations and videos, and the reading of both; errors say the mend."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from training.data.errors import DataError

VIDEOS = {".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v"}
IMAGES = {".jpg", ".jpeg", ".png"}

T = TypeVar("T")


class Folder:
    """Everything below a folder: annotation files by name, videos by name without extension."""

    def __init__(self, root: Path) -> None:
        """
        Raises:
            DataError: no such folder.
        """
        if not root.is_dir():
            raise DataError(f"{root} is no folder; give the one that holds annotations and videos")
        self.root = root
        self._missing: dict[str, None] = {}  # a set that keeps its order

    @cached_property
    def _files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    @cached_property
    def _named(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in self._files:
            found.setdefault(path.name, []).append(path)
        return found

    @cached_property
    def _media(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in self._files:
            if path.suffix.lower() in VIDEOS | IMAGES:
                found.setdefault(path.stem, []).append(path)
        return found

    @property
    def missing(self) -> tuple[str, ...]:
        """Videos that were asked for and are not there, in the order they were asked for."""
        return tuple(self._missing)

    def file(self, *names: str) -> Path:
        """The annotation file of the first of these names that is found, wherever it lies.

        Raises:
            DataError: none of them, or more than one of a name.
        """
        for name in names:
            found = self._named.get(name, [])
            if len(found) > 1:
                raise DataError(f"both {found[0]} and {found[1]} are there; keep one of them")
            if found:
                return found[0]
        raise DataError(
            f"{self.root}: {' or '.join(names)} is not in it; download the annotations and put "
            "them there, under the names they were published with (docs/external-evaluation.md)"
        )

    def video(self, *stems: str) -> Path | None:
        """The video or image of the first of these names (no extension) that is found.

        One that is not there is `missing`, under the first name.

        Raises:
            DataError: two of a name.
        """
        for stem in stems:
            found = self._media.get(stem, [])
            if len(found) > 1:
                raise DataError(
                    f"both {found[0]} and {found[1]} are called {stem}; keep one of them"
                )
            if found:
                return found[0]
        self._missing[stems[0]] = None
        return None

    def relative(self, *candidates: str) -> Path | None:
        """The first of these paths in the folder that is there; else the first is `missing`."""
        for candidate in candidates:
            path = self.root / candidate
            if path.is_file():
                return path
        self._missing[candidates[0]] = None
        return None


def read_json(path: Path) -> Any:
    """
    Raises:
        DataError: not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}); download it again") from error


def read_json_lines(path: Path) -> list[tuple[str, Any]]:
    """(place, value) of each line that is not empty.

    Raises:
        DataError: a line that is not JSON.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append((f"{path}, line {number}", json.loads(line)))
            except ValueError as error:
                raise DataError(
                    f"{path}, line {number} is no JSON ({error}); download it again"
                ) from error
    return found


def read_table(
    path: Path, columns: Sequence[str], *, header: bool = True
) -> list[tuple[str, dict[str, str]]]:
    """(place, row) of each row of a CSV that has at least these columns.

    Args:
        header: False where the file has none and its columns are these, in this order.

    Raises:
        DataError: a column is missing, or a row ends too early.
    """
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, None if header else list(columns))
        absent = [name for name in columns if name not in (reader.fieldnames or ())]
        if absent:
            raise DataError(
                f"{path} has no column {', '.join(absent)}; is it the file that was published?"
            )
        rows = []
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if any(row[name] is None for name in columns):
                raise DataError(f"{place} ends too early; download the file again")
            rows.append((place, row))
    return rows


def get(entry: Any, key: str, kind: type[T], place: str) -> T:
    """The value of a key; an integer is a float too.

    Raises:
        DataError: `entry` is no object, has no such key, or its value is of another type.
    """
    if not isinstance(entry, Mapping) or key not in entry:
        raise DataError(f"{place}: {key!r} is missing; is it the file that was published?")
    return typed(entry[key], kind, f"{place}, {key}")


def typed(value: Any, kind: type[T], place: str) -> T:
    """
    Raises:
        DataError: `value` is of another type.
    """
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DataError(
            f"{place} is {value!r:.80}, not of type {kind.__name__}; is it the file that was "
            "published?"
        )
    return value


def number(text: str, place: str) -> float:
    """
    Raises:
        DataError: not a number.
    """
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{place}: {text!r} is no number; download the file again") from None


def interval(start_s: float, end_s: float, place: str) -> tuple[float, float]:
    """
    Raises:
        DataError: it does not end after it starts.
    """
    if not 0 <= start_s < end_s:
        raise DataError(
            f"{place}: {start_s} to {end_s} s is no stretch of a video; correct or delete the entry"
        )
    return start_s, end_s


def stretch(times: list[Any], place: str) -> tuple[float, float]:
    """Start and end [s] of a list of both.

    Raises:
        DataError: not two numbers, or no interval.
    """
    if len(times) != 2:
        raise DataError(f"{place}: a segment has a start and an end, not {times!r:.80}")
    start_s, end_s = (typed(time, float, place) for time in times)
    return interval(start_s, end_s, place)
