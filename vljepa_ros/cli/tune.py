"""Find the threshold at which perception speaks as often as you want, on your own scene.

BAG is a recording or video of the scene, some minutes of what the robot will see. It is perceived
once; then each threshold is tried on what was perceived. What is printed: how many events a minute
each threshold gives, and parameters for the node with the one that comes nearest to the wanted
rate. The event that every stream begins with is not counted.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.cli import perception
from vljepa_ros.cli.errors import CommandError
from vljepa_ros.cli.progress import Progress
from vljepa_ros.config import PerceptionConfig
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.settings import to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vljepa_ros.model.engine import Engine
    from vljepa_ros.recordings.tuning import Tuned, Watched

PARAMETERS = ("threshold", "distance_threshold")
QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bags", metavar="BAG", type=Path, nargs="+", help="bags or videos")
    parser.add_argument(
        "--events-per-minute", metavar="N", type=_rate, required=True, help="how often to speak"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.yaml",
        type=Path,
        help="parameter file to write (default: shown only)",
    )
    parser.add_argument("--plot", metavar="FILE.svg", type=Path, help="draw the curve")
    parser.add_argument(
        "--parameter",
        choices=PARAMETERS,
        default="",
        help="what to tune (default: whichever of the two decides more often on this scene)",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="labels to score, one a line (default: those of --params): shows how their scores lie",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    perception.add_arguments(parser)


def run(given: argparse.Namespace) -> None:
    """
    Raises:
        CommandError: a setting, the model or a recording cannot be used, or nothing be written.
    """
    try:
        _check(given)
        config = perception.config_of(given)
        if given.labels is not None:
            config = dataclasses.replace(config, labels=_labels(given.labels))
        _tune(given, perception.engine_of(config), config)
    except RecordingError as error:
        raise CommandError(str(error)) from error


def _tune(given: argparse.Namespace, engine: Engine, config: PerceptionConfig) -> None:
    # Late: torch takes seconds to load, and a wrong option is told at once.
    from vljepa_ros.recordings.output import write_text
    from vljepa_ros.recordings.plot import svg
    from vljepa_ros.recordings.tuning import Recaller, tune

    watched = [_see(bag, given, engine, config) for bag in given.bags]
    with Progress("tuning", "thresholds") as progress:
        tuned = tune(
            watched,
            Recaller(engine),
            config.selective,
            given.events_per_minute,
            parameter=given.parameter,
            progress=progress,
        )
    print(_table(tuned))
    print(_label_table(watched), end="")
    if not tuned.in_reach:
        print(f"vljepa tune: {_out_of_reach(tuned)}", file=sys.stderr)
    if given.plot is not None:
        write_text(given.plot, svg(tuned), force=given.force)
    text = _parameters(tuned, config, given.bags)
    if given.output is None:
        print(text, end="")
    else:
        write_text(given.output, text, force=given.force)
        print(f"{given.output}: {_chosen(tuned)}")


def _see(bag: Path, given: argparse.Namespace, engine: Engine, config: PerceptionConfig) -> Watched:
    from vljepa_ros.recordings.replay import ReplayOptions
    from vljepa_ros.recordings.tuning import see

    options = ReplayOptions(topic=given.topic, video_start_ns=given.video_start)
    with Progress(bag.name) as progress:
        watched = see(bag, engine, config, options, progress)
    for note in watched.notes:
        print(f"vljepa tune: {bag}: {note}", file=sys.stderr)
    return watched


# --- what is shown -----------------------------------------------------------------------------


def _table(tuned: Tuned) -> str:
    lines = [
        f"{tuned.present.length_s:.1f} s; words decide in {100 * tuned.by_words:.0f} % of the "
        f"steps; tuned: selective.{tuned.parameter}",
        f"{'threshold':>10}{'changes':>10}{'heartbeats':>12}{'events a minute':>18}",
    ]
    for point in tuned.points:
        marks = [
            name
            for name, marked in (("chosen", tuned.chosen), ("given", tuned.present))
            if point is marked
        ]
        lines.append(
            f"{point.threshold:>10.4f}{point.changes:>10}{point.heartbeats:>12}"
            f"{point.events_per_minute:>18.1f}  {', '.join(marks)}".rstrip()
        )
    return "\n".join(lines)


def _label_table(watched: Sequence[Watched]) -> str:
    import numpy as np

    from vljepa_ros.recordings.tuning import label_scores

    scores = label_scores(watched)
    if not scores:
        return ""
    heads = "".join(
        f"{'least' if q == 0 else 'most' if q == 1 else f'{q:.0%}':>7}" for q in QUANTILES
    )
    lines = [f"{'similarity':>35}{'probability':>37}", f"{heads}  {heads}  label"]
    for label, values_S2 in scores.items():
        found_Q2 = np.quantile(values_S2, QUANTILES, axis=0)
        columns = ("".join(f"{value:7.2f}" for value in column) for column in found_Q2.T)
        lines.append(f"{'  '.join(columns)}  {label}")
    return "\n".join(lines) + "\n"


def _chosen(tuned: Tuned) -> str:
    return (
        f"{tuned.parameter} {tuned.chosen.threshold:g}, "
        f"{tuned.chosen.events_per_minute:.1f} events a minute"
    )


def _out_of_reach(tuned: Tuned) -> str:
    rates = [point.events_per_minute for point in tuned.points]
    many = tuned.wanted_per_minute > max(rates)
    way = "lower selective.min_interval_s" if many else "raise selective.min_interval_s"
    return (
        f"{tuned.wanted_per_minute:g} events a minute are out of reach: selective."
        f"{tuned.parameter} gives {min(rates):.1f} to {max(rates):.1f} on this scene; "
        f"the nearest is {_chosen(tuned)}; {way} and try again"
    )


def _parameters(tuned: Tuned, config: PerceptionConfig, bags: Sequence[Path]) -> str:
    selective = dataclasses.replace(config.selective, **{tuned.parameter: tuned.chosen.threshold})
    found = dataclasses.replace(config, selective=selective)
    names = ", ".join(repr(bag.name) for bag in bags)
    return f"# {_chosen(tuned)} on {tuned.present.length_s:.1f} s of {names}\n" + to_text(
        found, "perception", always=[f"selective.{tuned.parameter}"]
    )


# --- what was asked for ------------------------------------------------------------------------


def _check(given: argparse.Namespace) -> None:
    """Before the recording takes its time."""
    from vljepa_ros.recordings.output import check_absent

    for path in (given.output, given.plot):
        if path is not None:
            check_absent(path, force=given.force)
    if given.plot is not None and given.plot.suffix != ".svg":
        raise CommandError(f"--plot draws SVG: name it {given.plot.with_suffix('.svg')}")
    missing = [bag for bag in given.bags if not bag.exists()]
    if missing:
        raise CommandError(f"{missing[0]} does not exist")


def _labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"labels {path} cannot be read: {error}") from error
    labels = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not labels:
        raise CommandError(f"{path} names no label; write one a line")
    return labels


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0.0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate; write a number above 0, such as 4")
    return rate
