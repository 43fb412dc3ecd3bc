"""Index shards that another program wrote: `python -m training.data.index FOLDER`."""

from __future__ import annotations

from pathlib import Path

from training.data.command import on_folder
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
    return on_folder(__doc__, index_folder, "samples", arguments)


if __name__ == "__main__":
    raise SystemExit(main())
