"""Commands that do something with one folder of shards and say how much of it there is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from training.data.errors import DataError


def on_folder(
    does: str | None, work: Callable[[Path], int], things: str, arguments: Sequence[str] | None
) -> int:
    """Exit status of a command line that names a folder; `work` returns how many `things`."""
    parser = argparse.ArgumentParser(description=does)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    try:
        count = work(folder)
    except DataError as error:
        print(f"{folder}: {error}", file=sys.stderr)
        return 1
    print(f"{folder}: {count} {things}")
    return 0
