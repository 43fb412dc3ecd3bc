"""The running node against its bare model, side by side: `python -m vljepa_ros.ros.bench`.

Starts `perception` as a process, plays a camera to it over DDS, and runs the bare model loop in a
third process; loop and node never at the same time. Then asks `world_state`, in the same process,
what actions would lead to: alone against the bare predictor, and at an even pace beside perception.
Takes seven minutes. The last line is one JSON object with throughput_ratio, latency_ratio,
overload_age_ratio, memory_ratio, query8_latency_ratio, load_rate_ratio, load_ok_share and
load_lost; the last four are null where the model was not trained to predict what actions lead to.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from sensor_msgs.msg import Image

from vljepa_ros import paths
from vljepa_ros.model import checkpoint
from vljepa_ros.ros.bench.bare import BareLoop
from vljepa_ros.ros.bench.figures import GOALS, Beside, Memory, Round, TooFewError, results
from vljepa_ros.ros.bench.memory import AROUND_S, MemoryWatch
from vljepa_ros.ros.bench.planner import Planner
from vljepa_ros.ros.bench.probe import DRAIN_S, Probe, Stretch, images_of
from vljepa_ros.ros.bench.query_figures import Queries, query_results
from vljepa_ros.ros.bench.query_turns import FULL as FULL_QUERIES
from vljepa_ros.ros.bench.query_turns import QUICK as QUICK_QUERIES
from vljepa_ros.ros.bench.query_turns import QueryPlan, QueryTurns
from vljepa_ros.ros.bench.report import progress, table, write
from vljepa_ros.ros.children import Child, ChildError, all_ended, node_command, wait_until
from vljepa_ros.ros.domain import DomainError, isolate
from vljepa_ros.video_source import SourceError

ROOT = Path(__file__).resolve().parents[3]
FACTORS = {"busy": 1.5, "overload": 3.0, "calm": 0.3}
"""How many times faster the camera is than the model."""
QUERIES_CAMERA_HZ = 30.0
"""Beside queries a camera sends no more than most cameras can."""
START_TIMEOUT_S = 600.0
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Plan:
    """How long everything takes [s]."""

    bare_s: float
    node_s: float
    warm_up_s: float
    """At the start of each camera stretch, not measured: the clip fills anew."""
    memory_early_s: float
    memory_late_s: float
    queries: QueryPlan


FULL = Plan(
    bare_s=2.0,
    node_s=5.0,
    warm_up_s=2.5,
    memory_early_s=60.0,
    memory_late_s=300.0,
    queries=FULL_QUERIES,
)
QUICK = Plan(
    bare_s=1.0,
    node_s=2.0,
    warm_up_s=2.5,
    memory_early_s=5.0,
    memory_late_s=25.0,
    queries=QUICK_QUERIES,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; returns the exit code."""
    options = _options(arguments)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupted)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # for both processes alike
    try:
        model = str(options.model or paths.default_model())
        checkpoint.describe(model)
        images = images_of(options.video, options.size)
        claim = isolate()
        found = _measure(options, model, images, QUICK if options.quick else FULL)
        if claim is not None:
            claim.close()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; all processes have ended\n")
        return EXIT_INTERRUPTED
    except (
        SourceError,
        paths.PathsError,
        checkpoint.CheckpointError,
        ChildError,
        DomainError,
        TooFewError,
    ) as error:
        sys.stderr.write(f"bench: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(table(found) + "\n")
    if options.out is not None:
        write(options.out, found, options, f"{images[0].width}x{images[0].height}")
        sys.stdout.write(f"written: {options.out}\n")
    sys.stdout.write(json.dumps({name: found[name] for name in GOALS}) + "\n")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="checkpoint folder (default: the package's)")
    parser.add_argument("--device", default="auto", help="as the node's parameter")
    parser.add_argument("--dtype", default="auto", help="as the node's parameter")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of loop and node each")
    parser.add_argument(
        "--video",
        type=Path,
        default=ROOT / "samples" / "tabletop.mp4",
        help="what the camera sees",
    )
    parser.add_argument(
        "--size",
        type=lambda text: tuple(int(part) for part in text.split("x")),
        help="of the camera's images, such as 640x480 (default: as recorded)",
    )
    parser.add_argument("--seed", type=int, default=0, help="order of the measurements")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; rough")
    parser.add_argument("--out", type=Path, help="all figures (default: docs/results/bench.json)")
    parser.add_argument("--logs", type=Path, default=Path("out"), help="folder of the node's log")
    options = parser.parse_args(arguments)
    if options.out is None and not options.quick:
        options.out = ROOT / "docs" / "results" / "bench.json"
    return options


def _interrupted(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _measure(
    options: argparse.Namespace, model: str, images: list[Image], plan: Plan
) -> dict[str, Any]:
    """All figures of one run.

    Raises:
        ChildError: the node failed.
        TooFewError: it said too little.
    """
    same: dict[str, Any] = {
        "device": options.device,
        "dtype": options.dtype,
        "threads": options.threads,
    }
    config = checkpoint.describe(model).config
    children: list[Child] = []
    with all_ended(children), Probe(images) as probe, BareLoop(model, **same) as bare:
        node = Child(
            "perception",
            node_command("perception", {"model_path": model, **same}),
            options.logs / "bench_perception.log",
        )
        children.append(node)
        wait_until(
            probe.perception_is_active,
            children,
            timeout_s=START_TIMEOUT_S,
            what="the start of perception",
        )
        rounds = []
        with MemoryWatch(node.pid) as memory:
            turns = Turns(plan, probe, bare, seed=options.seed)
            while memory.seconds() + turns.round_s < plan.memory_late_s:
                rounds.append(turns.turn())
                node.check()
                sys.stdout.write(f"{memory.seconds():4.0f} s  {progress(rounds[-1])}\n")
                sys.stdout.flush()
            turns.go_on(plan.memory_late_s - memory.seconds() + AROUND_S)
        queries = turns.queries() if config.predictor.next_tokens else None
    node.check(may_have_ended=True)
    early_mb, late_mb = memory.at(plan.memory_early_s), memory.at(plan.memory_late_s)
    return results(
        rounds, Memory(plan.memory_early_s, early_mb, plan.memory_late_s, late_mb), config
    ) | query_results(queries)


class Turns:
    """One round after the other; in each, chance says what is measured first."""

    def __init__(self, plan: Plan, probe: Probe, bare: BareLoop, *, seed: int) -> None:
        self._plan, self._probe, self._bare = plan, probe, bare
        self._random = random.Random(seed)
        self._newest = bare.measure(plan.bare_s)

    @property
    def round_s(self) -> float:
        """About how long one takes."""
        plan = self._plan
        return len(FACTORS) * (plan.bare_s + plan.warm_up_s + plan.node_s + DRAIN_S)

    def turn(self) -> Round:
        """Measure everything once."""
        order = self._random.sample(list(FACTORS), len(FACTORS))
        return Round(**{name: self._beside(FACTORS[name]) for name in order})

    def go_on(self, seconds: float) -> None:
        """Keep the node at work without measuring."""
        self._play(FACTORS["calm"], seconds, warm_up_s=0.0)

    def queries(self) -> Queries:
        """Measure what is asked, first with the camera silent, then beside it."""
        # A fast model would see more states of a calm camera than a camera sends, and have no time.
        camera_hz = min(FACTORS["calm"] * self._newest.forwards_per_s, QUERIES_CAMERA_HZ)
        with Planner() as planner:
            return QueryTurns(
                self._plan.queries, self._probe, self._bare, planner, camera_hz=camera_hz
            ).measure()

    def _beside(self, factor: float) -> Beside:
        before = self._newest
        stretch = self._play(factor, self._plan.node_s, warm_up_s=self._plan.warm_up_s)
        self._newest = self._bare.measure(self._plan.bare_s)
        return Beside(stretch, before.and_also(self._newest))

    def _play(self, factor: float, seconds: float, *, warm_up_s: float) -> Stretch:
        rate_hz = factor * self._newest.forwards_per_s
        return self._probe.play(rate_hz, seconds, warm_up_s=warm_up_s)


if __name__ == "__main__":
    sys.exit(main())
