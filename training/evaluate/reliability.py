"""Draw how honest the model's uncertainty is; the last line is one JSON object.

    python -m training.evaluate.reliability --model models/tabletop --seed 5000000 --episodes 60 \\
        --out docs/results/reliability.png

The same transitions as training/evaluate/tabletop.py asks. A point above the diagonal: the model is
right more often than it says.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from jsonargparse import auto_cli
from matplotlib.figure import Figure

from training.evaluate.measures import Bins, equal_mass_bins
from training.evaluate.observe import observe_still
from training.evaluate.transitions import Judged, asked_of, imagining, judge, reliability_scores
from training.tabletop.world import Episode

mpl.use("Agg")

SIZE_IN, DPI = (5.2, 6.4), 110
INK, FAINT, LINE, BARS = "#22272e", "#8c959f", "#1f6feb", "#d0e2f5"


def draw(file: Path, judged: Judged) -> None:
    """Write the diagram as PNG: accuracy over confidence, and how often which confidence is."""
    bins = equal_mass_bins(judged.confidence_R, judged.right_R)
    scores = reliability_scores(judged)
    figure = Figure(figsize=SIZE_IN, dpi=DPI, facecolor="white", layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    upper.plot([0, 1], [0, 1], color=FAINT, lw=1, ls=(0, (4, 2)), label="honest")
    upper.errorbar(
        bins.confidence_B,
        bins.accuracy_B,
        yerr=_standard_error(bins),
        color=LINE,
        marker="o",
        ms=4,
        lw=1.2,
        capsize=2,
        label="measured, in 15 equal parts",
    )
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of right answers")
    upper.set_title(
        f"ECE {scores['ece']:.3f}   ·   Brier {scores['brier']:.3f}   ·   "
        f"AUROC {scores['uncertainty_auroc']:.3f}   ·   {len(judged.right_R)} transitions",
        fontsize=9,
        color=INK,
    )
    upper.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    lower.hist(judged.confidence_R, bins=np.linspace(0, 1, 31).tolist(), color=BARS, edgecolor=LINE)
    lower.set(xlabel="confidence = 1 − uncertainty", ylabel="items")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _standard_error(bins: Bins) -> np.ndarray:
    error_B: np.ndarray = np.sqrt(bins.accuracy_B * (1 - bins.accuracy_B) / bins.size_B)
    return error_B


def main(
    model: str = "models/tabletop",
    seed: int = 1,
    episodes: int = 60,
    split: str = "test",
    threads: int = 0,
    out: str = "out/reliability.png",
) -> None:
    """Ask, draw, and print the scores.

    Raises:
        EngineError: the model cannot imagine.
    """
    torch.manual_seed(0)
    engine = imagining(model, threads)
    worlds = [Episode.generate(seed + index, split) for index in range(episodes)]
    items, seen = asked_of(observe_still(engine, worlds, seed), seed)
    judged = judge(engine, items, seen)
    draw(Path(out), judged)
    said = {"seed": seed, "sha256": engine.sha256, "transition_items": len(items)}
    print(json.dumps(said | reliability_scores(judged)))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
