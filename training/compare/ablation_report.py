"""What ablations did: every score, and how far it lies above `base` on the same rows and seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from training.compare.ablations import ABLATIONS
from training.compare.bootstrap import Answers, difference, estimate
from training.compare.claims import MEASURES
from training.compare.runner import COMPARISON, RUN, Run, answers, finished, origin
from training.evaluate.measures import Interval
from training.tabletop.world import WORLD_VERSION
from vljepa_ros import provenance
from vljepa_ros.config import ConfigError

LEVEL = 1 - 0.05 / (len(ABLATIONS) - 1)
"""Of the differences of one score, shared out over the ablations (Bonferroni)."""
Said = dict[str, object]


def write(out: Path, results: Path) -> Said:
    """Write the JSON file of the finished runs below `out`.

    Raises:
        ConfigError: `base` has no finished run.
    """
    runs = _with_seeds_of_base(finished(out)) if (out / COMPARISON).exists() else {}
    if "base" not in runs:
        raise ConfigError(f"no finished base in {out}; run python -m training.compare ablate")
    comparison = json.loads((out / COMPARISON).read_text())
    said: Said = provenance.facts(provenance.command()) | origin(out, runs)
    said |= {
        "seed": comparison["items"]["seed"],
        "world_version": WORLD_VERSION,
        "seeds": [run.seed for run in runs["base"]],
        "comparison": comparison,
        "level": LEVEL,
        "ablations": {name: _of(out, name, runs) for name in runs},
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(said, indent=2) + "\n")
    return said


def _with_seeds_of_base(runs: Mapping[str, list[Run]]) -> dict[str, list[Run]]:
    """Those with a run for each seed that `base` was run with; the others are not finished."""
    seeds = {run.seed for run in runs.get("base", [])}
    complete = {}
    for name, some in runs.items():
        if name in ABLATIONS and seeds <= {run.seed for run in some}:
            complete[name] = [run for run in some if run.seed in seeds]
    return complete


def _of(out: Path, name: str, runs: Mapping[str, list[Run]]) -> Said:
    said = json.loads((runs[name][0].folder(out) / RUN).read_text())
    step = max(int(one) for one in said["trained_seconds"])
    scores = {}
    for measure in MEASURES:
        ours, theirs = (_answers(out, runs[one], step, measure) for one in (name, "base"))
        if ours is not None and theirs is not None:
            scores[measure] = {
                "score": asdict(estimate(ours)),
                "above_base": asdict(difference(ours, theirs, level=LEVEL)),
            }
    return {"parameters": said["parameters"], "steps": step, "scores": scores}


def _answers(out: Path, runs: list[Run], step: int, measure: str) -> Answers | None:
    asked = MEASURES[measure]
    return answers(out, runs, step, asked.worth, asked.task, asked.by_kind)


def table(said: Said) -> str:
    """Scores of `base`, and of the others how far they lie above it; * = shown at the level."""
    ablations = said["ablations"]
    assert isinstance(ablations, dict)
    measures = list(ablations["base"]["scores"])
    lines = [f"{'':18}" + "".join(f"{name:>26}" for name in measures)]
    for name, one in ablations.items():
        cells = [_cell(name, one["scores"][measure]) for measure in measures]
        lines.append(f"{name:18}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


def _cell(name: str, score: Mapping[str, Mapping[str, float]]) -> str:
    if name == "base":
        return f"{score['score']['value']:.3f}"
    found = Interval(**score["above_base"])
    shown = "*" if found.excludes_zero() else " "
    return f"{found.value:+.3f} ({found.low:+.3f}, {found.high:+.3f}){shown}"
