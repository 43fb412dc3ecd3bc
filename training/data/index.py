"""Index shards that another program wrote: `python -m training.data.index FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.data.errors import DataError
from training.data.shards import make_index, shard_paths, write_index


def index_folder(folder: Path) -> int:
    """Write an index beside every tar of a folder; returns the number of samples.

    Raises:
        DataError: no shards, or one that is damaged.
    """
    samples = 0
    for tar in shard_paths(folder):
        index = make_index(tar)
        write_index(tar, index)
        samples += len(index)
    return samples


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    try:
        samples = index_folder(folder)
    except DataError as error:
        print(f"{folder}: {error}", file=sys.stderr)
        return 1
    print(f"{folder}: {samples} samples")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
