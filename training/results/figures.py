"""Files of results, and how their numbers are written in tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


class NotMeasuredError(Exception):
    """A file of results is not there; the message names the command that makes it."""


class Files:
    """Files of results by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, name: str) -> Figures:
        """
        Raises:
            NotMeasuredError: it is not there.
        """
        file = self.folder / f"{name}.json"
        if not file.exists():
            raise NotMeasuredError(f"no {file}; run python -m training.results --only '[{name}]'")
        found: Figures = json.loads(file.read_text())
        return found

    def __contains__(self, name: str) -> bool:
        return (self.folder / f"{name}.json").exists()


def number(value: float | None, places: int = 3, sign: bool = False) -> str:
    """.484, −.02, 1.63; a dash where nothing was measured."""
    if value is None:
        return "–"
    text = f"{abs(value):.{places}f}"
    text = text[1:] if text.startswith("0.") else text
    minus = value < 0 and any(c not in ".0" for c in text)
    return ("−" if minus else "+" if sign else "") + text


def interval(found: Mapping[str, float], sign: bool = False, places: int = 3) -> str:
    low, high = (number(found[end], places) for end in ("low", "high"))
    return f"{number(found['value'], places, sign)} ({low} to {high})"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bold(text: str, wanted: bool) -> str:
    return f"**{text}**" if wanted else text
