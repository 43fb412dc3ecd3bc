"""The bench's figures as a table, and as a file that says how they came about."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vljepa_ros import paths, provenance
from vljepa_ros.model import checkpoint
from vljepa_ros.ros.bench.figures import GOALS, Round, reached
from vljepa_ros.ros.bench.query_figures import BATCHES, Loaded

ROWS = {
    "throughput_ratio": (
        "states per second, camera faster than the model",
        ("node_states_per_s", "bare_forwards_per_s", "/s"),
    ),
    "latency_ratio": (
        "latency, nothing waiting",
        ("node_latency_ms", "bare_forward_ms", "ms"),
    ),
    "overload_age_ratio": (
        "age when published, camera 3x faster",
        ("node_overload_age_ms", "bare_forward_ms", "ms"),
    ),
    "memory_ratio": (
        "resident memory, late / early",
        ("memory_late_mb", "memory_early_mb", "MB"),
    ),
}

LATENCY_ROWS = {
    f"query{batch}_latency_ratio": (
        f"query of {batch}, nothing else to do",
        (f"query{batch}_ms", f"bare_predictor{batch}_ms", "ms"),
    )
    for batch in BATCHES
}
LOAD_ROWS = {
    "load_rate_ratio": "states per second, with queries / without",
    "load_ok_share": "share of queries answered OK",
    "load_lost": "queries without any answer",
}


def progress(done: Round) -> str:
    """One round in one line."""
    return (
        f"throughput {done.throughput_ratio:.3f}   latency {done.latency_ratio:.2f}   "
        f"overload age {done.overload_age_ratio:.2f}   (forward {done.calm.bare.forward_ms:.1f} ms)"
    )


def step_line(step: Loaded) -> str:
    """One step of the load in one line."""
    return _load_line(step.figures())


def _load_line(step: dict[str, Any]) -> str:
    return (
        f"{step['hz']:4.0f} queries/s   perception at {step['rate_ratio']:.2f} of its rate   "
        f"OK {step['ok_share']:.2f}, refused {step['refused_share']:.2f}, "
        f"late {step['late_share']:.2f}, lost {step['lost']}   "
        f"busy {_share(step['busy_share'])}"
    )


def table(found: dict[str, Any]) -> str:
    """The ratios with what they are made of, their goals and their spread."""
    lines = [f"{'':50}{'node':>12}{'bare':>12}{'ratio':>8}   rounds       goal"]
    lines += _rows(ROWS, found, found["rounds"])
    if found["query8_latency_ratio"] is not None:
        lines += _rows(LATENCY_ROWS, found, found["query_rounds"])
    lines.append(
        f"{len(found['rounds'])} rounds; camera {found['busy_factor']:.1f}, "
        f"{found['calm_factor']:.1f} and {found['overload_factor']:.1f} times as fast as the "
        "model; "
        f"{found['node_tubelets_per_state']:.2f} tubelets encoded a state; "
        f"{found['node_received_ms']:.1f} ms until another process has the state"
    )
    return "\n".join(lines + _load(found))


def _rows(
    rows: Mapping[str, tuple[str, tuple[str, str, str]]],
    found: dict[str, Any],
    rounds: list[dict[str, float]],
) -> list[str]:
    return [
        f"{what:50}{_quantity(found[node], unit):>12}{_quantity(found[bare], unit):>12}"
        f"{found[name]:8.3f}   {_spread(rounds, name):11}  {_judged(name, found[name])}".rstrip()
        for name, (what, (node, bare, unit)) in rows.items()
    ]


def _load(found: dict[str, Any]) -> list[str]:
    """Queries beside perception; the goals are about the last step."""
    if not found["load_ladder"]:
        return ["no queries: this model was not trained to predict what actions lead to"]
    lines = [
        f"queries of {found['load_candidates']} beside a camera at "
        f"{found['load_camera_hz']:.1f} /s; busy: share of its time that the model has to work",
        *(_load_line(step) for step in found["load_ladder"]),
        _saturation(found),
    ]
    for name, what in LOAD_ROWS.items():
        lines.append(f"{what:74}{found[name]:8.3f}{'':16}{_judged(name, found[name])}")
    return lines


def _saturation(found: dict[str, Any]) -> str:
    rate_hz, highest_hz = found["load_hz"], found["load_below_hz"]
    if found["load_below_saturation"]:
        return f"{rate_hz:.0f} queries/s leave this machine below saturation"
    if highest_hz is None:
        return f"{rate_hz:.0f} queries/s saturate this machine, and so did every lower rate tried"
    return (
        f"{rate_hz:.0f} queries/s saturate this machine; {highest_hz:.0f} /s is the highest rate "
        "tried that does not"
    )


def _judged(name: str, value: float) -> str:
    """The goal and whether it was reached; empty where there is none."""
    if name not in GOALS:
        return ""
    sign, goal = GOALS[name]
    return f"{sign} {goal:.2f} {'reached' if reached(name, value) else 'missed'}"


def _share(value: float | None) -> str:
    return "?" if value is None or math.isnan(value) else f"{value:.2f}"


def _quantity(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}"


def _spread(rounds: list[dict[str, float]], name: str) -> str:
    values = [one[name] for one in rounds if name in one]
    return f"{min(values):.2f}-{max(values):.2f}" if values else ""


def write(
    file: Path,
    found: dict[str, Any],
    options: argparse.Namespace,
    image: str,
) -> None:
    """All figures with machine, date, seed, commit, command and the weights that ran."""
    weights = checkpoint.describe(options.model or paths.default_model()).sha256
    facts = provenance.facts(provenance.command()) | {
        "sha256": weights[checkpoint.WEIGHTS],
        "seed": options.seed,
        "threads": options.threads,
        "image": image,
        "load_average": os.getloadavg()[0],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(facts | {"figures": found}, indent=2) + "\n")
