"""Measure it all: `python -m training.bench --out docs/results/training.json`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from training.bench import data, exact, kills, memory, speed
from vljepa_ros import provenance

MEASURES = {
    "exact": exact.measure,
    "memory": memory.measure,
    "throughput": speed.throughput,
    "saving": speed.saving,
    "data": data.measure,
    "kills": kills.measure,
}


def main(out: str = "", only: list[str] | None = None) -> None:
    """Run the measures and print them.

    Args:
        out: JSON file that is written as well; empty = none.
        only: names of measures; none = all. The file keeps what it has of the others.
    """
    scores: dict[str, Any] = {}
    if only is not None and out and Path(out).exists():
        scores = json.loads(Path(out).read_text())
    with tempfile.TemporaryDirectory() as folder:
        for name, measure in MEASURES.items():
            if only is None or name in only:
                scores |= measure(Path(folder) / name)
                print(json.dumps(scores, indent=2), flush=True)
                if out:
                    # After each, so that a run that is cut off keeps what it measured.
                    said = scores | {"seed": 0} | provenance.facts(provenance.command())
                    Path(out).write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
