"""The controlled comparison: `python -m training.compare run`, then `… report`.

`run` tunes, trains and asks every learner with every seed; what is finished is skipped, and an
interrupted run goes on where it stopped. `report` writes tables and curves of what there is.
`ablate` trains VL-JEPA with one thing changed at a time, `report --of ablations` tells of it.
`x_encoders` trains X-encoders on labels or texts, on one renderer's pictures or the
other's, `report --of x_encoders` tells of it.
`quick` does all of it at toy size in a folder of its own: what it prints means nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from jsonargparse import auto_cli

from training.compare import ablation_report, cost, report
from training.compare import x_encoders as ways
from training.compare.quick import quick_comparison, quick_x_encoders
from training.compare.runner import Runner, finished
from training.compare.settings import BRIEF, LEARNERS, Comparison, ablations
from training.train import EXPECTED

DEFAULT, ABLATIONS, X_ENCODERS = Comparison(), ablations(), ways.XEncoders()
Of = Literal["comparison", "ablations", "x_encoders"]
FILES: dict[Of, tuple[str, str]] = {
    "comparison": ("compare", "runs/compare"),
    "ablations": ("ablations", "runs/ablate"),
    "x_encoders": ("x_encoders", "runs/x-encoders"),
}
"""File in docs/results, and folder of the runs."""


def run(out: str = "runs/compare", comparison: Comparison = DEFAULT) -> None:
    """Do all that is still to do, and measure what it costs."""
    runner = Runner(comparison, Path(out))
    runner.run()
    file = Path(out) / report.COST
    names = [name for name in finished(Path(out)) if name not in BRIEF]
    if file.exists() and set(names) <= set(json.loads(file.read_text())):
        return
    # All of them again: costs compare within one run only.
    trained = {name: runner.trained(name) for name in names}
    threads, rounds = comparison.fit.threads, comparison.cost_rounds
    costs = cost.measure(runner.frozen, trained, runner.test, threads, rounds)
    file.write_text(json.dumps(costs, indent=2) + "\n")


def write_report(
    of: Of = "comparison",
    runs: str = "",
    results: str = "",
    picture: str = "docs/results/compare.png",
) -> None:
    """Write what finished runs say; empty `runs` and `results` = the default folder and file.

    Args:
        picture: curves; of the comparison alone.
    """
    name, folder = FILES[of]
    out, file = Path(runs or folder), Path(results or f"docs/results/{name}.json")
    if of == "comparison":
        print(report.table(report.write(out, file, Path(picture))))
    elif of == "ablations":
        print(ablation_report.table(ablation_report.write(out, file)))
    else:
        print(ways.table(ways.report(out, file)))


def ablate(out: str = "runs/ablate", comparison: Comparison = ABLATIONS) -> None:
    """Train and ask each ablation, as far as that is not done."""
    Runner(comparison, Path(out)).run()


def x_encoders(out: str = "runs/x-encoders", config: ways.XEncoders = X_ENCODERS) -> None:
    """Train and ask each way, as far as that is not done."""
    ways.measure(config, Path(out))


def quick(out: str = "") -> None:
    """Everything at toy size; empty `out` = a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(out or temporary)
        toy = quick_comparison(folder)
        run(str(folder / "runs"), toy)
        ablate(str(folder / "ablate"), replace(toy, learners=("base", "y_lr_1"), y_encoder=None))
        x_encoders(str(folder / "x-encoders"), quick_x_encoders(toy))
        run(str(folder / "seen"), replace(toy, learners=LEARNERS, y_encoder=None))
        reports: tuple[tuple[Of, str, str], ...] = (
            ("comparison", "runs", "compare"),
            ("comparison", "seen", "compare_seen"),
            ("ablations", "ablate", "ablations"),
            ("x_encoders", "x-encoders", "x_encoders"),
        )
        for of, runs, name in reports:
            file = folder / name
            write_report(of, str(folder / runs), f"{file}.json", f"{file}.png")


def main(arguments: list[str] | None = None) -> None:
    try:
        auto_cli(
            {
                "run": run,
                "report": write_report,
                "ablate": ablate,
                "x_encoders": x_encoders,
                "quick": quick,
            },
            as_positional=False,
            args=arguments,
        )
    except EXPECTED as error:
        sys.exit(f"training.compare: {error}")


if __name__ == "__main__":
    main()
