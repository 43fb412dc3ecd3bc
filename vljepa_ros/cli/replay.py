"""Perceive recordings again: bags or videos in, semantic states and events out, as MCAP.

BAG is a folder that `ros2 bag record` made, an .mcap or .db3 file, or a video. What is written
equals what the node perception would have published, beside the original topics, with the stamps
of the recording. No ROS is needed. A replay that was killed begins anew.

Exit codes: 0 all is written, 1 something failed (what, and the mend, on stderr), 2 options that
cannot be, 130 interrupted.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.cli import perception
from vljepa_ros.cli.errors import CommandError
from vljepa_ros.cli.progress import Progress
from vljepa_ros.config import PerceptionConfig

if TYPE_CHECKING:
    from vljepa_ros.recordings.replay import Replayed, ReplayOptions

DEFAULT_NODE = "/vljepa/perception"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bags", metavar="BAG", type=Path, nargs="+", help="bags or videos")
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="OUT.mcap, or a folder: each BAG is written to OUT/BAG.mcap",
    )
    perception.add_arguments(parser)
    parser.add_argument("--node", default=DEFAULT_NODE, help=f"default: {DEFAULT_NODE}")
    parser.add_argument(
        "--without-originals", action="store_true", help="write states and events only"
    )
    parser.add_argument("--force", action="store_true", help="replace outputs that are there")
    parser.add_argument("--resume", action="store_true", help="leave finished outputs as they are")
    parser.add_argument(
        "--ray",
        action="store_true",
        help="spread the recordings over a Ray cluster, or this machine",
    )
    parser.add_argument(
        "--ray-workers", metavar="N", type=_count, help="most at once (default: as many as fit)"
    )
    parser.add_argument(
        "--ray-gpus",
        metavar="SHARE",
        type=_share,
        help="GPUs of each worker, such as 0.5 (default: 1 where the cluster has any)",
    )


def run(given: argparse.Namespace) -> None:
    """
    Raises:
        CommandError: a setting, the model or a recording cannot be used.
    """
    pairs = _pairs(given)
    if not pairs:
        print("all outputs are there already")
        return
    config = perception.config_of(given)
    outcomes = _on_ray(pairs, config, given) if given.ray else _here(pairs, config, given)
    failed = []
    for source, error in outcomes:
        if error:
            failed.append(source)
            if len(pairs) == 1:
                raise CommandError(error)
            print(f"vljepa replay: {error}", file=sys.stderr, flush=True)
    if failed:
        raise CommandError(
            f"{len(failed)} of {len(pairs)} recordings failed; mend them and run again with "
            f"--resume: {', '.join(map(str, failed))}"
        )


def _here(
    pairs: list[tuple[Path, Path]], config: PerceptionConfig, given: argparse.Namespace
) -> Iterator[tuple[Path, str]]:
    """One after the other; yields each with the sentence that says why it failed, if it did."""
    # Late: torch takes seconds to load, and a wrong option should be told at once.
    from vljepa_ros.recordings.errors import RecordingError
    from vljepa_ros.recordings.replay import replay

    engine, options = perception.engine_of(config), _options(given)
    for source, output in pairs:
        began_s = time.monotonic()
        try:
            with Progress(source.name) as progress:
                done = replay(source, output, engine, config, options, progress)
        except RecordingError as error:
            yield source, str(error)
        else:
            _say(done, time.monotonic() - began_s)
            yield source, ""


def _on_ray(
    pairs: list[tuple[Path, Path]], config: PerceptionConfig, given: argparse.Namespace
) -> Iterator[tuple[Path, str]]:
    """Many at once; yields them in the order in which they end."""
    from vljepa_ros.recordings.errors import RecordingError, require_rosbags
    from vljepa_ros.recordings.fleet import FleetOptions, replay_many

    fleet = FleetOptions(given.ray_workers or 0, given.ray_gpus)
    try:
        require_rosbags()
        with Progress("replay", "recordings") as progress:
            outcomes = replay_many(pairs, config, _options(given), fleet)
            for ended, outcome in enumerate(outcomes, start=1):
                if outcome.replayed is not None:
                    _say(outcome.replayed, outcome.took_s)
                yield outcome.source, outcome.error
                progress(ended, len(pairs))
    except RecordingError as error:
        raise CommandError(str(error)) from error


def _say(done: Replayed, took_s: float) -> None:
    tally = done.tally
    for note in done.notes:
        print(f"vljepa replay: {done.source}: {note}", file=sys.stderr)
    print(
        f"{done.output}: {tally.images} images of {done.topic}, {tally.states} states, "
        f"{tally.events} events, {tally.images / max(took_s, 1e-9):.1f} images a second",
        flush=True,
    )


# --- what was asked for ------------------------------------------------------------------------


def _pairs(given: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Each recording with its output, checked before the first one takes its time."""
    if given.force and given.resume:
        raise CommandError("--force replaces what is there and --resume keeps it: give one of them")
    if not given.ray and (given.ray_workers is not None or given.ray_gpus is not None):
        raise CommandError("--ray-workers and --ray-gpus say how --ray spreads the work: add --ray")
    outputs = _outputs(given.bags, given.output)
    for output in outputs:
        if any(bag.is_dir() and bag.resolve() in output.resolve().parents for bag in given.bags):
            raise CommandError(f"{output} lies in one of the recordings: write elsewhere")
        if output.exists() and not (given.force or given.resume):
            raise CommandError(
                f"{output} is there already; give --force to replace it, or --resume to leave "
                "finished ones as they are"
            )
    missing = [bag for bag in given.bags if not bag.exists()]
    if missing:
        raise CommandError(f"{missing[0]} does not exist")
    pairs = zip(given.bags, outputs, strict=True)
    return [(bag, output) for bag, output in pairs if not (given.resume and output.exists())]


def _outputs(bags: list[Path], asked: str) -> list[Path]:
    out = Path(asked)
    if len(bags) == 1 and out.suffix == ".mcap" and not out.is_dir():
        return [out]
    if out.suffix == ".mcap":
        raise CommandError(f"{asked} is one file for {len(bags)} recordings: give -o a folder")
    if len(bags) == 1 and not (out.is_dir() or asked.endswith("/")):
        raise CommandError(f"{asked} is no folder; give -o {asked}.mcap, or {asked}/ to make one")
    outputs = [out / f"{bag.resolve().stem}.mcap" for bag in bags]
    twice = sorted({str(o) for o in outputs if outputs.count(o) > 1})
    if twice:
        raise CommandError(f"several recordings would become {twice[0]}: replay them apart")
    return outputs


def _options(given: argparse.Namespace) -> ReplayOptions:
    from vljepa_ros.recordings.replay import ReplayOptions

    return ReplayOptions(
        topic=given.topic,
        node="/" + given.node.strip("/"),
        originals=not given.without_originals,
        force=given.force,
        video_start_ns=given.video_start,
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; write 1 or more")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0.0 <= share < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of GPUs; write 0, 0.5 or 1")
    return share
