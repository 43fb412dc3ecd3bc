"""From measured queries to figures. Pure arithmetic.

The latency of a query is held against one pass of the predictor for the same batch, run just before
and just after it by the bare process. Queries at an even pace beside perception are held against
perception without them, measured just before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vljepa_ros.msg import Status
from vljepa_ros.ros.bench.bare import BareWindow
from vljepa_ros.ros.bench.figures import TooFewError, enough, latency_ms
from vljepa_ros.ros.bench.probe import Stretch

BATCHES = (1, 8, 64)
"""Candidates of a query."""
LOAD_CANDIDATES = 8
SATURATED = 1.0
"""Share of its time that the model would have to work, above which requests only pile up."""
COUNTED_CODES = frozenset({Status.OK, Status.BUSY, Status.DEADLINE})


@dataclass(frozen=True)
class Answer:
    """What one query got."""

    error_code: int
    seconds: float
    """From asking to the answer."""
    model_s: float
    """Of it the model's, as the node says."""
    error_msg: str = ""


@dataclass(frozen=True)
class Asked:
    """Queries of one size over a stretch of time."""

    candidates: int
    sent: int
    seconds: float
    answers: tuple[Answer, ...]

    @property
    def rate_hz(self) -> float:
        return self.sent / self.seconds

    @property
    def lost(self) -> int:
        """Queries without any answer."""
        return self.sent - len(self.answers)

    @property
    def good(self) -> tuple[Answer, ...]:
        return tuple(a for a in self.answers if a.error_code == Status.OK)

    def share(self, error_code: int) -> float:
        """Of all queries sent."""
        return sum(a.error_code == error_code for a in self.answers) / self.sent

    @property
    def latency_ms(self) -> float:
        """Median until a good answer; NaN without one."""
        return _median(1e3 * a.seconds for a in self.good)

    @property
    def model_s(self) -> float:
        """Mean that a good answer took of the model; NaN without one."""
        return float(np.mean([a.model_s for a in self.good])) if self.good else math.nan


@dataclass(frozen=True)
class QueryBeside:
    """Queries one after the other, and the bare predictor with the same batch around them."""

    asked: Asked
    bare: BareWindow

    @property
    def ratio(self) -> float:
        """
        Raises:
            TooFewError: a query got no good answer.
        """
        refused = [a for a in self.asked.answers if a.error_code != Status.OK]
        if refused or not self.asked.answers:
            said = refused[0].error_msg if refused else "nothing"
            raise TooFewError(f"a query of {self.asked.candidates} was answered: {said}")
        return self.asked.latency_ms / self.bare.forward_ms


@dataclass(frozen=True)
class Loaded:
    """A stretch of camera images with queries, and one without just before."""

    nominal_hz: float
    """Queries per second that were meant."""
    without: Stretch
    beside: Stretch
    asked: Asked

    @property
    def states_per_s(self) -> float:
        """Counted: with the queries, few states are a finding and no error."""
        return len(self.beside.arrivals) / self.beside.seconds

    @property
    def states_per_s_without(self) -> float:
        """
        Raises:
            TooFewError: hardly a state came even without queries.
        """
        stamps_ns = [a.published_ns for a in self.without.arrivals]
        return len(enough(self.without, stamps_ns)) / self.without.seconds

    @property
    def rate_ratio(self) -> float:
        return self.states_per_s / self.states_per_s_without

    @property
    def perception_share(self) -> float:
        """Share of its time that perception alone keeps the model busy; on the way counts too."""
        return self.states_per_s_without * latency_ms(self.without) / 1e3

    @property
    def busy_share(self) -> float:
        """The same with every query answered; above 1 there is more to do than time."""
        return self.perception_share + self.asked.rate_hz * self.asked.model_s

    @property
    def below_saturation(self) -> bool:
        return self.busy_share < SATURATED  # not so where it is NaN

    def figures(self) -> dict[str, float]:
        """All of this stretch by name."""
        asked = self.asked
        return {
            "hz": self.nominal_hz,
            "sent": asked.sent,
            "rate_ratio": self.rate_ratio,
            "ok_share": asked.share(Status.OK),
            "refused_share": asked.share(Status.BUSY),
            "late_share": asked.share(Status.DEADLINE),
            "other_share": sum(a.error_code not in COUNTED_CODES for a in asked.answers)
            / asked.sent,
            "lost": asked.lost,
            "busy_share": self.busy_share,
            "perception_share": self.perception_share,
            "latency_ms": asked.latency_ms,
            "model_ms": 1e3 * asked.model_s,
            "camera_hz": self.beside.camera_hz,
            "states_per_s": self.states_per_s,
            "states_per_s_without": self.states_per_s_without,
        }


@dataclass(frozen=True)
class Queries:
    """All that was measured of them."""

    rounds: Sequence[Mapping[int, QueryBeside]]
    """By candidates."""
    ladder: Sequence[Loaded]
    """Ever more queries per second; the last is the one that the goals are about."""


LOAD = (
    *("hz", "rate_ratio", "ok_share", "refused_share", "late_share", "lost"),
    *("busy_share", "latency_ms", "camera_hz"),
)
"""Figures of the last step of the ladder, named `load_…`."""
BELOW = ("hz", "rate_ratio", "ok_share", "lost", "busy_share", "latency_ms")
"""Those of the highest step below saturation, named `load_below_…`."""


def query_results(queries: Queries | None) -> dict[str, Any]:
    """All figures by name; None where nothing was measured, as with a model that cannot imagine."""
    figures: dict[str, Any] = {}
    rounds = queries.rounds if queries else ()
    for batch in BATCHES:
        besides = [one[batch] for one in rounds]
        figures |= _latency_figures(batch, besides)
    last = queries.ladder[-1].figures() if queries else {}
    below = [step for step in queries.ladder if step.below_saturation] if queries else []
    highest = below[-1].figures() if below else {}
    figures |= {f"load_{name}": last.get(name) for name in LOAD}
    figures |= {f"load_below_{name}": highest.get(name) for name in BELOW}
    figures = {name: _rounded(value) for name, value in figures.items()}
    figures["load_candidates"] = LOAD_CANDIDATES if queries else None
    figures["load_below_saturation"] = queries.ladder[-1].below_saturation if queries else None
    figures["load_ladder"] = [
        {name: _rounded(value) for name, value in step.figures().items()}
        for step in (queries.ladder if queries else ())
    ]
    figures["query_rounds"] = [
        {_ratio_name(batch): _rounded(beside.ratio) for batch, beside in one.items()}
        for one in rounds
    ]
    return figures


def _latency_figures(batch: int, besides: Sequence[QueryBeside]) -> dict[str, float | None]:
    def median(of: Callable[[QueryBeside], float]) -> float | None:
        return _median(of(b) for b in besides) if besides else None

    return {
        _ratio_name(batch): median(lambda b: b.ratio),
        f"query{batch}_ms": median(lambda b: b.asked.latency_ms),
        f"query{batch}_model_ms": median(lambda b: 1e3 * b.asked.model_s),
        f"bare_predictor{batch}_ms": median(lambda b: b.bare.forward_ms),
    }


def _ratio_name(batch: int) -> str:
    return f"query{batch}_latency_ratio"


def _median(values: Iterable[float]) -> float:
    """NaN of nothing."""
    found = list(values)
    return float(np.median(found)) if found else math.nan


def _rounded(value: float | None) -> float | None:
    """As it stands in the file: four digits; None for what there is not."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.4g}") if math.isfinite(value) else None
