"""Put what robots have seen into one Lance dataset, for search and training off the robot.

STORE is the file that parameter memory.path of the node perception names; the node may go on
writing meanwhile. OUT.lance is made, or grows by what it does not hold yet: times, cameras,
captions, embeddings, poses. A dataset holds embeddings of one model only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vljepa_ros.cli.errors import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stores", metavar="STORE", type=Path, nargs="+", help="files of memories")
    parser.add_argument("dataset", metavar="OUT.lance", type=Path, help="dataset to write")
    parser.add_argument(
        "--space", default="", help="space of the embeddings, where a store holds several"
    )


def run(given: argparse.Namespace) -> None:
    """
    Raises:
        CommandError: a store cannot be read, or the dataset not be written.
    """
    if given.dataset.suffix != ".lance":
        raise CommandError(
            f"{given.dataset} comes last and must end in .lance: {given.dataset}.lance"
        )
    from vljepa_ros.world.export import ExportError, export, space_of
    from vljepa_ros.world.record import MemoryStoreError

    try:
        spaces = {store: space_of(store, given.space) for store in given.stores}
        _check_one(spaces)
        for store, space_id in spaces.items():
            done = export(store, given.dataset, space_id)
            print(
                f"{given.dataset}: {done.added} entries of {store} added, {done.known} were there "
                f"already; {done.rows} in all",
                flush=True,
            )
    except (MemoryStoreError, ExportError) as error:
        raise CommandError(str(error)) from error


def _check_one(spaces: dict[Path, str]) -> None:
    """Before the first is written: embeddings of several models cannot be compared."""
    (first, space_id), *others = spaces.items()
    for store, other in others:
        if other != space_id:
            raise CommandError(
                f"{first} holds embeddings of space {space_id}, {store} of {other}, and only those "
                "of one space can be compared; export them into datasets of their own"
            )
