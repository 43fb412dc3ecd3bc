"""Perception, world_state and a simulated tabletop as processes, and a planner that uses them.

    python -m examples.planner                 the 50 goals of the planner's score
    python -m examples.planner --goals 3       the first three
    python -m examples.planner --offline --goals 25 --first-seed 4100006
                                               to tune: one process, no nodes, no real time

The last line is one JSON object: goals (how many), goals_reached, random_goals_reached and
oracle_goals_reached (shares of them, 0..1), and steps_per_goal (mean over the goals reached).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Protocol

import rclpy
from rclpy.signals import SignalHandlerOptions

from examples.planner import baselines
from examples.planner.body import RosBody
from examples.planner.goals import Goal, goals
from examples.planner.link import Link, PlannerError
from examples.planner.mind import WorldMind
from examples.planner.planner import Body, Step, pursue
from examples.planner.referee import NAMESPACE, Referee, RefereeError
from examples.planner.score import Score, Try
from examples.planner.search import Mind
from training.tabletop.splits import TEST_SEEDS
from training.tabletop.state import SceneState
from vljepa_ros import paths
from vljepa_ros.model import checkpoint
from vljepa_ros.ros.children import Child, ChildError, all_ended, node_command, wait_until
from vljepa_ros.ros.domain import DomainError, isolate

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 600.0
"""Loading a model from a slow disk on a busy machine takes its time."""
PERCEPTION_RATE_HZ = 5.0
"""Enough to see an action of two seconds; what is left of the machine is the planner's."""
EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    options = _options(arguments)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupted)
    try:
        checkpoint.describe(options.model or paths.default_model())
        wanted = goals(options.goals, options.first_seed)
        score = _offline(options, wanted) if options.offline else _isolated(options, wanted)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; perception and tabletop have ended\n")
        return EXIT_INTERRUPTED
    except (
        paths.PathsError,
        checkpoint.CheckpointError,
        ChildError,
        DomainError,
        PlannerError,
        RefereeError,
        ValueError,
    ) as error:
        sys.stderr.write(f"demo-planner: {error}\n")
        return EXIT_FAILED
    _report(wanted, score, options.first_seed)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="demo-planner",
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--goals", type=_positive, default=50, help="how many (default: 50)")
    parser.add_argument("--model", default="", help="checkpoint folder (default: the package's)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the nodes' logs")
    parser.add_argument(
        "--first-seed",
        type=_positive,
        default=TEST_SEEDS.start,
        help="scenes are looked through for goals from this seed on",
    )
    parser.add_argument("--offline", action="store_true", help="one process on one thread, no ROS")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _interrupted(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _offline(options: argparse.Namespace, wanted: Sequence[Goal]) -> Score:
    from examples.planner.offline import EngineMind, OfflineWorld

    world = OfflineWorld(options.model)
    mind = EngineMind(world)
    tries = [_try(goal, at, len(wanted), world, mind, world) for at, goal in enumerate(wanted, 1)]
    return Score(tuple(tries))


def _isolated(options: argparse.Namespace, wanted: Sequence[Goal]) -> Score:
    claim = isolate()
    try:
        return _pursue(options, wanted)
    finally:
        if claim is not None:
            claim.close()


def _pursue(options: argparse.Namespace, wanted: Sequence[Goal]) -> Score:
    """Start the processes, pursue every goal, end them.

    Raises:
        ChildError: one of them failed.
        PlannerError: it could not go on.
        RefereeError: a scene was not to be had.
    """
    children: list[Child] = []
    with all_ended(children), _ros():
        domain = os.environ["ROS_DOMAIN_ID"]
        _say(f"loading the model; look on with ROS_DOMAIN_ID={domain}")
        settings: dict[str, str | float] = {"rate_hz": PERCEPTION_RATE_HZ}
        if options.model:
            settings["model_path"] = str(options.model)
        command = node_command("perception", settings, namespace=NAMESPACE)
        children.append(Child("perception", command, options.out / "planner_perception.log"))
        children.append(Child("tabletop", _tabletop(), options.out / "planner_tabletop.log"))
        wait = partial(wait_until, children=children, timeout_s=START_TIMEOUT_S)
        referee, link = Referee(wait), Link(partial(_check, children))
        mind = WorldMind(link, f"{NAMESPACE}/world_state")
        body = RosBody(link, f"{NAMESPACE}/perception", f"{NAMESPACE}/tabletop")
        referee.wait_for_nodes()
        tries = [
            _try(goal, at, len(wanted), referee, mind, body) for at, goal in enumerate(wanted, 1)
        ]
        link.close()
        referee.close()
    return Score(tuple(tries))


@contextmanager
def _ros() -> Iterator[None]:
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.try_shutdown()


def _tabletop() -> list[str]:
    """Command line of the node, from wherever this was started."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    program += "from examples.tabletop_world.node import main; sys.exit(main())"
    return [sys.executable, "-u", "-c", program, "--ros-args", "-r", f"__ns:={NAMESPACE}"]


def _check(children: Sequence[Child]) -> None:
    for child in children:
        child.check()


class _Judge(Protocol):
    """Puts scenes on the table and knows what is true of them."""

    def show(self, seed: int) -> SceneState: ...

    def truth(self) -> SceneState: ...


def _try(goal: Goal, at: int, count: int, referee: _Judge, mind: Mind, body: Body) -> Try:
    _say(f"\ngoal {at} of {count}, scene {goal.seed} ({goal.kind}): {goal.text}")
    started_s = time.monotonic()
    referee.show(goal.seed)
    steps: list[Step] = []

    def tell(step: Step) -> None:
        steps.append(step)
        _say(f"  {len(steps)}. {step.plan[0]}{_ahead(step)}")
        _say(f"     refused: {step.refused}" if step.refused else f"     seen: {_words(step)}")

    believed = pursue(goal.text, mind, body, goal.budget, tell)
    done = Try(
        kind=goal.kind,
        reached=goal.holds(referee.truth()),
        believed=believed,
        steps=len(steps),
        wall_s=time.monotonic() - started_s,
    )
    _say(f"  {done.verdict}; {done.steps} of {goal.budget} steps, {done.wall_s:.0f} s")
    return done


def _ahead(step: Step) -> str:
    rest = f", then {', '.join(step.plan[1:])}" if len(step.plan) > 1 else ""
    return f"{rest} (similarity {step.similarity:.2f})"


def _words(step: Step) -> str:
    """Captions fit for one line of a terminal, whatever the model wrote."""
    said = "; ".join(step.seen)
    return "".join(c if c.isprintable() else " " for c in said) or "(nothing new)"


def _report(wanted: Sequence[Goal], score: Score, first_seed: int) -> None:
    _say("")
    for line in score.lines():
        _say(line)
    figures = {
        "seed": first_seed,
        **score.figures(),
        "random_goals_reached": round(baselines.random_share(wanted), 3),
        "oracle_goals_reached": round(baselines.oracle_share(wanted), 3),
    }
    _say(json.dumps(figures))


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
