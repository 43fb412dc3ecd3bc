"""Camera and perception as two processes on a recording, watched to its end.

    python -m examples.demo                     the shipped recording, scored against its truth
    python -m examples.demo --video PATH        any video

The last line is one JSON object; the picture of the run is out/demo.png.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from examples.demo import picture, recording, scoring
from examples.demo.listener import IMAGE_TOPIC, Listener
from examples.demo.record import Run
from examples.demo.recording import Recording
from examples.demo.screen import Screen, open_screen
from examples.demo.truth import Segment, TruthError, load_truth
from vljepa_ros import paths
from vljepa_ros.model import checkpoint
from vljepa_ros.ros.children import (
    Child,
    ChildError,
    Setting,
    all_ended,
    node_command,
    wait_until,
)
from vljepa_ros.ros.domain import DomainError, isolate
from vljepa_ros.video_source import SourceError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "samples" / "tabletop.mp4"
START_TIMEOUT_S = 600.0
"""Loading a model from a slow disk on a busy machine takes its time."""
LAST_FRAMES_S = 5.0
"""So long nothing may come after the camera's end before frames are given up as lost."""
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    options = _options(arguments)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupted)
    try:
        checkpoint.describe(options.model or paths.default_model())
        truth = load_truth(options.truth) if options.truth else None
        shown = recording.read(options.video)
        claim = isolate()
        screen = open_screen(shown, truth, plain=options.plain)
        try:
            run = _watch(options, shown, screen)
        finally:
            screen.close()
            if claim is not None:
                claim.close()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; camera and perception have ended\n")
        return EXIT_INTERRUPTED
    except (
        SourceError,
        TruthError,
        paths.PathsError,
        checkpoint.CheckpointError,
        ChildError,
        DomainError,
    ) as error:
        sys.stderr.write(f"demo: {error}\n")
        return EXIT_FAILED
    _report(options.out, run, shown, truth)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, help="any video file (default: the shipped one)")
    parser.add_argument("--truth", type=Path, help="what happens in it (default: the shipped one)")
    parser.add_argument("--model", default="", help="checkpoint folder (default: the package's)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of picture and logs")
    parser.add_argument("--plain", action="store_true", help="lines instead of the live view")
    options = parser.parse_args(arguments)
    if options.video is None:
        options.video = SHIPPED
        options.truth = options.truth or SHIPPED.with_suffix(".json")
    return options


def _interrupted(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch(options: argparse.Namespace, shown: Recording, screen: Screen) -> Run:
    """Start the two processes, listen until all frames are accounted for, end them.

    Raises:
        ChildError: one of them failed.
    """
    children: list[Child] = []
    with all_ended(children), Listener() as listener:
        domain = os.environ["ROS_DOMAIN_ID"]
        screen.say(f"loading the model; look on with ROS_DOMAIN_ID={domain}")
        model = {"model_path": str(options.model)} if options.model else {}
        perception = Child(
            "perception", node_command("perception", model), options.out / "perception.log"
        )
        children.append(perception)
        wait_until(
            listener.perception_is_active,
            children,
            timeout_s=START_TIMEOUT_S,
            what="the start of perception",
        )
        screen.say(f"ROS_DOMAIN_ID={domain}, images on {IMAGE_TOPIC}")
        source: dict[str, Setting] = {
            "source": str(shown.path.resolve()),
            "wait_for_subscribers": 1,
        }
        camera = Child(
            "video_camera", node_command("video_camera", source), options.out / "video_camera.log"
        )
        children.append(camera)
        wait = _AllAccounted(listener, camera, perception)
        while not wait.over():
            screen.show(listener.run())
            time.sleep(0.1)
        screen.show(listener.run())
    for child in children:
        child.check(may_have_ended=True)
    return listener.run()


class _AllAccounted:
    """Whether the run is over: every frame the camera published is a state, dropped, or lost."""

    def __init__(self, listener: Listener, camera: Child, perception: Child) -> None:
        self._listener, self._camera, self._perception = listener, camera, perception
        self._states, self._news_s = 0, time.monotonic()

    def over(self) -> bool:
        """
        Raises:
            ChildError: the camera failed, or perception ended.
        """
        self._perception.check()
        self._camera.check(may_have_ended=True)
        run = self._listener.run()
        if len(run.states) != self._states or self._camera.exit_code is None:
            self._states, self._news_s = len(run.states), time.monotonic()
        if run.complete and self._camera.exit_code == 0:
            return True
        return time.monotonic() - self._news_s > LAST_FRAMES_S


def _report(out: Path, run: Run, shown: Recording, truth: Sequence[Segment] | None) -> None:
    figures = scoring.summary(run, duration_s=shown.duration_s, truth=truth, cuts_s=shown.cuts_s)
    drawn = out / "demo.png"
    picture.draw(drawn, run, shown, truth, figures)
    sys.stdout.write(f"{picture.sentence(figures)}\npicture: {drawn}\n")
    if run.lost:
        sys.stdout.write(
            f"{run.lost} frames are neither a state nor dropped: the machine was too busy for DDS "
            f"to deliver them; see {out / 'perception.log'}\n"
        )
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
