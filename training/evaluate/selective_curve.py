"""Quality against decodes for every method, by idle fraction; the last line is one JSON object.

    python -m training.evaluate.selective_curve --model models/tabletop --seed 5000000 \\
        --streams 20 --out docs/results/selective_curve

writes OUT.json, with the curves, and OUT.png. The methods are in training/evaluate/
selective_methods.py; `_pooled` and `_gated` behind their names are the forms of a stream in
selective_samples.py, except that Ward pools its segments. What is compared: area under the curve
(selective_area.py) and `selective_gain` (selective_scores.py), which is taken without a gate;
`gated_gain` is the same where every method has one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse import auto_cli

from training.evaluate.selective import Curve, StreamRecord, right_seconds, uniform_curve
from training.evaluate.selective_area import Areas, per_event
from training.evaluate.selective_methods import SWEEP, oracle_curve, ward_curves
from training.evaluate.selective_plot import draw
from training.evaluate.selective_samples import Sample, samples
from training.evaluate.selective_scores import SelectiveScores, score, threshold_curve
from training.evaluate.streams import ACTIONS_A_STREAM
from training.tabletop.world import WORLD_VERSION
from vljepa_ros import provenance
from vljepa_ros.config import SelectiveConfig
from vljepa_ros.model.engine import Engine

IDLE_FRACTIONS = (0.20, 0.35, 0.50, 0.65, 0.80, 0.95)
DEFAULT = SelectiveConfig()
COMPARED = (
    ("online", "ward_publish"),
    ("online", "ward_publish_pooled"),
    ("online", "uniform"),
    ("online_pooled", "online"),
    ("online_gated", "uniform_gated"),
)
"""Pairs of methods of which the difference of areas is told."""


def curves_of(
    taken: Sequence[Sample], config: SelectiveConfig, sweep: Sequence[float] = SWEEP
) -> dict[str, Curve]:
    """Every method's curve on the same streams, by name."""
    forms: dict[str, list[StreamRecord]] = {
        "": [sample.exact for sample in taken],
        "_pooled": [sample.pooled for sample in taken],
        "_gated": [sample.gated for sample in taken],
    }
    curves: dict[str, Curve] = {}
    for form, streams in forms.items():
        curves[f"uniform{form}"] = uniform_curve(streams)
        curves[f"oracle{form}"] = oracle_curve(streams)
        curves[f"online{form}"] = threshold_curve(streams, config, sweep)
    exact = forms[""]
    for stamp, curve in ward_curves(exact).items():
        curves[f"ward_{stamp.value}"] = curve
    for stamp, curve in ward_curves(exact, [sample.speak for sample in taken]).items():
        curves[f"ward_{stamp.value}_pooled"] = curve
    return curves


def measure(taken: Sequence[Sample], config: SelectiveConfig, seed: int = 0) -> dict[str, Any]:
    """All figures of streams of one idle fraction, `curves` among them."""
    exact = [sample.exact for sample in taken]
    ours, gated = (
        score(streams, config, seed=seed) for streams in (exact, [sample.gated for sample in taken])
    )
    curves = curves_of(taken, config)
    events_R = [stream.events for stream in exact]
    areas = Areas(curves, events_R, seed=seed)
    return {
        "streams": ours.streams,
        "events": ours.events,
        "steps": sum(len(stream.times_s_S) for stream in exact),
        "every_step_quality": ours.every_step_quality,
        "first_only_quality": _first_only_quality(exact),
        **_gain("selective_gain", ours),
        **_gain("gated_gain", gated),
        "tuned": {
            "decodes_per_event": ours.tuned_decodes_per_event,
            "quality": ours.quality,
            "reached": ours.reached,
            "hits": ours.hits,
            "every_step_hits": ours.every_step_hits,
            "delay_s_p50": ours.delay_s_p50,
        },
        "gate_right": float(np.mean(np.concatenate([_gate_right(s.gated) for s in taken]))),
        "areas": {name: asdict(areas.of(name)) for name in curves},
        "differences": {
            f"{name} - {other}": asdict(areas.difference(name, other)) for name, other in COMPARED
        },
        "curves": {name: _points(curve, np.array(events_R)) for name, curve in curves.items()},
    }


def _gain(name: str, scores: SelectiveScores) -> dict[str, Any]:
    return {
        name: scores.selective_gain,
        f"{name}_low": scores.selective_gain_low,
        f"{name}_high": scores.selective_gain_high,
        f"{name}_decodes_per_event": {
            "online": scores.decodes_per_event,
            "uniform": scores.uniform_decodes_per_event,
            "oracle": scores.oracle_decodes_per_event,
        },
    }


def _first_only_quality(streams: Sequence[StreamRecord]) -> float:
    right_s = sum(
        right_seconds(stream, np.arange(len(stream.times_s_S)) == 0) for stream in streams
    )
    return right_s / sum(stream.duration_s for stream in streams)


def _gate_right(gated: StreamRecord) -> np.ndarray:
    """At which steps the gate tells idle from action; streams begin idle."""
    idle_S = np.equal(gated.truth_G[gated.segment_S], gated.truth_G[0])
    right_S: np.ndarray = np.equal(gated.gated_S, idle_S)
    return right_S


def _points(curve: Curve, events_R: np.ndarray) -> dict[str, list[float]]:
    decodes_K, quality_K = per_event(curve, np.ones(len(events_R)), events_R)
    near = decodes_K <= 10.0
    return {
        "decodes_per_event": decodes_K[near].round(4).tolist(),
        "quality": quality_K[near].round(4).tolist(),
    }


def main(
    model: str = "models/tabletop",
    seed: int = 1,
    streams: int = 20,
    split: str = "test",
    idle_fractions: tuple[float, ...] = IDLE_FRACTIONS,
    actions: int = ACTIONS_A_STREAM,
    threads: int = 0,
    selective: SelectiveConfig = DEFAULT,
    out: str = "out/selective_curve",
) -> None:
    """Measure, draw, and print the scores.

    Args:
        streams: how many of each idle fraction.
        actions: how many there are in a stream.
        out: files to write, without their endings.
    """
    engine = Engine.load(model, device="cpu", dtype="float32", threads=threads)
    facts = provenance.facts(provenance.command()) | {
        "world_version": WORLD_VERSION,
        "sha256": engine.sha256,
        "seed": seed,
        "split": split,
    }
    found: dict[str, dict[str, Any]] = {}
    for fraction in idle_fractions:
        taken = samples(engine, seed, streams, split, fraction, actions)
        found[f"{fraction:.2f}"] = measure(taken, selective, seed)
        print(f"idle {fraction:.2f}: {_line(found[f'{fraction:.2f}'])}", flush=True)
    file = Path(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".json").write_text(_json(facts | {"by_idle_fraction": found}) + "\n")
    draw(file.with_suffix(".png"), found)
    scores = {
        fraction: {name: value for name, value in figures.items() if name != "curves"}
        for fraction, figures in found.items()
    }
    print(_json(facts | {"by_idle_fraction": scores}))


def _json(value: Any) -> str:
    """JSON knows no NaN: what could not be measured is null."""
    return json.dumps(_or_null(value), allow_nan=False)


def _or_null(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _or_null(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(figures: Mapping[str, Any]) -> str:
    areas = figures["areas"]
    told = ("uniform", "ward_middle", "ward_publish", "online", "oracle")
    return f"gain {figures['selective_gain']:.3f}, areas " + ", ".join(
        f"{name} {areas[name]['value']:.3f}" for name in told
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
