"""Search what a robot has seen, in words.

STORE is the file that parameter memory.path of the node perception names; the node may go on
writing meanwhile. Or it is a recording with states: what `vljepa replay` wrote, or a bag in which
the topics of a node were recorded. Of each state the moment that fits best is shown, best first.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.cli.errors import CommandError
from vljepa_ros.config import MemoryConfig

if TYPE_CHECKING:
    from vljepa_ros.model.engine import Engine
    from vljepa_ros.types import Step
    from vljepa_ros.world.memory import Memory, Seen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="file of a memory, or a recording")
    parser.add_argument("text", metavar="TEXT", help="what to look for")
    parser.add_argument("-k", type=int, default=10, help="most states to show (default 10)")
    parser.add_argument("--camera", default="", help="only of this camera")
    parser.add_argument("--since", type=_time_ns, default=0, help="2026-11-25T08:00, local time")
    parser.add_argument("--until", type=_time_ns, default=0, help="2026-11-25T18:00, local time")
    parser.add_argument("--node", default="", help="of a recording, whose states (default: all)")
    parser.add_argument(
        "--model", default="", help="checkpoint folder that the node ran (default: the shipped one)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(given: argparse.Namespace) -> None:
    """
    Raises:
        CommandError: model, text or store cannot be used.
    """
    if given.k < 1:
        raise CommandError(f"-k must be 1 or more, not {given.k}")
    if given.until and given.until < given.since:
        raise CommandError("--until lies before --since: nothing can be seen then; exchange them")
    best = found(given)
    for seen in best:
        print(json.dumps(dataclasses.asdict(seen)) if given.json else _line(seen))


def found(given: argparse.Namespace) -> list[Seen]:
    """The states that fit best, best first.

    Raises:
        CommandError: model, text or store cannot be used, or nothing was seen there and then.
    """
    # Late: torch takes seconds to load, and a wrong option should be told at once.
    from vljepa_ros.model.checkpoint import CheckpointError
    from vljepa_ros.model.engine import Engine, EngineError
    from vljepa_ros.model.text import TextError
    from vljepa_ros.recordings.errors import RecordingError
    from vljepa_ros.world.record import MemoryStoreError

    try:
        engine = Engine.load(given.model, device="cpu")
        wanted_E = engine.encode_texts([given.text])[0]
        memories = _memories(given, engine)
    except (CheckpointError, EngineError, TextError, OSError) as error:
        raise CommandError(str(error)) from error
    except (MemoryStoreError, RecordingError) as error:
        raise CommandError(str(error)) from error
    if warning := engine.warning_about(given.text):
        print(f"vljepa search: {warning}", file=sys.stderr)
    best: list[Seen] = []
    with ExitStack() as opened:
        for memory in memories:
            opened.enter_context(closing(memory))
            best += memory.find(
                wanted_E, camera=given.camera, start_ns=given.since, end_ns=given.until, k=given.k
            )
        if not best:
            raise CommandError(_nothing(given, memories))
    return sorted(best, key=lambda seen: -seen.similarity)[: given.k]


def _nothing(given: argparse.Namespace, memories: Sequence[Memory]) -> str:
    """Why nothing was found, though there is always a best entry where there is one."""
    extents = [extent for memory in memories if (extent := memory.extent()) is not None]
    if not extents:
        return (
            f"{given.store} holds no entries yet; the node writes them while it is active, and a "
            f"copy needs {Path(given.store).name}-wal beside it, if the robot has that"
        )
    cameras = sorted({camera for extent in extents for camera in extent.cameras})
    if given.camera and given.camera not in cameras:
        return f"{given.store} knows no camera {given.camera}; --camera one of {', '.join(cameras)}"
    first_ns = min(extent.first_ns for extent in extents)
    last_ns = max(extent.last_ns for extent in extents)
    where = f" of camera {given.camera}" if given.camera else ""
    return (
        f"nothing{where} was noted in that time; what {given.store} holds begins at "
        f"{_when(first_ns)} and ends at {_when(last_ns)}: give --since and --until within"
    )


def _memories(given: argparse.Namespace, engine: Engine) -> list[Memory]:
    """The store; of a recording one for each node, whose ids of states are its own."""
    from vljepa_ros.recordings.steps import read_steps
    from vljepa_ros.world.memory import Memory

    store = Path(given.store)
    if not store.exists():
        raise CommandError(
            f"{store} does not exist; name the file of parameter memory.path, or a recording"
        )
    if not _is_record(store):
        steps_of = read_steps(store, node=given.node)
        return [_memory_of(steps, given.store, engine) for steps in steps_of.values()]
    if given.node:
        raise CommandError("--node is for recordings; a memory tells cameras apart: --camera")
    config = MemoryConfig(path=given.store)
    memory = Memory(config, engine.space_id, engine.embedding_width, read_only=True)
    if not len(memory) and memory.foreign:
        raise _other_model(memory.foreign, given.store, engine)
    return [memory]


def _memory_of(steps: Sequence[tuple[str, Step]], store: str, engine: Engine) -> Memory:
    """In RAM, of every state and without bounds: the recording has them."""
    from vljepa_ros.world.memory import Memory

    foreign = sum(space_id != engine.space_id for space_id, _ in steps)
    if foreign:
        raise _other_model(foreign, store, engine)
    config = MemoryConfig(state_interval_s=1e-9, max_age_s=1e10, max_mb=1e6)
    memory = Memory(config, engine.space_id, engine.embedding_width)
    for _, step in steps:
        memory.note(step)
    return memory


def _other_model(foreign: int, store: str, engine: Engine) -> CommandError:
    return CommandError(
        f"all {foreign} entries of {store} are of another model than {engine.config.name} "
        f"({engine.sha256[:12]}); give --model the one that the node ran"
    )


def _is_record(store: Path) -> bool:
    """Whether it is to be read as a memory; anything else is tried as a recording."""
    from vljepa_ros.recordings.diagnose import is_sqlite
    from vljepa_ros.world.record import is_record

    if store.is_dir() or store.suffix == ".mcap":
        return False
    try:
        return is_record(store) or (store.suffix != ".db3" and is_sqlite(store))
    except OSError as error:
        raise CommandError(f"{store} cannot be read: {error.strerror}") from error


def _when(stamp_ns: int) -> str:
    return datetime.fromtimestamp(stamp_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _line(seen: Seen) -> str:
    when = _when(seen.stamp_ns)
    line = f"{when}  {seen.similarity:5.2f}  {seen.camera} #{seen.state_id}  {seen.caption}"
    if seen.pose is not None:
        x, y, z = seen.pose.position_m
        line += f"  at {x:.2f} {y:.2f} {z:.2f} m in {seen.pose.frame_id}"
    return line


def _time_ns(text: str) -> int:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1e9)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it as 2026-11-25T08:00"
        ) from error
