"""The picture of training/evaluate/selective_curve.py: a panel for each idle fraction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluate.selective_area import SPAN

mpl.use("Agg")

COLUMNS, PANEL_IN, LEGEND_LINE_IN, DPI = 3, (3.4, 2.9), 0.25, 110
MOST_PER_EVENT = 6.0
INK, BAND = "#22272e", "#f2f4f7"
LINES: Mapping[str, Mapping[str, Any]] = {
    "oracle": {"color": "#2da44e", "label": "oracle"},
    "online": {"color": "#1f6feb", "lw": 2.2, "label": "ours, online"},
    "ward_start": {"color": "#bc4c00", "ls": ":", "label": "Ward, stamped at its segments' start"},
    "ward_middle": {"color": "#bc4c00", "ls": "--", "label": "Ward, at their middle (the paper's)"},
    "ward_publish": {"color": "#bc4c00", "label": "Ward, when published"},
    "uniform": {"color": "#8c959f", "label": "uniform"},
}


def draw(file: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the picture as PNG.

    Args:
        found: figures by idle fraction, as `selective_curve.measure` gives them.
    """
    rows = math.ceil(len(found) / COLUMNS)
    columns = min(len(found), COLUMNS)
    legend_in = LEGEND_LINE_IN * math.ceil(len(LINES) / columns)
    size_in = PANEL_IN[0] * columns, PANEL_IN[1] * rows + legend_in
    figure = Figure(figsize=size_in, dpi=DPI, facecolor="white", layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel, (fraction, figures) in zip(panels.flat, found.items(), strict=False):
        _panel(panel, fraction, figures)
    for empty in list(panels.flat)[len(found) :]:
        empty.set_axis_off()
    figure.supxlabel("decodes per true event", fontsize=10, color=INK)
    figure.supylabel("share of time in which the caption is right", fontsize=10, color=INK)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize=9
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _panel(panel: Axes, fraction: str, figures: Mapping[str, Any]) -> None:
    panel.axvspan(*SPAN, color=BAND, zorder=0)
    for name, style in LINES.items():
        points = figures["curves"][name]
        pairs = sorted(zip(points["decodes_per_event"], points["quality"], strict=True))
        x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        panel.plot(x, y, **({"lw": 1.3} | dict(style)))
    tuned = figures["tuned"]
    panel.plot(tuned["decodes_per_event"], tuned["quality"], "o", ms=6, color="#1f6feb", mec="w")
    panel.axhline(figures["every_step_quality"], color=INK, lw=0.6, ls=(0, (1, 3)))
    panel.set(xlim=(0, MOST_PER_EVENT), ylim=(0, 1))
    panel.set_title(
        f"{float(fraction):.0%} idle   ·   gain {figures['selective_gain']:.2f}",
        fontsize=9,
        color=INK,
    )
