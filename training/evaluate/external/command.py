"""What the programs of this package share: a benchmark made ready, and a command of a function."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from training.data.errors import DataError
from training.evaluate.external.items import Benchmark, Classification, Retrieval
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.device import EngineError
from vljepa_ros.model.text import TextError

Scores = Mapping[str, Any]
NAMED = 3
"""Missing videos named in an error."""


def complete(asked: Benchmark, folder: Path, skip_missing: bool) -> Benchmark:
    """The same benchmark, if all of its videos are there or may be missing.

    Raises:
        DataError: some are missing.
    """
    if asked.missing and not skip_missing:
        raise DataError(
            f"{folder} lacks {len(asked.missing)} videos, the first {list(asked.missing[:NAMED])}; "
            "put them there, or leave them out by --skip_missing true"
        )
    return asked


def with_texts(asked: Benchmark, query: str, prompt: str) -> Benchmark:
    """The same benchmark with another query, and labels in a prompt.

    Raises:
        DataError: a prompt without the place for a label.
    """
    if "{}" not in prompt:
        raise DataError(f"the prompt {prompt!r} has no {{}}; write one as 'a video of {{}}'")
    if isinstance(asked, Classification):
        labels = tuple(prompt.replace("{}", label) for label in asked.labels)
        asked = dataclasses.replace(asked, labels=labels)
    if query and isinstance(asked, (Classification, Retrieval)):
        asked = dataclasses.replace(asked, query=query)
    return asked


def run(
    parser: ArgumentParser,
    first: str,
    evaluate: Callable[..., Scores],
    show: Callable[[Scores], None],
    arguments: Sequence[str] | None,
) -> int:
    """Exit status; 1 with one sentence where something cannot be used.

    Args:
        parser: has the argument `first`; the others of `evaluate` become options.
    """
    parser.add_function_arguments(evaluate, skip={first})
    chosen = parser.parse_args(arguments)
    try:
        scores = evaluate(**chosen.as_dict())
    except (DataError, CheckpointError, EngineError, TextError) as error:
        print(error, file=sys.stderr)
        return 1
    show(scores)
    return 0
