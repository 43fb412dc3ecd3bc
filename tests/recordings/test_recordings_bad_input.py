"""What cannot be replayed: each gets one sentence that says the mend, and leaves nothing behind."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bag_harness import BEGIN_NS, TOPIC, film, jpeg, picture, raw, stamp_of, text, write_bag
from rosbags.rosbag2 import CompressionMode

from vljepa_ros.config import PerceptionConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings.bag import open_reader
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.replay import ReplayOptions, replay


def said(source: Path, engine: Engine, *, topic: str = "") -> str:
    """The error of a replay; it is one line, the source stays and nothing is written."""
    output = source.parent / "written" / "out.mcap"
    before = sorted(source.parent.rglob("*"))
    with pytest.raises(RecordingError) as caught:
        replay(source, output, engine, PerceptionConfig(), ReplayOptions(topic=topic))
    assert [p for p in sorted(source.parent.rglob("*")) if p != output.parent] == before
    assert not output.parent.exists() or not list(output.parent.iterdir())
    message = str(caught.value)
    assert "\n" not in message and str(source) in message
    return message


def file_of(bag: Path) -> Path:
    [file] = [p for p in bag.iterdir() if p.suffix in (".mcap", ".db3")]
    return file


def cut(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


def damage(file: Path) -> None:
    """Overwrite the second half, but not the end."""
    content = bytearray(file.read_bytes())
    middle, end = len(content) // 2, len(content) - 100
    content[middle:end] = b"\xaa" * (end - middle)
    file.write_bytes(content)


# --- files that are not whole, or something else -----------------------------------------------


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_truncated_mcap(share: float, engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film())
    cut(file_of(bag), share)
    assert f"mcap recover {file_of(bag)} -o" in said(bag, engine), "a folder cannot be recovered"
    assert "truncated" in said(file_of(bag), engine)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_truncated_sqlite_bag(share: float, engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), "sqlite3")
    cut(file_of(bag), share)
    assert re.search(r"ros2 bag|sqlite3 \S+\.db3 \.dump", said(bag, engine))


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="needs the command sqlite3")
def test_a_damaged_database_is_saved_as_the_error_says(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(40), "sqlite3")
    content = bytearray(file_of(bag).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = b"\xff" * 20_000
    file_of(bag).write_bytes(content)
    command = said(bag, engine).partition("read that: ")[2]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, capture_output=True)
    done = replay(tmp_path / "MENDED.db3", tmp_path / "out.mcap", engine, PerceptionConfig())
    assert 10 < done.tally.states < 40


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_damaged_file(storage: str, engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), storage)
    damage(file_of(bag))
    assert "cannot be read" in said(bag, engine)


@pytest.mark.parametrize("name", ["a.mcap", "a.db3", "a.bag", "a.mp4"])
def test_an_empty_file(name: str, engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / name
    path.touch()
    assert "is empty" in said(path, engine)


@pytest.mark.parametrize(
    ("name", "content", "mend"),
    [
        ("a.mcap", b"SQLite format 3\x00 and so on", "name it .db3"),
        ("a.db3", b"\x89MCAP0\r\n and so on", "name it .mcap"),
        ("a.db3", b"words", "neither MCAP nor SQLite"),
        ("a.bag", b"#ROSBAG V2.0\n", "rosbags-convert"),
        ("a.txt", b"words", "neither a bag"),
        ("a.mp4", b"words", "neither a bag"),
        ("noname", b"\x89MCAP0\r\n and so on", "name it .mcap"),
        ("a.mcap", b"age-encryption.org/v1\n-> X25519", "is encrypted: decrypt it"),
        ("a.db3", b"Salted__" + bytes(range(40)), "is encrypted: decrypt it"),
        ("a.mcap.asc", b"-----BEGIN PGP MESSAGE-----\n", "is encrypted: decrypt it"),
        ("a.mcap.gpg", b"\x85\x01\x0c\x03" + bytes(40), "is encrypted: decrypt it"),
        ("a.db3", bytes(range(99, 150)), "if it is encrypted, decrypt it"),  # as SQLCipher writes
    ],
)
def test_a_foreign_or_encrypted_file(
    name: str, content: bytes, mend: str, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert mend in said(path, engine)


def test_an_mcap_that_is_not_of_ros_2(engine: Engine, tmp_path: Path) -> None:
    file = file_of(write_bag(tmp_path / "bag", film()))
    file.write_bytes(file.read_bytes().replace(b"\x04\0\0\0ros2", b"\x04\0\0\0json", 1))
    error = said(file, engine)
    assert (
        "Profile is not ros2" in error
        and "ros2 bag record" in error
        and "mcap recover" not in error
    )


def test_an_mcap_whose_chunks_cannot_be_unpacked(engine: Engine, tmp_path: Path) -> None:
    """As one whose chunks are encrypted, which their `compression` says."""
    bag = write_bag(tmp_path / "bag", film(), compression=CompressionMode.STORAGE)
    file = file_of(bag)
    content = file.read_bytes()
    assert b"\x04\0\0\0zstd" in content
    file.write_bytes(content.replace(b"\x04\0\0\0zstd", b"\x04\0\0\0aes1"))
    assert "cannot be read" in said(bag, engine)


def test_a_bag_that_was_packed_in_an_unknown_way(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), "sqlite3", compression=CompressionMode.MESSAGE)
    metadata = bag / "metadata.yaml"
    assert "zstd" in metadata.read_text()
    metadata.write_text(metadata.read_text().replace("zstd", "aes256"))
    error = said(bag, engine)
    assert "aes256" in error and "ros2 bag convert" in error and "reindex" not in error


def test_a_bag_of_a_newer_version(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), "sqlite3")
    metadata = bag / "metadata.yaml"
    newer = re.sub(r"version: \d+", "version: 99", metadata.read_text(), count=1)
    metadata.write_text(newer)
    error = said(bag, engine)
    assert "newer ROS 2" in error and f"name a file in it: {file_of(bag).name}" in error


def test_a_database_of_something_else(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "songs.db3"
    with sqlite3.connect(path) as database:
        database.execute("create table songs (title text)")
    database.close()
    assert "a database of something else" in said(path, engine)


def test_a_compressed_file_without_its_folder(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), "sqlite3", compression=CompressionMode.FILE)
    [file] = bag.glob("*.zstd")
    assert "metadata.yaml" in said(file, engine)
    packed = tmp_path / "foreign.mcap"
    file.rename(packed)
    assert "zstd -d" in said(packed, engine)


def test_a_folder_without_metadata(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film())
    (bag / "metadata.yaml").unlink()
    assert "ros2 bag reindex" in said(bag, engine)
    file_of(bag).unlink()
    assert "ros2 bag record" in said(bag, engine)


@pytest.mark.parametrize("content", ["", "a: b", "rosbag2_bagfile_information: 3", "[", "\x00"])
def test_metadata_that_says_nothing(content: str, engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film())
    (bag / "metadata.yaml").write_text(content)
    error = said(bag, engine)
    assert "cannot be read" in error and "ros2 bag reindex" in error and "recover" not in error


def test_a_part_of_the_bag_is_missing(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), "sqlite3")
    file_of(bag).unlink()
    error = said(bag, engine)
    assert "missing" in error and "bring them back" in error


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("content", [b"", b"words", b"Salted__" + bytes(40)])
def test_a_stray_file_in_a_bag_is_told_and_not_read(
    storage: str,
    content: bytes,
    engine: Engine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bag = write_bag(tmp_path / "bag", film(), storage)
    stray = bag / f"copy{file_of(bag).suffix}"
    stray.write_bytes(content)
    done = replay(bag, tmp_path / "out.mcap", engine, PerceptionConfig())
    assert done.tally.states == 8
    [note] = done.notes
    assert stray.name in note and f"ros2 bag reindex {bag}" in note
    with open_reader(bag):
        assert note in caplog.text


def test_a_bag_whose_metadata_names_its_folder_as_well(engine: Engine, tmp_path: Path) -> None:
    """As rosbag2 wrote it before version 4."""
    bag = write_bag(tmp_path / "bag", film())
    metadata = bag / "metadata.yaml"
    name = file_of(bag).name
    metadata.write_text(metadata.read_text().replace(f"- {name}", f"- bag/{name}", 1))
    assert f"- bag/{name}" in metadata.read_text()
    assert replay(bag, tmp_path / "out.mcap", engine, PerceptionConfig()).notes == ()
    cut(file_of(bag), 0.5)
    assert "truncated" in said(bag, engine)


def test_an_encrypted_part_of_a_bag(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film())
    file_of(bag).write_bytes(b"Salted__" + bytes(range(40)))
    assert f"{file_of(bag)} is encrypted: decrypt it" in said(bag, engine)


def test_a_database_that_its_recorder_did_not_close(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), "sqlite3")
    connection = sqlite3.connect(file_of(bag))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("INSERT INTO metadata VALUES (9, 9, '')")
    connection.commit()
    assert "wal_checkpoint" in said(bag, engine)
    assert "wal_checkpoint" in said(file_of(bag), engine)
    connection.close()


def test_a_path_that_does_not_exist(engine: Engine, tmp_path: Path) -> None:
    assert "does not exist" in said(tmp_path / "none", engine)


# --- topics ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "topic", "mend"),
    [
        (list, "", "nothing was recorded"),
        (lambda: [text("a", BEGIN_NS)], "", "it has: /chatter (std_msgs/msg/String)"),
        (film, "/none", f"image topics: {TOPIC}"),
        (film, "/chatter", "is of type std_msgs/msg/String"),
        (
            lambda: [*film(), raw(picture(), BEGIN_NS, topic="/two")],
            "",
            f"--topic: {TOPIC}, /two",
        ),
        (lambda: [*film(), jpeg(picture(), BEGIN_NS)], "", "several types at once"),
        (lambda: film(encoding="16UC1"), "", "'16UC1' is not known"),
        (lambda: [raw(picture(), 0, log_ns=stamp_of(1))], "", "must stamp its images"),
    ],
)
def test_topics_that_cannot_be_perceived(
    make: Callable[[], list], topic: str, mend: str, engine: Engine, tmp_path: Path
) -> None:
    assert mend in said(write_bag(tmp_path / "bag", make()), engine, topic=topic)


def test_a_topic_without_messages(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film(), "sqlite3")
    with sqlite3.connect(file_of(bag)) as connection:
        connection.execute("DELETE FROM messages WHERE topic_id = 2")
    connection.close()
    assert "the camera was silent" in said(file_of(bag), engine)
