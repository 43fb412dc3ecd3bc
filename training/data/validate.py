"""Name every fault of a folder of shards: `python -m training.data.validate FOLDER`.

Exit status 1 where there is one. Decodes every video and image; `--quick` leaves that out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.data.decode import clip
from training.data.errors import DataError, SampleError
from training.data.shards import (
    PARTIAL,
    Entry,
    ShardError,
    digest,
    index_path,
    read_entries,
    read_index,
    read_sample,
    shard_paths,
)

PROBED_FRAMES = 16
PROBED_PX = 32


@dataclass(frozen=True)
class Fault:
    """What is wrong, and where; `key` is empty where it is the whole shard."""

    shard: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.shard}: {self.key + ': ' if self.key else ''}{self.what}"


@dataclass
class Count:
    """Of what was looked at."""

    shards: int = 0
    samples: int = 0


def faults(folder: Path, quick: bool = False, count: Count | None = None) -> Iterator[Fault]:
    """Every fault of a folder, in the order of its shards.

    Args:
        quick: decode nothing.
        count: is counted up.
    """
    count = count if count is not None else Count()
    try:
        tars = shard_paths(folder)
    except DataError as error:
        yield Fault(folder.name, "", str(error))
        return
    yield from _left_over(folder, tars)
    seen: dict[str, str] = {}
    for tar in tars:
        count.shards += 1
        yield from _shard_faults(tar)
        for entry, fault in _entry_faults(tar, quick):
            if fault is not None:
                yield fault
            if entry is None:
                continue
            count.samples += 1
            if entry.key in seen:
                what = f"{seen[entry.key]} has this key as well; give every sample its own"
                yield Fault(tar.name, entry.key, what)
            seen[entry.key] = tar.name


def _left_over(folder: Path, tars: list[Path]) -> Iterator[Fault]:
    for path in sorted(folder.glob(f"*{PARTIAL}")):
        yield Fault(path.name, "", "writing was interrupted here; delete it and write again")
    indices = {index_path(tar) for tar in tars}
    for path in sorted(set(folder.glob("shard-*.json")) - indices):
        yield Fault(path.name, "", "its shard is missing; copy it again or delete the index")


def _shard_faults(tar: Path) -> Iterator[Fault]:
    try:
        index = read_index(tar)
    except ShardError as error:
        yield Fault(tar.name, "", str(error))
        return
    if index.sha256 != digest(tar):
        yield Fault(tar.name, "", "its bytes are not those it was written with; copy it again")


def _entry_faults(tar: Path, quick: bool) -> Iterator[tuple[Entry | None, Fault | None]]:
    """Every sample with its fault if it has one; a fault alone where the tar is damaged."""
    try:
        for entry in read_entries(tar):
            what = _sample_fault(tar, entry, quick)
            yield entry, None if what is None else Fault(tar.name, entry.key, what)
    except ShardError as error:
        yield None, Fault(tar.name, "", str(error))


def _sample_fault(tar: Path, entry: Entry, quick: bool) -> str | None:
    if fault := entry.fault():
        return fault
    try:
        extension = entry.extension
        sample, media = read_sample(tar, entry.members["json"], entry.members[extension])
        if not quick:
            clip(media, extension, PROBED_FRAMES, PROBED_PX, sample.start_s, sample.end_s)
    except SampleError as error:
        return str(error)
    return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="decode nothing")
    given = parser.parse_args(arguments)
    count, bad = Count(), 0
    for fault in faults(given.folder, given.quick, count):
        bad += 1
        print(fault)
    verdict = "every one can be trained on" if not bad else f"{bad} faults"
    print(f"{given.folder}: {count.samples} samples in {count.shards} shards, {verdict}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
