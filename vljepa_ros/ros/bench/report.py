"""The bench's figures as a table, and as a file that says how they came about."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from vljepa_ros.ros.bench.figures import GOALS, Round, reached

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


def progress(done: Round) -> str:
    """One round in one line."""
    return (
        f"throughput {done.throughput_ratio:.3f}   latency {done.latency_ratio:.2f}   "
        f"overload age {done.overload_age_ratio:.2f}   (forward {done.calm.bare.forward_ms:.1f} ms)"
    )


def table(found: dict[str, Any]) -> str:
    """The ratios with what they are made of, their goals and their spread."""
    lines = [f"{'':50}{'node':>12}{'bare':>12}{'ratio':>8}   rounds       goal"]
    for name, (what, (node, bare, unit)) in ROWS.items():
        sign, goal = GOALS[name]
        mark = "reached" if reached(name, found[name]) else "missed"
        lines.append(
            f"{what:50}{_quantity(found[node], unit):>12}{_quantity(found[bare], unit):>12}"
            f"{found[name]:8.3f}   {_spread(found['rounds'], name):11}  {sign} {goal:.2f} {mark}"
        )
    lines.append(
        f"{len(found['rounds'])} rounds; camera {found['busy_factor']:.1f}, "
        f"{found['calm_factor']:.1f} and {found['overload_factor']:.1f} times as fast as the "
        "model; "
        f"{found['node_tubelets_per_state']:.2f} tubelets encoded a state; "
        f"{found['node_received_ms']:.1f} ms until another process has the state"
    )
    return "\n".join(lines)


def _quantity(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}"


def _spread(rounds: list[dict[str, float]], name: str) -> str:
    values = [one[name] for one in rounds if name in one]
    return f"{min(values):.2f}-{max(values):.2f}" if values else ""


def write(file: Path, found: dict[str, Any], options: argparse.Namespace, image: str) -> None:
    """All figures with machine, date, seed, commit and command."""
    facts = {
        "command": " ".join(["python -m vljepa_ros.ros.bench", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "seed": options.seed,
        "threads": options.threads,
        "image": image,
        "machine": _machine(),
        "load_average": os.getloadavg()[0],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(facts | {"figures": found}, indent=2) + "\n")


def _commit() -> str:
    """The source's commit; empty outside of a repository."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(
        asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
