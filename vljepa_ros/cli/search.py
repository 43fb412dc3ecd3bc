"""Search what a robot has seen, in words.

STORE is the file that parameter memory.path of the node perception names; the node may go on
writing meanwhile. Of each state the moment that fits best is shown, best first.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

from vljepa_ros.cli.errors import CommandError
from vljepa_ros.config import MemoryConfig

if TYPE_CHECKING:
    from vljepa_ros.world.memory import Seen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="STORE", help="file of the memory")
    parser.add_argument("text", metavar="TEXT", help="what to look for")
    parser.add_argument("-k", type=int, default=10, help="most states to show (default 10)")
    parser.add_argument("--camera", default="", help="only of this camera")
    parser.add_argument("--since", type=_time_ns, default=0, help="2026-11-25T08:00, local time")
    parser.add_argument("--until", type=_time_ns, default=0, help="2026-11-25T18:00, local time")
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
    for seen in found(given):
        print(json.dumps(dataclasses.asdict(seen)) if given.json else _line(seen))


def found(given: argparse.Namespace) -> list[Seen]:
    """The states that fit best, best first."""
    # Late: torch takes seconds to load, and a wrong option should be told at once.
    from vljepa_ros.model.checkpoint import CheckpointError
    from vljepa_ros.model.engine import Engine, EngineError
    from vljepa_ros.model.text import TextError
    from vljepa_ros.world.memory import Memory
    from vljepa_ros.world.record import MemoryStoreError

    try:
        engine = Engine.load(given.model, device="cpu")
        wanted_E = engine.encode_texts([given.text])[0]
        config = MemoryConfig(path=given.store)
        memory = Memory(config, engine.space_id, engine.embedding_width, read_only=True)
    except (CheckpointError, EngineError, TextError, MemoryStoreError, OSError) as error:
        raise CommandError(str(error)) from error
    if not len(memory) and memory.foreign:
        raise CommandError(
            f"all {memory.foreign} entries of {given.store} are of another model than "
            f"{engine.config.name} ({engine.sha256[:12]}); give --model the one that the node ran"
        )
    if engine.is_strange(given.text):
        print(
            f"vljepa search: most words of {given.text!r} are unknown to {engine.config.name}, so "
            "what is found may mean little; use the language and words of its captions",
            file=sys.stderr,
        )
    with closing(memory):
        return memory.find(
            wanted_E, camera=given.camera, start_ns=given.since, end_ns=given.until, k=given.k
        )


def _line(seen: Seen) -> str:
    when = datetime.fromtimestamp(seen.stamp_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
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
