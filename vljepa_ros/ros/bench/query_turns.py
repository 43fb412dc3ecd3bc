"""Queries to the running node: their latency, then how perception and they get on together."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from vljepa_ros.ros.bench.bare import BareLoop
from vljepa_ros.ros.bench.planner import ACTIONS, Planner
from vljepa_ros.ros.bench.probe import Probe
from vljepa_ros.ros.bench.query_figures import (
    BATCHES,
    LOAD_CANDIDATES,
    Loaded,
    Queries,
    QueryBeside,
)
from vljepa_ros.ros.bench.report import step_line

LOAD_HZ = 20.0
"""Queries per second that the goals are about."""
MIN_QUERIES = 3


@dataclass(frozen=True)
class QueryPlan:
    """How long everything takes [s]."""

    rounds: int
    bare_s: float
    ask_s: float
    warm_up_s: float
    """At the start of each camera stretch, not measured: the clip fills anew."""
    ladder_hz: tuple[float, ...]
    """Lower rates, to find the highest that this machine bears."""
    step_s: float
    """For each of them."""
    load_s: float
    """At LOAD_HZ."""


FULL = QueryPlan(
    rounds=5,
    bare_s=0.5,
    ask_s=1.0,
    warm_up_s=2.5,
    ladder_hz=(2.0, 5.0, 10.0),
    step_s=5.0,
    load_s=10.0,
)
QUICK = QueryPlan(
    rounds=1,
    bare_s=0.2,
    ask_s=0.2,
    warm_up_s=2.5,
    ladder_hz=(2.0,),
    step_s=2.0,
    load_s=2.0,
)


class QueryTurns:
    """Measures one thing after the other; needs a node that has seen a state."""

    def __init__(
        self, plan: QueryPlan, probe: Probe, bare: BareLoop, planner: Planner, *, camera_hz: float
    ) -> None:
        """`camera_hz`: of the camera beside the load; slow enough that nothing waits."""
        self._plan, self._probe, self._bare, self._planner = plan, probe, bare, planner
        self._camera_hz = camera_hz

    def measure(self) -> Queries:
        """Everything.

        Raises:
            ChildError: the node or the bare process failed.
        """
        plan = self._plan
        rounds = [{n: self._latency(n) for n in BATCHES} for _ in range(plan.rounds)]
        ladder = [self._loaded(rate_hz, plan.step_s) for rate_hz in plan.ladder_hz]
        return Queries(rounds, [*ladder, self._loaded(LOAD_HZ, plan.load_s)])

    def _latency(self, candidates: int) -> QueryBeside:
        """Perception is idle: the camera sends nothing."""
        actions = ACTIONS[:candidates]
        before = self._bare.measure_predictor(actions, self._plan.bare_s)
        asked = self._planner.one_after_other(actions, self._plan.ask_s, least=MIN_QUERIES)
        after = self._bare.measure_predictor(actions, self._plan.bare_s)
        return QueryBeside(asked, before.and_also(after))

    def _loaded(self, rate_hz: float, seconds: float) -> Loaded:
        plan, camera_hz = self._plan, self._camera_hz
        without = self._probe.play(camera_hz, seconds, warm_up_s=plan.warm_up_s)
        asking = self._planner.steadily(
            ACTIONS[:LOAD_CANDIDATES], rate_hz, seconds, after_s=plan.warm_up_s
        )
        beside = self._probe.play(camera_hz, seconds, warm_up_s=plan.warm_up_s)
        done = Loaded(rate_hz, without, beside, asking.result())
        sys.stdout.write(step_line(done) + "\n")
        sys.stdout.flush()
        return done
