"""A run as numbers: the JSON object that the demo ends with.

Events count from their publish time. A true event is what the truth's segments begin with, the
first one aside. It is hit by a change published between its onset and its end + 1 s; each change
hits one true event at most, the earliest that is still open. A hit is captioned right when some
caption of its meaning is published in that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from examples.demo.record import Run
from examples.demo.truth import Segment, meaning

GRACE_S = 1.0
CUT_WINDOW_S = 2.0
"""A change belongs to a cut that it follows so soon: about the length of a clip."""


@dataclass(frozen=True)
class Window:
    """When a change may be published to count for one thing that happened."""

    start_s: float
    end_s: float


def match(windows: Sequence[Window], times_s: Sequence[float]) -> list[float | None]:
    """For each window the change that hits it; as many windows as possible get one.

    Args:
        windows: their ends in rising order.
        times_s: publish times of the changes.
    """
    left = sorted(times_s)
    matched: list[float | None] = []
    for window in windows:
        time_s = next((t for t in left if window.start_s <= t <= window.end_s), None)
        if time_s is not None:
            left.remove(time_s)
        matched.append(time_s)
    return matched


def true_events(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The segments that begin while the recording plays."""
    return tuple(s for s in segments if s.start_s > segments[0].start_s)


def event_window(segment: Segment) -> Window:
    return Window(segment.start_s, segment.end_s + GRACE_S)


def cut_windows(cuts_s: Sequence[float], duration_s: float) -> list[Window]:
    """Windows of the cuts that leave time to be noticed."""
    return [Window(t, t + CUT_WINDOW_S) for t in cuts_s if t + CUT_WINDOW_S / 2 <= duration_s]


def summary(
    run: Run, *, duration_s: float, truth: Sequence[Segment] | None, cuts_s: Sequence[float] = ()
) -> dict[str, Any]:
    """The figures of a run. `cuts_s` stands in for the truth where there is none."""
    latencies_ms = [state.latency_ms for state in run.states]
    figures: dict[str, Any] = {
        "frames": run.frames,
        "states": len(run.states),
        "events": len(run.events),
        "true_events": None,
        "events_hit": None,
        "captions_right": None,
        "decodes_per_true_event": None,
        "latency_ms_p50": _percentile(latencies_ms, 50),
        "latency_ms_p99": _percentile(latencies_ms, 99),
        "dropped": run.dropped,
        "lost": run.lost,
    }
    changes_s = [run.time_s(e.published_ns) for e in run.events if e.is_change]
    if truth is not None:
        happened = true_events(truth)
        matched = match([event_window(s) for s in happened], changes_s)
        hits = [s for s, time_s in zip(happened, matched, strict=True) if time_s is not None]
        figures["true_events"] = len(happened)
        figures["events_hit"] = len(hits)
        figures["captions_right"] = sum(_said(run, segment) for segment in hits)
        figures["decodes_per_true_event"] = _round(len(run.events) / max(len(happened), 1))
        explained = len(hits)
    else:
        matched = match(cut_windows(cuts_s, duration_s), changes_s)
        explained = sum(time_s is not None for time_s in matched)
        figures["cuts"], figures["cuts_hit"] = len(matched), explained
    minutes = max(duration_s, 1e-9) / 60.0
    figures["changes"] = len(changes_s)
    figures["changes_per_minute"] = _round(len(changes_s) / minutes)
    figures["false_changes_per_minute"] = _round((len(changes_s) - explained) / minutes)
    return figures


def _said(run: Run, segment: Segment) -> bool:
    """A caption of the segment's meaning was published in its window."""
    window, wanted = event_window(segment), meaning(segment.caption)
    return any(
        window.start_s <= run.time_s(event.published_ns) <= window.end_s
        and meaning(event.caption) == wanted
        for event in run.events
    )


def _percentile(values: Sequence[float], share: float) -> float | None:
    return _round(float(np.percentile(values, share))) if values else None


def _round(value: float) -> float:
    return round(value, 3)
