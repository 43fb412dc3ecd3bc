"""What the runs of a comparison say: one JSON file and one picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.compare import ask
from training.compare.bootstrap import Answers, difference, estimate
from training.compare.claims import (
    ANSWERED,
    BLIND,
    CLAIMS,
    LEVEL,
    MEASURES,
    Curve,
    Measure,
    judge,
    verdict,
)
from training.compare.runner import COMPARISON, ITEMS, RUN, Run, answers, finished, origin
from training.compare.settings import BRIEF
from training.evaluate.measures import Interval
from training.tabletop.world import WORLD_VERSION
from vljepa_ros import provenance
from vljepa_ros.config import ConfigError

mpl.use("Agg")

COST = "cost.json"
DRAWN = ("action_accuracy", "vqa_macro", "transition_accuracy", "action_caption_match",
         "scene_caption_match", "action_caption_cider")  # fmt: skip
PANEL_IN, DPI = (3.0, 2.5), 110
INK, FAINT = "#22272e", "#8c959f"
COLOURS = {"jepa": "#1f6feb", "token": "#d1242f", "dual": "#1a7f37", "symbolic": "#8250df",
           "jepa_own": "#54aeff", "token_deep": "#ff8182"}  # fmt: skip
BESIDE = (("jepa", "token_brief"), ("jepa_brief", "dual"), ("jepa", "dual"), ("jepa", "token"),
          ("jepa", "token_deep"), ("jepa_own", "jepa"))  # fmt: skip
"""Ends compared beside the claims; the first two pairs were trained equally long."""


@dataclass(frozen=True, eq=False)
class Learnt:
    """All that is known of one learner."""

    name: str
    runs: Sequence[Run]
    step_s: float
    parameters: Mapping[str, int]
    trained_seconds: Mapping[str, float]
    """What its first seed's run took on the clock, waits for data and other work included."""


class Results:
    """The finished runs below a folder.

    Raises:
        ConfigError: there are none, or not as many seeds of each learner.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        if not (out / COST).exists():
            raise ConfigError(
                f"no finished comparison in {out}; run python -m training.compare run --out {out}"
            )
        self.comparison = json.loads((out / COMPARISON).read_text())
        self.cost = json.loads((out / COST).read_text())
        self._items = ask.load(out / ITEMS)
        self.runs = runs = finished(out)
        seeds = {name: [run.seed for run in some] for name, some in runs.items()}
        if len({tuple(some) for some in seeds.values()}) != 1:
            raise ConfigError(f"learners with different seeds {seeds}; run the comparison again")
        self.seeds = next(iter(seeds.values()))
        self.origin = origin(out, runs)
        self.learnt = [self._learnt(name, some) for name, some in runs.items() if name not in BRIEF]
        self.steps = sorted(int(step) for step in self.learnt[0].trained_seconds)

    def _learnt(self, name: str, runs: Sequence[Run]) -> Learnt:
        said = json.loads((runs[0].folder(self._out) / RUN).read_text())
        step_s = float(self.cost[name]["step_s"])
        return Learnt(name, runs, step_s, said["parameters"], said["trained_seconds"])

    def curves(self, measure: Measure, last: bool = False) -> dict[str, Curve]:
        """Of every learner that has this measure; with `last`, only the end of its runs."""
        found = {}
        for one in self.learnt:
            steps = self.steps[-1:] if last else self.steps
            got = [
                answers(self._out, one.runs, s, measure.worth, measure.task, measure.by_kind)
                for s in steps
            ]
            there = [some for some in got if some is not None]
            if there:
                seconds = [one.step_s * s for s in steps[-len(there) :]]
                found[one.name] = Curve(there, seconds)
        return found

    def end(self, name: str, measure: Measure) -> Answers | None:
        """What a learner answered at the end of its own schedule; None where there is no answer."""
        if name not in self.runs:
            return None
        runs = self.runs[name]
        said = json.loads((runs[0].folder(self._out) / RUN).read_text())
        last = max(map(int, said["trained_seconds"]))
        return answers(self._out, runs, last, measure.worth, measure.task, measure.by_kind)

    def chance(self, measure: Measure) -> float | None:
        """What guessing reaches."""
        if f"{measure.task}.chance" not in self._items:
            return None
        episode_R, kind_R = self._items[f"{measure.task}.episode"], None
        if measure.by_kind:
            kind_R = self._items[f"{measure.task}.kind"].astype(np.str_)
        worth_1R = self._items[f"{measure.task}.chance"][None].astype(np.float64)
        return estimate(Answers(worth_1R, episode_R.astype(np.int64), kind_R), draws=1).value


def write(out: Path, results: Path, picture: Path) -> dict[str, object]:
    """Write the JSON file and the picture of the runs below `out`.

    Raises:
        ConfigError: nothing there to report.
    """
    found = Results(out)
    said = _said(found)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(said, indent=2) + "\n")
    draw(found, picture)
    return said


def _said(found: Results) -> dict[str, object]:
    return {
        **provenance.facts(provenance.command()),
        **found.origin,
        "seed": found.comparison["items"]["seed"],
        "world_version": WORLD_VERSION,
        "seeds": found.seeds,
        "comparison": found.comparison,
        "claims": [_claimed(found, index) for index in range(len(CLAIMS))],
        "claims_level": LEVEL,
        "beside": [_beside(found, *pair, name) for pair in BESIDE for name in MEASURES],
        "learners": {one.name: _of_learner(found, one) for one in found.learnt},
        "chance": {name: found.chance(measure) for name, measure in MEASURES.items()},
        "cost": found.cost,
        "cost_ratios": _ratios(found.cost),
    }


def _claimed(found: Results, index: int) -> dict[str, object]:
    claim = CLAIMS[index]
    estimated = judge(claim, found.curves(MEASURES[claim.measure]))
    difference = None if estimated is None else _numbers(estimated)
    return asdict(claim) | {"difference": difference, "verdict": verdict(estimated)}


def _beside(found: Results, ours: str, theirs: str, name: str) -> dict[str, object]:
    """How far the end of `ours` lies above that of `theirs`; no claim, so at a level by itself."""
    a, b = (found.end(learner, MEASURES[name]) for learner in (ours, theirs))
    above = None if a is None or b is None else _numbers(difference(a, b))
    return {"measure": name, "ours": ours, "theirs": theirs, "difference": above}


def _of_learner(found: Results, one: Learnt) -> dict[str, object]:
    batch_size = found.comparison["fit"]["batch_size"]
    scores: dict[str, object] = {}
    for name, measure in (MEASURES | BLIND | ANSWERED).items():
        curve = found.curves(measure).get(one.name)
        if curve is not None:
            scores[name] = [_numbers(estimate(some)) for some in curve.answers]
    return {
        "learning_rate": one.runs[0].lr,
        "parameters": dict(one.parameters),
        "steps": found.steps,
        "samples": [step * batch_size for step in found.steps],
        "seconds": [one.step_s * step for step in found.steps],
        "clock_seconds": list(one.trained_seconds.values()),
        "scores": scores,
    }


def _numbers(found: Interval) -> dict[str, float]:
    return {name: round(value, 5) for name, value in asdict(found).items()}


def _ratios(cost: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Every cost as a multiple of VL-JEPA's."""
    ours = cost.get("jepa", {})
    return {
        name: {key: value / ours[key] for key, value in some.items() if key in ours}
        for name, some in cost.items()
        if name not in ("jepa", "x_encoder")
    }


def draw(found: Results, picture: Path) -> None:
    """Scores with their intervals, over samples and over time; one column a score."""
    width, height = PANEL_IN
    figure = Figure(
        figsize=(width * len(DRAWN), 2 * height), dpi=DPI, facecolor="white", layout="constrained"
    )
    axes = np.atleast_2d(figure.subplots(2, len(DRAWN), sharey="col"))
    batch_size = found.comparison["fit"]["batch_size"]
    for column, name in enumerate(DRAWN):
        chance = found.chance(MEASURES[name])
        for learner, curve in found.curves(MEASURES[name]).items():
            scores = [estimate(some) for some in curve.answers]
            steps = found.steps[-len(scores) :]
            _line(axes[0, column], [s * batch_size for s in steps], scores, learner)
            _line(axes[1, column], curve.seconds, scores, learner)
        for row in axes[:, column]:
            if chance is not None:
                row.axhline(chance, color=FAINT, lw=1, ls=(0, (4, 2)))
        axes[0, column].set_title(name.replace("_", " "), fontsize=9, color=INK)
        axes[0, column].set_xlabel("samples seen", fontsize=8)
        axes[1, column].set_xlabel("seconds of training", fontsize=8)
    # Not every learner has every score.
    drawn = {line.get_label(): line for ax in axes.flat for line in ax.get_lines()}
    shown = {name: drawn[name] for name in COLOURS if name in drawn}
    figure.legend(
        list(shown.values()),
        list(shown),
        loc="outside lower center",
        ncols=len(shown),
        frameon=False,
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture)


def _line(ax: Axes, x: Sequence[float], scores: Sequence[Interval], learner: str) -> None:
    colour = COLOURS[learner]
    values = [score.value for score in scores]
    ax.plot(x, values, color=colour, marker="o", ms=3, lw=1.2, label=learner)
    low, high = [score.low for score in scores], [score.high for score in scores]
    ax.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    ax.set_xscale("log")
    ax.tick_params(labelsize=7)


def table(said: Mapping[str, object]) -> str:
    """The end of each curve and the claims, to read on a screen."""
    learners = said["learners"]
    assert isinstance(learners, dict)
    lines = [f"{'':34}" + "".join(f"{name:>24}" for name in learners)]
    for measure in (*MEASURES, *BLIND, *ANSWERED):
        cells = [_cell(one["scores"].get(measure)) for one in learners.values()]
        lines.append(f"{measure:34}" + "".join(f"{cell:>24}" for cell in cells))
    claims = said["claims"]
    assert isinstance(claims, list)
    for claim in claims:
        bounds = claim["difference"]
        shown = "" if bounds is None else "{value:+.3f} [{low:+.3f}, {high:+.3f}]".format(**bounds)
        about = f"{claim['ours']} > {claim['theirs']}: {claim['measure']}, {claim['at']}"
        lines.append(f"{about:64} {shown:28} {claim['verdict']}")
    return "\n".join(lines)


def _cell(curve: Sequence[Mapping[str, float]] | None) -> str:
    return "–" if not curve else "{value:.3f} [{low:.3f}, {high:.3f}]".format(**curve[-1])
