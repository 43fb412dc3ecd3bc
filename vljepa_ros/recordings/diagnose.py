"""Why a recording cannot be read, and what to do: told before a library stumbles over it."""

from __future__ import annotations

from pathlib import Path, PurePath

import yaml

from vljepa_ros.recordings.errors import RecordingError

MCAP_MAGIC = b"\x89MCAP0\r\n"
SQLITE_MAGIC = b"SQLite format 3\x00"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ROS1_MAGIC = b"#ROSBAG V"
ENCRYPTED_MAGIC = (b"age-encryption.org/", b"Salted__", b"-----BEGIN PGP MESSAGE")
ENCRYPTED_FILES = (".age", ".asc", ".enc", ".gpg", ".pgp")
BAG_FILES = (".mcap", ".db3")
ROS1_MEND = "is a ROS 1 bag; convert it: rosbags-convert --src {0} --dst {1}"


def is_bag(path: Path) -> bool:
    """Whether it is to be read as a bag; anything else is tried as a video."""
    if path.is_dir() or path.suffix in BAG_FILES:
        return True
    head = _head(path)
    known = (MCAP_MAGIC, SQLITE_MAGIC, ZSTD_MAGIC, ROS1_MAGIC)
    return not head or head.startswith(known) or _is_encrypted(path, head)


def is_sqlite(path: Path) -> bool:
    return _head(path).startswith(SQLITE_MAGIC)


def _is_encrypted(path: Path, head: bytes) -> bool:
    return head.startswith(ENCRYPTED_MAGIC) or path.suffix in ENCRYPTED_FILES


def check_bag(path: Path) -> None:
    """
    Raises:
        RecordingError: what lies there is no rosbag2 recording, or not a whole one.
    """
    if path.is_dir():
        _check_folder(path)
        return
    head = _head(path)
    if not head:
        raise RecordingError(
            f"{path} is empty: the recorder was killed at its start or the disk was full; "
            "record again"
        )
    if head.startswith(ROS1_MAGIC):
        raise RecordingError(f"{path} " + ROS1_MEND.format(path, path.with_suffix("")))
    if _is_encrypted(path, head):
        raise RecordingError(f"{path} is encrypted: decrypt it, and name what that gives")
    if head.startswith(ZSTD_MAGIC):
        raise RecordingError(
            f"{path} is a compressed file: name the folder with its metadata.yaml instead, or "
            f"unpack it (zstd -d {path})"
        )
    _check_file(path, head)


def stray_files(path: Path) -> list[Path]:
    """Files in a bag's folder that look like parts of it, but that its metadata.yaml leaves out."""
    named = _parts_named(path)
    return [p for p in _parts_found(path) if p.name not in named] if named else []


def _parts_found(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in BAG_FILES) if folder.is_dir() else []


def _parts_named(folder: Path) -> list[str]:
    """What metadata.yaml says the bag consists of; empty where it cannot be read."""
    try:
        content = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
        paths = content["rosbag2_bagfile_information"]["relative_file_paths"]
        return [PurePath(path).name for path in paths]  # before version 4 with the folder's name
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError):
        return []  # the reader tells what is wrong with it


def _check_folder(folder: Path) -> None:
    if (folder / "metadata.yaml").is_file():
        for name in _parts_named(folder):  # one that is broken is named: it alone is to be mended
            part = folder / name
            if part.suffix in BAG_FILES and part.is_file():
                check_bag(part)
        return
    files = [part.name for part in _parts_found(folder)]
    if files:
        raise RecordingError(
            f"{folder} has no metadata.yaml: the recorder was killed; mend it with "
            f"'ros2 bag reindex {folder}', or name a file in it: {', '.join(files)}"
        )
    raise RecordingError(
        f"{folder} is no recording: it has no metadata.yaml, .mcap or .db3 in it; "
        "name the folder that 'ros2 bag record' made"
    )


def _check_file(path: Path, head: bytes) -> None:
    expected = MCAP_MAGIC if path.suffix == ".mcap" else SQLITE_MAGIC
    if not head.startswith(expected):
        found = {MCAP_MAGIC: "an MCAP file: name it .mcap", SQLITE_MAGIC: "SQLite: name it .db3"}
        what = next((said for magic, said in found.items() if head.startswith(magic)), "neither")
        raise RecordingError(
            f"{path} is no {path.suffix.lstrip('.') or 'bag'} recording; its content is {what}"
            + (
                " MCAP nor SQLite; if it is encrypted, decrypt it first"
                if what == "neither"
                else ""
            )
        )
    if expected is MCAP_MAGIC:
        _check_mcap_end(path)
    else:
        _check_wal(Path(f"{path}-wal"))


def _check_mcap_end(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - len(MCAP_MAGIC), 0))
        if size > 2 * len(MCAP_MAGIC) and file.read() == MCAP_MAGIC:
            return
    raise RecordingError(f"{path} is truncated: {_mcap_mend(path)}")


def _check_wal(log: Path) -> None:
    """SQLite's log beside the database holds messages that a reader without it does not see."""
    if log.is_file() and log.stat().st_size:
        database = str(log).removesuffix("-wal")
        raise RecordingError(
            f"{database} was not closed by its recorder; end the recorder, or merge its log: "
            f"sqlite3 {database} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        )


def mend_of(error: Exception, path: Path) -> str:
    """What a library said of a recording, on one line, and the mend."""
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, PermissionError):
        return f"{said}; make it readable for this user"
    parts = [path] if path.is_file() else _parts_found(path)
    known = {
        "Profile is not ros2": "it is of another system; convert it, or use ros2 bag record",
        "are missing": f"bring them back, or 'ros2 bag reindex {path}' for what is left",
        "Compression format": (
            "it was compressed or encrypted by a plugin that is not read here: undo that where the "
            "plugin is installed ('ros2 bag convert'), and read what that gives"
        ),
        "Rosbag2 version": (
            "it is of a newer ROS 2 than is known here: pip install --upgrade rosbags"
            + (f", or name a file in it: {', '.join(p.name for p in parts)}" if parts else "")
        ),
        "missing tables": (
            "it is a database of something else, or its recorder was killed at its start; "
            "name a bag"
        ),
    }
    if mend := next((known[sign] for sign in known if sign in said), ""):
        return f"{said}; {mend}"
    if "YAML" in said or "metadata" in said:
        name = f", or name a file in it: {', '.join(p.name for p in parts)}" if parts else ""
        return f"{said}; move metadata.yaml away and 'ros2 bag reindex {path}'{name}"
    culprit = next((p for p in parts if p.name in said), parts[0] if len(parts) == 1 else None)
    if any(p.suffix == ".mcap" for p in parts):
        return f"{said}; {_mcap_mend(culprit or path / 'PART.mcap')}"
    if "malformed" in said:
        return f"{said}; {_sqlite_mend(culprit or path / 'PART.db3')}"
    return f"{said}; is it whole? 'ros2 bag info {path}' says more, 'ros2 bag reindex' mends some"


def _sqlite_mend(path: Path) -> str:
    """`.dump` ends with ROLLBACK where it met damage, and many builds cannot `.recover`."""
    return (
        f"save what can be read, and read that: sqlite3 {path} .dump | "
        "sed 's/^ROLLBACK.*/COMMIT;/' | sqlite3 MENDED.db3"
    )


def _mcap_mend(path: Path) -> str:
    return f"mend a copy with 'mcap recover {path} -o MENDED.mcap' and read that"


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(32)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
