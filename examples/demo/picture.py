"""The whole run in one picture: frames, change score, and captions against the truth.

Time runs in rows like lines of music, so that a run of minutes stays readable.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from examples.demo.record import Event, Run
from examples.demo.recording import Recording
from examples.demo.truth import Segment, meaning

mpl.use("Agg")

WIDTH_IN, DPI = 18.0, 110
ROW_S = 25.0
HEIGHTS = {"frames": 1.05, "truth": 0.62, "seen": 0.62, "score": 0.55}
"""Of a row's parts [inch]."""
LEFT, WIDTH = 0.045, 0.945
"""Of a row, as shares of the picture."""
INK, FAINT, SCORE, ALARM = "#22272e", "#8c959f", "#1f6feb", "#cf222e"
RIGHT, WRONG, NEUTRAL = "#b7e4c7", "#ffd6cc", "#d0e2f5"
CHARACTER_IN = 0.058
"""Width of a character of a caption."""


def draw(
    file: Path,
    run: Run,
    recording: Recording,
    truth: Sequence[Segment] | None,
    figures: dict[str, Any],
) -> None:
    """Write the picture of a run as PNG."""
    rows = max(math.ceil(recording.duration_s / ROW_S - 0.05), 1)
    row_s = recording.duration_s / rows
    heights = [height for name, height in HEIGHTS.items() if name != "truth" or truth]
    top_in, gap_in = 0.95, 0.42
    height_in = top_in + rows * (sum(heights) + gap_in)
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="white")
    _heading(figure, recording, figures, height_in)
    below_in = height_in - top_in
    for row in range(rows):
        start_s = row * row_s
        axes = []
        for height in heights:
            below_in -= height
            box = (LEFT, below_in / height_in, WIDTH, height / height_in)
            parts = figure.add_axes(box)
            parts.set_xlim(start_s, start_s + row_s)
            axes.append(parts)
        below_in -= gap_in
        _row(axes, run, recording, truth)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _heading(
    figure: Figure, recording: Recording, figures: dict[str, Any], height_in: float
) -> None:
    figure.text(
        0.012,
        1 - 0.32 / height_in,
        f"What perception made of {recording.path.name}",
        fontsize=17,
        fontweight="bold",
        color=INK,
    )
    figure.text(0.012, 1 - 0.62 / height_in, sentence(figures), fontsize=11, color=INK)
    handles: list[Patch | Line2D] = [
        Line2D([], [], color=SCORE, label="change score"),
        Line2D([], [], color=ALARM, ls=(0, (4, 2)), label="its threshold"),
        Line2D([], [], color=INK, marker="|", ls="", ms=9, mew=1.4, label="change published"),
    ]
    if figures["true_events"] is not None:
        handles += [
            Patch(facecolor=RIGHT, label="caption is true now"),
            Patch(facecolor=WRONG, label="wrong or out of date"),
        ]
    else:
        handles.append(Line2D([], [], color=ALARM, marker="v", ls="", label="hard cut"))
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(0.993, 1 - 0.1 / height_in),
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        columnspacing=1.4,
        handletextpad=0.6,
    )


def sentence(figures: dict[str, Any]) -> str:
    """The figures of a run in words."""
    parts = [
        f"{figures['frames']} frames: {figures['states']} states, {figures['dropped']} dropped"
        + (f", {figures['lost']} lost" if figures["lost"] else "")
    ]
    if figures["true_events"] is not None:
        parts += [
            f"{figures['events_hit']} of {figures['true_events']} true events noticed, "
            f"{figures['captions_right']} of them captioned right",
            f"{figures['decodes_per_true_event']:.2f} captions decoded a true event",
        ]
    else:
        parts += [
            f"{figures['cuts_hit']} of {figures['cuts']} hard cuts noticed",
            f"{figures['changes_per_minute']:.1f} changes a minute, "
            f"{figures['false_changes_per_minute']:.1f} of them not at a cut",
        ]
    if figures["latency_ms_p50"] is not None:
        parts.append(
            f"latency {figures['latency_ms_p50']:.0f} ms (p99 {figures['latency_ms_p99']:.0f} ms)"
        )
    return "   ·   ".join(parts)


def _row(
    axes: Sequence[Axes], run: Run, recording: Recording, truth: Sequence[Segment] | None
) -> None:
    frames, *bands, captions, score = axes
    _frames(frames, run, recording)
    if bands and truth:
        _bare(bands[0], "truth")
        for segment in truth:
            _span(bands[0], segment.start_s, segment.end_s, NEUTRAL)
            _words(bands[0], segment.start_s, segment.end_s, segment.caption)
    _captions(captions, run, recording.duration_s, truth)
    _score(score, run, () if truth else recording.cuts_s)


def _frames(axes: Axes, run: Run, recording: Recording) -> None:
    """Frames at the events, and some where nothing happened for long."""
    start_s, end_s = axes.get_xlim()
    _bare(axes, "frames")
    axes.set_frame_on(False)
    height, width = recording.frame_at(start_s).shape[:2]
    width_s = HEIGHTS["frames"] * 0.92 * width / height / _per_s_in(axes)
    events_s = [t for e in run.events if start_s <= (t := run.time_s(e.stamp_ns)) < end_s]
    times_s = chosen_times(events_s, start_s, end_s, width_s * 1.04)
    middles_s = spread(times_s, start_s, end_s, width_s * 1.04)
    for time_s, middle_s in zip(times_s, middles_s, strict=True):
        left_s, right_s = middle_s - width_s / 2, middle_s + width_s / 2
        axes.imshow(recording.frame_at(time_s), extent=(left_s, right_s, 0.08, 1.0), aspect="auto")
        if time_s in events_s:
            axes.plot([time_s, middle_s], [-0.04, 0.08], color=FAINT, lw=1)
    axes.set_xlim(start_s, end_s)
    axes.set_ylim(-0.04, 1.02)


def chosen_times(
    events_s: Sequence[float], start_s: float, end_s: float, slot_s: float
) -> list[float]:
    """Times of the frames that a row shows: as many events as fit, evenly, and the gaps' middles.

    Args:
        slot_s: time that the width of a frame stands for.
    """
    most = max(int((end_s - start_s) / slot_s), 1)
    step = max(len(events_s) / most, 1.0)
    times_s = [events_s[int(at * step)] for at in range(min(len(events_s), most))]
    for before_s, after_s in pairwise([start_s, *times_s, end_s]):
        fillers = int((after_s - before_s) / slot_s - 1.0)
        for filler in range(fillers):
            times_s.append(before_s + (after_s - before_s) * (filler + 1) / (fillers + 1))
    return sorted(times_s)[:most]


def spread(times_s: Sequence[float], start_s: float, end_s: float, slot_s: float) -> list[float]:
    """Middles of frames, as near to their times as they can be without overlap, in a row's bounds.

    Neighbours that would overlap are pooled and share their mean: least squares, in order.
    """
    pools: list[tuple[float, int]] = []  # (place of the first, frames)
    for at, time_s in enumerate(times_s):
        place, size = time_s - at * slot_s, 1
        while pools and pools[-1][0] > place:
            other, count = pools.pop()
            place = (other * count + place * size) / (count + size)
            size += count
        pools.append((place, size))
    places = [place for place, size in pools for _ in range(size)]
    low, high = start_s + slot_s / 2, end_s - slot_s / 2 - (len(times_s) - 1) * slot_s
    return [min(max(place, low), high) + at * slot_s for at, place in enumerate(places)]


def _captions(axes: Axes, run: Run, duration_s: float, truth: Sequence[Segment] | None) -> None:
    """Each caption from its publication to the next; green while it is true."""
    _bare(axes, "seen")
    said: list[tuple[float, Event]] = [(run.time_s(e.published_ns), e) for e in run.events]
    starts_s = [start_s for start_s, _ in said]
    for (start_s, event), end_s in zip(said, [*starts_s[1:], duration_s], strict=False):
        for segment in truth or ():
            from_s, to_s = max(start_s, segment.start_s), min(end_s, segment.end_s)
            if from_s < to_s:
                right = meaning(event.caption) == meaning(segment.caption)
                _span(axes, from_s, to_s, RIGHT if right else WRONG)
        if not truth:
            _span(axes, start_s, end_s, NEUTRAL)
        axes.axvline(start_s, color=INK if event.is_change else FAINT, lw=1.2)
        _words(axes, start_s, end_s, event.caption or "(no words)")


def _score(axes: Axes, run: Run, cuts_s: Sequence[float]) -> None:
    _bare(axes, "change\nscore")
    times_s = [run.time_s(state.stamp_ns) for state in run.states]
    scores = [state.score for state in run.states]
    axes.fill_between(times_s, scores, color=SCORE, alpha=0.18, lw=0)
    axes.plot(times_s, scores, color=SCORE, lw=1.2)
    axes.plot(times_s, [s.threshold for s in run.states], color=ALARM, lw=1, ls=(0, (4, 2)))
    for event in run.events:
        if event.is_change:
            axes.axvline(run.time_s(event.stamp_ns), color=INK, lw=0.8, alpha=0.5)
    axes.plot(cuts_s, [1.0] * len(cuts_s), color=ALARM, marker="v", ls="", ms=7)
    axes.set_ylim(0.0, 1.1)
    axes.tick_params(axis="x", labelbottom=True, length=3, colors=FAINT, labelsize=8)
    axes.xaxis.set_major_locator(MultipleLocator(5.0))
    axes.xaxis.set_minor_locator(MultipleLocator(1.0))
    axes.tick_params(axis="x", which="minor", length=2, colors=FAINT)
    axes.xaxis.set_major_formatter(lambda time_s, _: f"{time_s:.0f} s")


def _per_s_in(axes: Axes) -> float:
    """Width of a second [inch]."""
    start_s, end_s = axes.get_xlim()
    return WIDTH * WIDTH_IN / (end_s - start_s)


def _bare(axes: Axes, name: str) -> None:
    axes.set_yticks([])
    axes.tick_params(axis="x", labelbottom=False, length=0)
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, color=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _span(axes: Axes, start_s: float, end_s: float, colour: str) -> None:
    axes.axvspan(start_s, end_s, ymin=0.04, ymax=0.96, facecolor=colour, edgecolor="white", lw=1)


def _words(axes: Axes, start_s: float, end_s: float, words: str) -> None:
    """A caption in the part of its span that this row shows, wrapped to fit."""
    row_start_s, row_end_s = axes.get_xlim()
    shown_s, shown_to_s = max(start_s, row_start_s), min(end_s, row_end_s)
    if shown_to_s <= shown_s:
        return
    per_s_in = _per_s_in(axes)
    columns = int((shown_to_s - shown_s) * per_s_in / CHARACTER_IN) - 1
    if columns < 4:
        return
    lines = textwrap.wrap(words.replace("$", r"\$"), columns)
    most = 4
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1][: columns - 1]}…"]
    axes.text(
        shown_s + 0.06 / per_s_in,
        0.5,
        "\n".join(lines),
        transform=axes.get_xaxis_transform(),
        va="center",
        ha="left",
        fontsize=7.2,
        linespacing=1.05,
        color=INK,
        clip_on=True,
    )
