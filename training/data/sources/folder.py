"""A folder of videos and images with a JSONL file of what is to be said of them.

One line a sample: {"file", "caption"} or {"file", "question", "answer"}, and what `FIELDS` names
besides.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.data.decode import clip
from training.data.encode import cut
from training.data.errors import DataError, SampleError
from training.data.json_lines import numbered_lines, parsed
from training.data.samples import EXTENSIONS, IMAGE_EXTENSIONS, from_values
from training.data.skips import Skips
from training.data.writer import Draft
from vljepa_ros.config import ModelConfig

FIELDS = {
    *("file", "start_s", "end_s", "task"),
    *("caption", "query"),
    *("question", "answer", "candidates"),
}
SPELLINGS = {"jpeg": "jpg"}
PROBED_FRAMES, PROBED_PX = 2, 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of videos and images")
    parser.add_argument("--jsonl", type=Path, required=True, help="one line for each sample")


def run(given: argparse.Namespace, skips: Skips) -> Iterator[Draft]:
    return drafts(given.folder, given.jsonl, skips)


def drafts(folder: Path, jsonl: Path, skips: Skips) -> Iterator[Draft]:
    """A draft of every line.

    Args:
        jsonl: files in it are named relative to `folder`.

    Raises:
        DataError: no such file; or more lines than `skips` allows are bad.
    """
    if not jsonl.is_file():
        raise DataError(
            f"{jsonl} is no file; write one line for each sample, as "
            '{"file": "a.mp4", "caption": "a hand opens the drawer"}'
        )
    for number, line in numbered_lines(jsonl):
        with skips.guard(f"{jsonl.name} line {number}"):
            yield draft(folder, read_line(line), f"{jsonl.name}:{number}")


def read_line(line: bytes) -> dict[str, Any]:
    """
    Raises:
        SampleError: no object with the fields of a caption, or of a question.
    """
    values = parsed(line)
    if not isinstance(values, dict) or not isinstance(values.get("file"), str):
        raise SampleError('give an object with "file", the name of a video or image')
    unknown = sorted(set(values) - FIELDS)
    if unknown:
        raise SampleError(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(FIELDS))}")
    if ("caption" in values) == ("question" in values and "answer" in values):
        raise SampleError('give either "caption", or "question" and "answer"')
    return values


def draft(folder: Path, values: dict[str, Any], source: str) -> Draft:
    """The draft of one line.

    Raises:
        SampleError: a field is wrong, or the file is missing or cannot be decoded.
    """
    path = folder / values["file"]
    if not path.is_file():
        raise SampleError(f"{path} is no file; correct its name")
    sample = from_values(_asked(values) | {"source": f"{source} {values['file']}"})
    extension = path.suffix.lower().removeprefix(".")
    extension = SPELLINGS.get(extension, extension)
    timed = sample.start_s is not None or sample.end_s is not None
    if timed and extension in IMAGE_EXTENSIONS:
        raise SampleError(f"{path.name} is an image; leave out start_s and end_s")
    if timed or extension not in EXTENSIONS:
        media, extension = cut(path, sample.start_s, sample.end_s), "mp4"
        sample = replace(sample, start_s=None, end_s=None)
    else:
        media = path.read_bytes()
    clip(media, extension, PROBED_FRAMES, PROBED_PX)
    return Draft(sample, media, extension)


def _asked(values: dict[str, Any]) -> dict[str, Any]:
    """Query, target and the other fields of a sample."""
    given = {k: values[k] for k in ("start_s", "end_s", "candidates", "task") if k in values}
    if "caption" in values:
        query = values.get("query", ModelConfig().caption_query)
        return {"task": "caption"} | given | {"query": query, "target": values["caption"]}
    return {"task": "question"} | given | {"query": values["question"], "target": values["answer"]}
