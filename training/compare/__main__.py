"""The controlled comparison: `python -m training.compare run`, then `… report`; and `… ablate`.

`run` tunes, trains and asks every learner with every seed; what is finished is skipped, and an
interrupted run goes on where it stopped. `report` writes tables and curves of what there is.
`ablate` trains VL-JEPA with one thing changed at a time and writes the differences.
`x_encoders` trains X-encoders on labels or texts, on one renderer's pictures or the other's.
`quick` does all of it at toy size in a folder of its own: what it prints means nothing.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from jsonargparse import auto_cli

from training.compare import ablation_report, cost, report
from training.compare.quick import quick_comparison, quick_x_encoders
from training.compare.runner import Runner, finished
from training.compare.settings import Comparison, ablations
from training.compare.x_encoders import XEncoders, measure
from training.train import EXPECTED

DEFAULT, ABLATIONS, X_ENCODERS = Comparison(), ablations(), XEncoders()


def run(out: str = "runs/compare", comparison: Comparison = DEFAULT) -> None:
    """Do all that is still to do, and measure what it costs."""
    runner = Runner(comparison, Path(out))
    runner.run()
    file, names = Path(out) / report.COST, list(finished(Path(out)))
    if file.exists() and set(names) <= set(json.loads(file.read_text())):
        return
    # All of them again: costs compare within one run only.
    trained = {name: runner.trained(name) for name in names}
    threads, rounds = comparison.fit.threads, comparison.cost_rounds
    costs = cost.measure(runner.frozen, trained, runner.test, threads, rounds)
    file.write_text(json.dumps(costs, indent=2) + "\n")


def write_report(
    runs: str = "runs/compare",
    results: str = "docs/results/compare.json",
    picture: str = "docs/results/compare.png",
) -> None:
    """Write tables and curves of finished runs."""
    print(report.table(report.write(Path(runs), Path(results), Path(picture))))


def ablate(
    out: str = "runs/ablate",
    comparison: Comparison = ABLATIONS,
    results: str = "docs/results/ablations.json",
) -> None:
    """Do all that is still to do, and write how far each ablation lies above the base."""
    Runner(comparison, Path(out)).run()
    print(ablation_report.table(ablation_report.write(Path(out), Path(results))))


def x_encoders(
    out: str = "runs/x-encoders",
    config: XEncoders = X_ENCODERS,
    results: str = "docs/results/x_encoders.json",
) -> None:
    """Do all that is still to do, and write what each way scores on both renderers' pictures."""
    measure(config, Path(out), Path(results))


def quick(out: str = "") -> None:
    """Everything at toy size; empty `out` = a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(out or temporary)
        toy = quick_comparison(folder)
        run(str(folder / "runs"), toy)
        write_report(
            str(folder / "runs"), str(folder / "compare.json"), str(folder / "compare.png")
        )
        few = replace(toy, learners=("base", "y_lr_1"))
        ablate(str(folder / "ablate"), few, str(folder / "ablations.json"))
        ways = quick_x_encoders(toy)
        x_encoders(str(folder / "x-encoders"), ways, str(folder / "x_encoders.json"))


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
