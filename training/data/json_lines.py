"""Files with a JSON value a line, as people save them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from training.data.errors import SampleError


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, counted from 1; a line feed ends one, and nothing else does."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, line


def parsed(line: bytes) -> object:
    """
    Raises:
        SampleError: no JSON in UTF-8, with or without a byte order mark.
    """
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SampleError(f"not in UTF-8 ({error.reason}); save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise SampleError(f"no JSON: {error}") from error
