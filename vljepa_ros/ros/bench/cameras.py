"""What several cameras get of one model: `python -m vljepa_ros.ros.bench.cameras`.

Starts `perception` with one, two and four cameras, in turn and anew in each round, and plays images
to it faster than it can perceive them: in all alike, whatever the number of cameras. Counts the
states of all cameras together. The last line is one JSON object with cameras2_ratio and
cameras4_ratio, states a second as a multiple of those with one camera (median over the rounds).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from sensor_msgs.msg import Image

from vljepa_ros import paths
from vljepa_ros.config import PerceptionConfig
from vljepa_ros.ros.bench.bare import BareLoop
from vljepa_ros.ros.bench.figures import TooFewError, states_per_s
from vljepa_ros.ros.bench.probe import Probe, images_of
from vljepa_ros.ros.bench.report import write
from vljepa_ros.ros.cameras import cameras_of
from vljepa_ros.ros.children import Child, ChildError, all_ended, node_command, wait_until
from vljepa_ros.ros.domain import DomainError, isolate
from vljepa_ros.video_source import SourceError

ROOT = Path(__file__).resolve().parents[3]
COUNTS = (1, 2, 4)
FACTOR = 3.0
"""How many times more images come, of all cameras together, than the bare model has forwards."""
WARM_UP_S = 2.5
BARE_S = 1.0
START_TIMEOUT_S = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; returns the exit code."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # for both processes alike
    try:
        claim = isolate()
        images = images_of(options.video, None)
        rounds = _rounds(options, images)
        if claim is not None:
            claim.close()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; all processes have ended\n")
        return 130
    except (SourceError, paths.PathsError, ChildError, DomainError, TooFewError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    found = ratios(rounds)
    if options.out is not None:
        figures = found | {"states_per_s": rounds, "images_factor": FACTOR}
        size = f"{images[0].width}x{images[0].height}"
        write(options.out, figures, options, size)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.cameras", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="checkpoint folder (default: the package's)")
    parser.add_argument("--device", default="auto", help="as the node's parameter")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the node")
    parser.add_argument("--video", type=Path, default=ROOT / "samples" / "tabletop.mp4")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured in each stretch")
    parser.add_argument("--seed", type=int, default=0, help="order of the measurements")
    parser.add_argument("--out", type=Path, help="file for all figures")
    parser.add_argument("--logs", type=Path, default=Path("out"), help="folder of the node's log")
    return parser.parse_args(arguments)


def ratios(rounds: Sequence[dict[int, float]]) -> dict[str, float]:
    """States a second by number of cameras, in rounds, as multiples of those with one camera."""
    return {
        f"cameras{count}_ratio": round(statistics.median(r[count] / r[1] for r in rounds), 3)
        for count in COUNTS[1:]
    }


def _rounds(options: argparse.Namespace, images: list[Image]) -> list[dict[int, float]]:
    model = str(options.model or paths.default_model())
    chance = random.Random(options.seed)
    rounds = []
    with BareLoop(model, device=options.device, dtype="auto", threads=options.threads) as bare:
        for _ in range(options.rounds):
            images_per_s = FACTOR * bare.measure(BARE_S).forwards_per_s
            rounds.append(
                {
                    count: _states_per_s(options, model, images, count, images_per_s)
                    for count in chance.sample(COUNTS, len(COUNTS))
                }
            )
            each = (f"{count}: {rounds[-1][count]:.1f}/s" for count in COUNTS)
            sys.stdout.write(f"states of all cameras together, {', '.join(each)}\n")
            sys.stdout.flush()
    return rounds


def _states_per_s(
    options: argparse.Namespace, model: str, images: list[Image], count: int, images_per_s: float
) -> float:
    """With so many cameras, and so many images a second of all of them together.

    Raises:
        ChildError: the node failed.
        TooFewError: it said too little.
    """
    cameras = cameras_of(PerceptionConfig(cameras=tuple(f"eye{at}" for at in range(count))))
    parameters = {
        "model_path": model,
        "device": options.device,
        "threads": options.threads,
        "cameras": [camera.name for camera in cameras],
    }
    children: list[Child] = []
    with all_ended(children), Probe(images, cameras) as probe:
        log = options.logs / f"bench_{count}_cameras.log"
        children.append(Child("perception", node_command("perception", parameters), log))
        wait_until(
            probe.perception_is_active,
            children,
            timeout_s=START_TIMEOUT_S,
            what="the start of perception",
        )
        stretch = probe.play(images_per_s / count, options.seconds, warm_up_s=WARM_UP_S)
        children[0].check()
    return states_per_s(stretch)


if __name__ == "__main__":
    sys.exit(main())
