"""Samples into shards of bounded size."""

from __future__ import annotations

import errno
import io
import tarfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from training.data.errors import DataError
from training.data.samples import EXTENSIONS, MediaSample, to_json
from training.data.shards import PARTIAL, make_index, write_index

SHARD_BYTES = 512 * 1024 * 1024
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WriteError(DataError):
    """The shards cannot be written; the message says what was kept and what to do."""


@dataclass(frozen=True)
class Draft:
    """A sample that is to be written: what is asked, and the video or image itself."""

    sample: MediaSample
    media: bytes
    extension: str


class ShardWriter:
    """Writes drafts into `folder`; a shard is there whole, with its index, or not at all.

    Keys are running numbers, so no two samples of a folder share one.

        with ShardWriter(folder) as writer:
            writer.add(draft)
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        """
        Args:
            shard_bytes: a shard is closed before it would grow larger; a single sample that is
                larger gets a shard of its own.

        Raises:
            WriteError: the folder holds shards already, or is a file.
        """
        if shard_bytes < 1:
            raise WriteError(f"shard_bytes is {shard_bytes}; use 1 or more")
        if folder.exists() and not folder.is_dir():
            raise WriteError(f"{folder} is a file; give a folder that is new or empty")
        if any(folder.glob("*.tar")):
            raise WriteError(f"{folder} holds shards already; give another folder or delete it")
        for left_over in folder.glob(f"*{PARTIAL}"):
            left_over.unlink()
        self.samples = 0
        self.shards = 0
        self._folder = folder
        self._shard_bytes = shard_bytes
        self._archive: tarfile.TarFile | None = None
        self._made: list[Path] = []
        """Folders that were not there before, the outer ones first."""

    def add(self, draft: Draft) -> None:
        """
        Raises:
            WriteError: the disk is full or cannot be written to.
        """
        if draft.extension not in EXTENSIONS:
            raise WriteError(f".{draft.extension} is not known; use {', '.join(EXTENSIONS)}")
        key = f"{self.samples:09d}"
        members = {f"{key}.{draft.extension}": draft.media, f"{key}.json": to_json(draft.sample)}
        size = sum(_padded(data) for data in members.values())
        try:
            if self._archive and self._archive.offset + size > self._shard_bytes:
                self._close_shard()
            archive = self._archive or self._open_shard()
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        except OSError as error:
            raise self._failed(error) from error
        self.samples += 1

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self._close_shard()
        except OSError as failure:
            raise self._failed(failure) from failure

    @property
    def _tar(self) -> Path:
        return self._folder / f"shard-{self.shards:06d}.tar"

    @property
    def _partial(self) -> Path:
        return self._tar.with_name(self._tar.name + PARTIAL)

    def _open_shard(self) -> tarfile.TarFile:
        # Not earlier: a source that gives nothing is to leave nothing behind.
        for folder in (*reversed(self._folder.parents), self._folder):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                self._made.append(folder)
        self._archive = tarfile.TarFile(self._partial, "w", format=tarfile.USTAR_FORMAT)
        return self._archive

    def _close_shard(self) -> None:
        if self._archive is None:
            return
        self._archive.close()
        self._archive = None
        # Read back from the disk, so that index and digest are of what is really there.
        index = make_index(self._partial)
        write_index(self._tar, index)
        self._partial.replace(self._tar)
        self.shards += 1

    def _abandon(self) -> None:
        """Close what is open, perhaps on a full disk, and leave nothing half written."""
        if self._archive is not None and self._archive.fileobj is not None:
            with suppress(OSError):
                self._archive.fileobj.close()
            self._archive = None
        for left_over in self._folder.glob(f"*{PARTIAL}"):
            left_over.unlink()
        with suppress(OSError):  # the first one that is not empty, with those around it, stays
            while self._made:
                self._made.pop().rmdir()

    def _failed(self, error: OSError) -> WriteError:
        self._abandon()
        mend = "Write into a new folder, in a place where this user may write"
        if error.errno in FULL:
            mend = "Free some space (or choose another disk) and write into a new folder"
        kept = f"; the {self.shards} shards before it are whole" if self.shards else ""
        return WriteError(f"cannot write {self._tar}: {error.strerror}{kept}. {mend}")


def write_shards(drafts: Iterable[Draft], folder: Path, shard_bytes: int = SHARD_BYTES) -> int:
    """Write all drafts; returns how many samples there are.

    Raises:
        WriteError: see `ShardWriter`, or there was nothing to write.
    """
    with ShardWriter(folder, shard_bytes) as writer:
        for draft in drafts:
            writer.add(draft)
    if not writer.samples:
        raise WriteError("the source gave no samples; nothing was written")
    return writer.samples


def _padded(data: bytes) -> int:
    """Bytes in a tar: a header and whole blocks."""
    block = tarfile.BLOCKSIZE
    return block + -(-len(data) // block) * block
