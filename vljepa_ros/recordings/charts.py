"""Curves over time as inline SVG, thinned so that a day is no larger than a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeVar

import numpy as np
import numpy.typing as npt

WIDTH = 1000
HEIGHT = 140
BELOW = HEIGHT + 14
"""Base line of the texts below."""
MARGIN = 40
COLUMNS = 1000
"""Most points of a curve."""

T = TypeVar("T")
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """A moment on the time axis that leads to a place in the page, if it has an anchor."""

    time_s: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Curve:
    """Values at the times of the chart."""

    values: Numbers
    css_class: str


def chart(
    times_s: Numbers,
    curves: Sequence[Curve],
    *,
    unit: str,
    top: float,
    marks: Iterable[Mark] = (),
    bands: Iterable[tuple[float, float, int]] = (),
    ends: tuple[str, str] | None = None,
    ticks: Iterable[tuple[float, str]] = (),
) -> str:
    """One SVG.

    Args:
        times_s: times of all curves, ascending [s].
        unit: of the values, as text.
        top: value at the upper edge; the lower one is 0.
        bands: background from a time to a time [s]; neighbours differ by the parity of a number.
        ends: texts below the first and the last value; None = 0 s and the length.
        ticks: places between them [s], and the text below each.
    """
    begin_s, end_s = float(times_s[0]), float(times_s[-1])
    scale_x = (WIDTH - MARGIN) / max(end_s - begin_s, 1e-9)
    scale_y = HEIGHT / max(top, 1e-9)

    def x(time_s: float) -> float:
        return MARGIN + (time_s - begin_s) * scale_x

    parts = [
        f'<rect class="band{number % 2}" x="{x(from_s):.1f}" y="0" '
        f'width="{max((to_s - from_s) * scale_x, 0.5):.1f}" height="{HEIGHT}"/>'
        for from_s, to_s, number in _apart(bands, lambda band: x(band[0]))
    ]
    for mark in _apart(marks, lambda mark: x(mark.time_s)):
        line = (
            f'<line class="mark" x1="{x(mark.time_s):.1f}" x2="{x(mark.time_s):.1f}" y1="0" '
            f'y2="{HEIGHT}"><title>{escape(mark.text)}</title></line>'
        )
        parts.append(f'<a href="#{escape(mark.anchor)}">{line}</a>' if mark.anchor else line)
    for curve in curves:
        thin_s, thin = thinned(times_s, curve.values)
        points = " ".join(
            f"{x(t):.1f},{HEIGHT - min(max(v, 0.0), top) * scale_y:.1f}"
            for t, v in zip(thin_s.tolist(), thin.tolist(), strict=True)
        )
        parts.append(f'<polyline class="{curve.css_class}" points="{points}"/>')
    parts += [
        f'<text x="{x(time_s):.1f}" y="{BELOW}" text-anchor="middle">{escape(text)}</text>'
        for time_s, text in ticks
    ]
    ends = ends or ("0 s", f"{end_s - begin_s:.1f} s")
    return _framed(parts, unit=unit, top=top, ends=ends)


def thinned(times_s: Numbers, values: Numbers) -> tuple[Numbers, Numbers]:
    """At most COLUMNS points; of those that fall together the highest, since peaks matter."""
    if len(values) <= COLUMNS:
        return times_s, values
    parts = np.array_split(np.arange(len(values)), COLUMNS)
    highest = np.array([part[np.argmax(values[part])] for part in parts])
    return times_s[highest], values[highest]


def _apart(things: Iterable[T], place: Callable[[T], float]) -> Iterator[T]:
    """Those that do not fall on the one before, so that there are no more than columns."""
    last = float("-inf")
    for thing in things:
        if place(thing) - last >= WIDTH / COLUMNS:
            last = place(thing)
            yield thing


def _framed(parts: Sequence[str], *, unit: str, top: float, ends: tuple[str, str]) -> str:
    texts = [
        f'<text x="{MARGIN - 4}" y="10" text-anchor="end">{top:.3g}</text>',
        f'<text x="{MARGIN - 4}" y="{HEIGHT}" text-anchor="end">0</text>',
        f'<text x="{MARGIN - 4}" y="{HEIGHT // 2}" text-anchor="end">{escape(unit)}</text>',
        f'<text x="{MARGIN}" y="{BELOW}">{escape(ends[0])}</text>',
        f'<text x="{WIDTH}" y="{BELOW}" text-anchor="end">{escape(ends[1])}</text>',
        f'<line class="axis" x1="{MARGIN}" x2="{WIDTH}" y1="{HEIGHT}" y2="{HEIGHT}"/>',
    ]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 18}" role="img">'
        + "".join([*parts, *texts])
        + "</svg>"
    )
