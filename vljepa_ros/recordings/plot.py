"""The curve of a tuning as one SVG file that needs nothing else."""

from __future__ import annotations

from html import escape

import numpy as np

from vljepa_ros.recordings.charts import HEIGHT, WIDTH, Curve, Mark, Numbers, chart
from vljepa_ros.recordings.tuning import Tuned

STYLE = """
text { font: 11px system-ui, sans-serif; }
polyline { fill: none; stroke: #1769aa; stroke-width: 1.5; }
polyline.limit { stroke: #c62828; stroke-dasharray: 5 3; }
line.mark { stroke: #c62828; stroke-opacity: .5; stroke-width: 2; }
line.axis { stroke: #888; }
"""
ABOVE, BELOW = 26, 34
"""Room for the titles [px]."""
TICKS = (0.1, 0.5, 0.9, 0.99, 0.999)
EDGE = 1e-4
"""What lies nearer to 0 or 1 is drawn there: log-odds have no end."""


def svg(tuned: Tuned) -> str:
    """Events a minute over the threshold, the wanted rate, and the threshold that was chosen.

    Thresholds lie by their log-odds: where words decide, all that matters can happen above 0.99.
    """
    thresholds = np.array([point.threshold for point in tuned.points])
    rates = np.array([point.events_per_minute for point in tuned.points])
    wanted = np.full(len(rates), tuned.wanted_per_minute)
    chosen = tuned.chosen
    title = (
        f"{chosen.events_per_minute:.1f} events a minute at {tuned.parameter} "
        f"{chosen.threshold:g}; wanted (dashed): {tuned.wanted_per_minute:g}"
    )
    drawn = chart(
        _places(thresholds),
        [Curve(rates, "rate"), Curve(wanted, "limit")],
        unit="a min",
        top=1.1 * max(float(rates.max()), tuned.wanted_per_minute),
        marks=[Mark(float(_places(np.array([chosen.threshold]))[0]), "", title)],
        ends=(f"{thresholds[0]:g}", f"{thresholds[-1]:g}"),
        ticks=zip(_places(np.array(TICKS)).tolist(), map(str, TICKS), strict=True),
    )
    height = ABOVE + HEIGHT + BELOW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{WIDTH / 2}" y="16" text-anchor="middle">{escape(title)}</text>{drawn}'
        f'<text x="{WIDTH / 2}" y="{height - 8}" text-anchor="middle">'
        f"{escape(tuned.parameter)}</text></svg>\n"
    )


def _places(thresholds: Numbers) -> Numbers:
    """Log-odds."""
    inside = np.clip(thresholds, EDGE, 1.0 - EDGE)
    return np.log(inside / (1.0 - inside))
