"""Show what a recording tells: one HTML page with pictures, captions and curves, or for Rerun.

RECORDING is what `vljepa replay` wrote, or any bag in which the topics of a node perception were
recorded. The page needs no network and no other file. `--rerun` writes all of it, every frame
included, to be looked at in the viewer Rerun.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vljepa_ros.cli.errors import CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recording", metavar="RECORDING", type=Path)
    parser.add_argument("-o", "--output", metavar="PAGE.html", type=Path, help="page to write")
    parser.add_argument("--rerun", metavar="OUT.rrd", type=Path, help="file for Rerun to write")
    parser.add_argument("--node", default="", help="whose states, where there are several nodes")
    parser.add_argument("--topic", default="", help="image topic of the pictures (default: any)")
    parser.add_argument(
        "--pictures", type=int, default=500, help="most pictures in the page (default 500)"
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def run(given: argparse.Namespace) -> None:
    """
    Raises:
        CommandError: the recording holds nothing to show, or a file cannot be written.
    """
    from vljepa_ros.recordings.errors import RecordingError

    if given.output is None and given.rerun is None:
        raise CommandError("give -o PAGE.html, --rerun OUT.rrd or both")
    if given.pictures < 0:
        raise CommandError(f"--pictures must be 0 or more, not {given.pictures}")
    try:
        if given.output is not None:
            _page(given)
        if given.rerun is not None:
            _rerun(given)
    except RecordingError as error:
        raise CommandError(str(error)) from error


def _rerun(given: argparse.Namespace) -> None:
    from vljepa_ros.recordings.rrd import write_rrd

    logged = write_rrd(
        given.recording, given.rerun, node=given.node, topic=given.topic, force=given.force
    )
    print(
        f"{given.rerun}: {logged['states']} states, {logged['events']} events, "
        f"{logged['frames']} frames"
    )


def _page(given: argparse.Namespace) -> None:
    from vljepa_ros.recordings.report import write_report
    from vljepa_ros.recordings.story import read_story

    story = read_story(given.recording, node=given.node, topic=given.topic, pictures=given.pictures)
    write_report(story, given.output, force=given.force)
    events = sum(len(track.events) for track in story.tracks.values())
    print(f"{given.output}: {events} events, {len(story.jpegs)} pictures")
