"""Shards: tar files of samples that WebDataset and megatron-energon read as well.

A folder holds `shard-000000.tar`, `shard-000001.tar` …, each with its index beside it,
`shard-000000.json`. A sample is two members of a tar that follow each other: `KEY.mp4` (or another
of `EXTENSIONS`) and `KEY.json`. The index says where each lies, so any sample is read without
unpacking.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from training.data.errors import DataError, SampleError
from training.data.samples import EXTENSIONS, MediaSample, from_json

INDEX_FORMAT = 1
PARTIAL = ".partial"
HASH_CHUNK = 1 << 20


class ShardError(DataError):
    """A tar that is no shard, or an index that does not belong to it."""


@dataclass(frozen=True)
class ShardIndex:
    """Where each sample of a shard lies: lists of equal length, one entry a sample; in bytes."""

    sha256: str
    size: int
    keys: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)
    media_offsets: list[int] = field(default_factory=list)
    media_sizes: list[int] = field(default_factory=list)
    json_offsets: list[int] = field(default_factory=list)
    json_sizes: list[int] = field(default_factory=list)
    format: int = INDEX_FORMAT

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class Entry:
    """One sample in a tar: (offset, size) of its members, by extension."""

    key: str
    members: dict[str, tuple[int, int]]

    def fault(self) -> str | None:
        """What is wrong with it, if anything."""
        media = [e for e in self.members if e in EXTENSIONS]
        unknown = sorted(set(self.members) - {*EXTENSIONS, "json"})
        if unknown:
            return f"has an unknown member .{unknown[0]}; use .json and one of {_extensions()}"
        if "json" not in self.members:
            return "has no .json; write query, target, task and source into one"
        if len(media) != 1:
            return f"has {len(media)} videos or images; it needs exactly one of {_extensions()}"
        return None

    @property
    def extension(self) -> str:
        """Of its video or image."""
        return next(e for e in self.members if e in EXTENSIONS)


def _extensions() -> str:
    return ", ".join(f".{e}" for e in EXTENSIONS)


def shard_paths(folder: Path) -> list[Path]:
    """The tars of a folder in order.

    Raises:
        DataError: there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; make it with python -m training.data.write")
    paths = sorted(folder.glob("*.tar"))
    if not paths:
        raise DataError(f"{folder} has no shards; make them with python -m training.data.write")
    return paths


def index_path(tar: Path) -> Path:
    return tar.with_suffix(".json")


def read_entries(tar: Path) -> Iterator[Entry]:
    """The samples of a tar in its order, whole or not.

    Raises:
        ShardError: the tar is empty or damaged.
    """
    if not tar.stat().st_size:
        raise ShardError(f"{tar.name} is empty (0 bytes); write it again")
    key = ""
    members: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                name, _, extension = member.name.partition(".")
                # A member that comes twice begins another sample, which has the same key.
                if members and (name != key or extension.lower() in members):
                    yield Entry(key, members)
                    members = {}
                key = name
                members[extension.lower()] = (member.offset_data, member.size)
    except (tarfile.TarError, EOFError) as error:
        raise ShardError(f"{tar.name} is damaged ({error}); copy or write it again") from error
    if not members:
        raise ShardError(f"{tar.name} holds no samples; delete it or write it again")
    yield Entry(key, members)


def make_index(tar: Path) -> ShardIndex:
    """Read a whole tar and index it.

    Raises:
        ShardError: the tar is empty or damaged, or a sample in it is not whole.
    """
    index = ShardIndex(digest(tar), tar.stat().st_size)
    for entry in read_entries(tar):
        try:
            if fault := entry.fault():
                raise SampleError(fault)
            sample = from_json(read_span(tar, *entry.members["json"]))
        except SampleError as error:
            raise ShardError(f"{tar.name}: {entry.key}: {error}") from error
        index.keys.append(entry.key)
        index.tasks.append(sample.task)
        index.extensions.append(entry.extension)
        for kind, name in ((entry.extension, "media"), ("json", "json")):
            offset, size = entry.members[kind]
            getattr(index, f"{name}_offsets").append(offset)
            getattr(index, f"{name}_sizes").append(size)
    return index


def write_index(tar: Path, index: ShardIndex) -> None:
    """Write it beside the tar, whole or not at all."""
    path = index_path(tar)
    partial = path.with_name(path.name + PARTIAL)
    partial.write_text(json.dumps(asdict(index), ensure_ascii=False), encoding="utf-8")
    partial.replace(path)


def read_index(tar: Path) -> ShardIndex:
    """
    Raises:
        ShardError: there is none, it is no index, or the tar has another size.
    """
    path = index_path(tar)
    mend = f"run python -m training.data.index {tar.parent}"
    if not path.exists():
        raise ShardError(f"{tar.name} has no index {path.name}; {mend}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        index = ShardIndex(**values)
    except (ValueError, TypeError) as error:
        raise ShardError(f"{path.name} is no index ({error}); {mend}") from error
    columns = {len(v) for v in values.values() if isinstance(v, list)}
    known = all(extension in EXTENSIONS for extension in index.extensions)
    if index.format != INDEX_FORMAT or len(columns) != 1 or not known:
        raise ShardError(f"{path.name} is of another format or damaged; {mend}")
    if index.size != tar.stat().st_size:
        raise ShardError(
            f"{tar.name} has {tar.stat().st_size} bytes, its index says {index.size}: it is cut "
            f"off or was changed; copy it again, or {mend}"
        )
    return index


def read_span(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes from `offset` on.

    Raises:
        SampleError: the file ends before.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) < size:
        raise SampleError(f"{path.name} ends in the middle of it; copy the shard again")
    return data


def read_sample(
    tar: Path, json_span: tuple[int, int], media_span: tuple[int, int]
) -> tuple[MediaSample, bytes]:
    """A sample and the bytes of its video or image.

    Raises:
        SampleError: it is not there or not a sample.
    """
    return from_json(read_span(tar, *json_span)), read_span(tar, *media_span)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()
