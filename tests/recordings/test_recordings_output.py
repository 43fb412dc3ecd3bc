"""The file that is written: complete or not there, and never in another's way."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bag_harness import Shot, film, messages, read_bag, text, write_bag

from vljepa_ros.config import PerceptionConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.messages import qos
from vljepa_ros.recordings.output import open_output, partial_of, write_text
from vljepa_ros.recordings.replay import ReplayOptions, replay

CHANNEL = messages().channel("/chatter", "std_msgs/msg/String", qos(10))
SHOTS = [text(f"number {n}", 10 + n) for n in range(5)]


def write(path: Path, shots: list[Shot], **options: bool) -> None:
    with open_output(path, **options) as output:
        for shot in shots:
            output.write(CHANNEL, shot.log_ns, shot.data)


def test_it_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "out.mcap"
    with open_output(path) as output:
        output.write(CHANNEL, SHOTS[0].log_ns, SHOTS[0].data)
        assert not path.exists() and partial_of(path).is_dir()
    assert [p.name for p in path.parent.iterdir()] == ["out.mcap"]
    assert read_bag(path).raw == {"/chatter": [(SHOTS[0].log_ns, SHOTS[0].data)]}


def test_what_is_there_is_replaced_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    write(path, SHOTS[:1])
    with pytest.raises(RecordingError, match="--force to replace it"):
        write(path, SHOTS)
    assert len(read_bag(path).log_ns) == 1
    write(path, SHOTS, force=True)
    assert len(read_bag(path).log_ns) == 5


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    write(path, SHOTS)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), open_output(path, force=True) as output:
        output.write(CHANNEL, 1, b"")
        raise ZeroDivisionError
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["out.mcap"]


def test_two_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    with open_output(path) as output:
        with pytest.raises(RecordingError, match=r"by another process; wait .* or write elsewhere"):
            write(path, SHOTS)
        output.write(CHANNEL, 1, SHOTS[0].data)
    assert len(read_bag(path).log_ns) == 1


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="is a folder"):
        write(tmp_path, SHOTS)
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match=r"cannot be written .*name a place"):
        write(tmp_path / "file" / "out.mcap", SHOTS)
    with pytest.raises(RecordingError, match=r"cannot be written .*name a place"):
        write_text(tmp_path / "file" / "page.html", "words")


@contextmanager
def file_limit(size_bytes: int) -> Iterator[None]:
    """The operating system refuses to let a file of this process grow beyond."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("kilobytes", [0, 1, 64, 1100, 2200])
def test_no_room(kilobytes: int, engine: Engine, tmp_path: Path) -> None:
    """At any moment: while opening, in the midst, and in the index at the end."""
    bag = write_bag(tmp_path / "bag", film(260))  # 2.4 MB of images
    output = tmp_path / "out" / "out.mcap"
    options = ReplayOptions()
    with file_limit(kilobytes * 1024), pytest.raises(RecordingError, match=r"no room for .*free"):
        replay(bag, output, engine, PerceptionConfig(rate_hz=0.2), options)
    assert not list(output.parent.iterdir())


def test_no_room_for_a_page(tmp_path: Path) -> None:
    with file_limit(100), pytest.raises(RecordingError, match=r"no room for .*free some"):
        write_text(tmp_path / "page.html", "x" * 1000)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from vljepa_ros.recordings.messages import Messages, qos
from vljepa_ros.recordings.output import open_output

channel = Messages().channel("/chatter", "std_msgs/msg/String", qos(10))
with open_output(Path(sys.argv[1])) as output:
    for n in range(50):
        output.write(channel, 10 + n, bytes(100_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_replay_leaves_no_output_and_begins_anew(engine: Engine, tmp_path: Path) -> None:
    output = tmp_path / "out.mcap"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(output)], check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = partial_of(output).rglob("*.mcap")
    assert left.stat().st_size > 1_000_000 and not output.exists()
    bag = write_bag(tmp_path / "bag", film())
    done = replay(bag, output, engine, PerceptionConfig())
    assert done.tally.states == len(read_bag(output).states()) == 8
    assert not partial_of(output).exists()


def test_an_output_inside_its_recording_is_refused(engine: Engine, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", film())
    [file] = bag.glob("*.mcap")
    config, force = PerceptionConfig(), ReplayOptions(force=True)
    for source, output in ((bag, bag / "out.mcap"), (file, file), (bag, bag / "a" / ".." / "o")):
        with pytest.raises(RecordingError, match="write elsewhere"):
            replay(source, output, engine, config, force)
