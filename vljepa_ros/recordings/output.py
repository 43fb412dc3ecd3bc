"""Files that are written: under names of their own until they are complete."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.moments import Channel

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Writer

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Output:
    """An MCAP file that is open for writing. Made by `open_output`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._connections: dict[Channel, Connection] = {}

    def write(self, channel: Channel, log_ns: int, message: bytes | memoryview) -> None:
        """One message; a channel is announced by its first one."""
        connection = self._connections.get(channel)
        if connection is None:
            connection = self._connections[channel] = self._writer.add_connection(
                channel.topic,
                channel.type_name,
                msgdef=channel.definition,
                rihs01=channel.digest,
                offered_qos_profiles=list(channel.qos),
            )
        self._writer.write(connection, log_ns, message)


def partial_of(path: Path) -> Path:
    """Where an output lies that is not complete; a folder."""
    return path.with_name(f"{path.name}.partial")


@contextmanager
def open_output(path: Path, *, force: bool = False) -> Iterator[Output]:
    """Write `path`: it appears, or is replaced, when all is written and on the disk.

    What a killed process left of it is begun anew; a failure leaves nothing behind.

    Raises:
        RecordingError: it is there already, is being written by another process, or there is no
            room for it.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer

    check_output(path, force=force)
    with _room(path), _alone(partial_of(path)) as folder:
        inner = folder / path.stem
        with Writer(inner, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            yield Output(writer)
        [written] = inner.glob("*.mcap")
        _to_disk(written)
        written.replace(path)
        _to_disk(path.parent)


def check_output(path: Path, *, force: bool) -> None:
    """
    Raises:
        RecordingError: the file is there and must not be replaced, or is a folder.
    """
    if path.is_dir():
        raise RecordingError(f"{path} is a folder, not a file that can be written")
    if path.exists() and not force:
        raise RecordingError(
            f"{path} is there already; give --force to replace it, or --resume to leave finished "
            "ones as they are"
        )


def write_text(path: Path, text: str, *, force: bool = False) -> None:
    """Write a text file; it appears, or is replaced, when it is complete.

    Raises:
        RecordingError: the file is there already, or cannot be written.
    """
    with appearing(path, force=force) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def appearing(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Another name to write a file under: it becomes `path` at the end, and nothing on failure.

    Raises:
        RecordingError: the file is there already, or cannot be written.
    """
    check_absent(path, force=force)
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritten(path, error, "or write elsewhere") from error


def check_absent(path: Path, *, force: bool) -> None:
    """
    Raises:
        RecordingError: the file is there and must not be replaced.
    """
    if path.exists() and not force:
        raise RecordingError(f"{path} is there already; give --force to replace it")


@contextmanager
def _room(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        mend = (
            "write elsewhere, or give --without-originals: then it takes a few kilobytes a second"
        )
        raise _unwritten(path, error, mend) from error


def _unwritten(path: Path, error: OSError, mend: str) -> RecordingError:
    """`mend`: what helps besides making room."""
    if error.errno in NO_ROOM:
        return RecordingError(f"no room for {path} ({error.strerror}); free some, {mend}")
    why = error.strerror or error
    return RecordingError(f"{path} cannot be written ({why}); name a place where this user may")


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards, that no other process uses: each would ruin the other's."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise RecordingError(
            f"{folder} is being written by another process; wait for its end, or write elsewhere"
        ) from error
    try:
        for left in folder.iterdir():  # by a process that was killed
            shutil.rmtree(left)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
