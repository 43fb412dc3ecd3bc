"""One recording's story as one HTML file that needs nothing else: no scripts, no other files."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timezone
from html import escape
from pathlib import Path

import numpy as np

from vljepa_ros.recordings.charts import Curve, Mark, Numbers, chart
from vljepa_ros.recordings.output import write_text
from vljepa_ros.recordings.story import NS_PER_S, Story, Told, Track

STYLE = """
:root { color-scheme: light dark; --line: #1769aa; --limit: #c62828; --faint: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; padding: 0 1em; }
svg { width: 100%; font-size: 11px; fill: currentColor; }
polyline { fill: none; stroke: var(--line); stroke-width: 1.2; }
polyline, line { vector-effect: non-scaling-stroke; }
polyline.limit { stroke: var(--limit); stroke-dasharray: 5 3; }
line.mark { stroke: var(--limit); stroke-opacity: .35; stroke-width: 2; }
line.axis { stroke: var(--faint); }
rect.band0 { fill: none; } rect.band1 { fill: var(--faint); fill-opacity: .5; }
article { display: flex; flex-wrap: wrap; gap: 1em; padding: .7em 0; }
article { border-top: 1px solid var(--faint); }
article img { width: 240px; align-self: start; border-radius: 4px; }
article div { flex: 1 1 15em; }
article:target { outline: 2px solid var(--line); }
article p { margin: .2em 0; } .caption { font-size: 1.15em; font-weight: 600; }
.faint { opacity: .7; } td { padding-right: 1.5em; }
@media (max-width: 600px) { svg { font-size: 24px; } }
"""
KEY = (
    '<p class="faint">Line: change score. Dashed: threshold. Upright: events, each a link to its '
    "picture. Bands: states.</p>"
)


def write_report(story: Story, path: Path, *, force: bool = False) -> None:
    """Write the page; it appears when it is complete.

    Raises:
        RecordingError: the file is there already, or cannot be written.
    """
    write_text(path, html(story), force=force)


def html(story: Story) -> str:
    """The page."""
    title = f"{story.source.name} · {story.node}"
    body = "".join(
        part for camera, track in story.tracks.items() for part in _track(story, camera, track)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def _track(story: Story, camera: str, track: Track) -> Iterator[str]:
    yield f"<h2>Camera {escape(camera)}</h2>"
    if track.states:
        yield _facts(track)
        yield from _charts(camera, track)
    yield f"<h3>{len(track.events)} events</h3>"
    times_s = _times_s(track)
    for number, told in enumerate(track.events):
        since_s = times_s.get(told.stamp_ns)
        yield _event(told, _anchor(camera, number), since_s, story.jpegs.get(told.stamp_ns))


def _facts(track: Track) -> str:
    first, last = track.states[0], track.states[-1]
    length_s = max((last.stamp_ns - first.stamp_ns) / NS_PER_S, 1e-9)
    latencies_ms = np.array([state.latency_ns for state in track.states]) / 1e6
    changes = sum(told.reason == "change" for told in track.events)
    rows = {
        "begins": _when(first.stamp_ns),
        "lasts": f"{length_s:.1f} s",
        "states": f"{len(track.states)}, {len(track.states) / length_s:.1f} a second",
        "events": f"{len(track.events)}, of which {changes} changes "
        f"({60 * changes / length_s:.1f} a minute)",
        "frames dropped": str(track.dropped_frames),
        "latency": f"median {np.median(latencies_ms):.0f} ms, 95 % below "
        f"{np.percentile(latencies_ms, 95):.0f} ms",
    }
    cells = "".join(f"<tr><td>{k}</td><td>{escape(v)}</td></tr>" for k, v in rows.items())
    return f"<table>{cells}</table>"


def _charts(camera: str, track: Track) -> Iterator[str]:
    times_s = _ascending(track)
    since_s = _times_s(track)
    marks = [
        Mark(since_s[told.stamp_ns], _anchor(camera, number), told.caption)
        for number, told in enumerate(track.events)
        if told.stamp_ns in since_s
    ]
    scores = np.array([state.change_score for state in track.states], np.float64)
    limits = np.array([state.change_threshold for state in track.states], np.float64)
    yield "<h3>Change score against its threshold</h3>"
    yield chart(
        times_s,
        [Curve(scores, "score"), Curve(limits, "limit")],
        unit="",
        top=max(1.0, float(limits.max())),
        marks=marks,
        bands=_bands(track, times_s),
    )
    yield KEY
    latencies_ms = np.array([state.latency_ns for state in track.states]) / 1e6
    if not latencies_ms.any():  # a video: its log times are its stamps
        return
    yield "<h3>Latency</h3>"
    yield chart(
        times_s,
        [Curve(latencies_ms, "latency")],
        unit="ms",
        top=max(float(latencies_ms.max()), 1.0),
    )


def _ascending(track: Track) -> Numbers:
    """Times since the first [s]; where the stamps jumped back the axis goes on without a gap."""
    stamps_ns = np.array([state.stamp_ns for state in track.states], np.int64)
    steps_s = np.maximum(np.diff(stamps_ns), 0) / NS_PER_S
    return np.concatenate([[0.0], np.cumsum(steps_s)])[: len(stamps_ns)]


def _times_s(track: Track) -> dict[int, float]:
    """Stamp -> place on the time axis [s]."""
    stamps_ns = (state.stamp_ns for state in track.states)
    return dict(zip(stamps_ns, _ascending(track).tolist(), strict=True))


def _bands(track: Track, times_s: Numbers) -> Iterator[tuple[float, float, int]]:
    begin = 0
    ids = [state.state_id for state in track.states]
    for place in range(1, len(ids) + 1):
        if place == len(ids) or ids[place] != ids[begin]:
            end = min(place, len(ids) - 1)
            yield float(times_s[begin]), float(times_s[end]), ids[begin]
            begin = place


def _event(told: Told, anchor: str, since_s: float | None, jpeg: bytes | None) -> str:
    picture = ""
    if jpeg is not None:
        encoded = base64.b64encode(jpeg).decode("ascii")
        picture = f'<img src="data:image/jpeg;base64,{encoded}" alt="what the camera saw">'
    when = "before the first state" if since_s is None else f"{since_s:.2f} s"
    labels = ", ".join(f"{escape(label)} {share:.2f}" for label, share in told.labels)
    return (
        f'<article id="{escape(anchor)}">{picture}<div>'
        f'<p class="caption">{escape(told.caption) or "(no caption)"}</p>'
        f"<p>{when} · state {told.state_id} · {told.reason} · change score "
        f"{told.change_score:.2f} · caption score {told.caption_score:.2f}</p>"
        f'<p class="faint">{_when(told.stamp_ns)}{" · " + labels if labels else ""}</p>'
        "</div></article>"
    )


def _anchor(camera: str, number: int) -> str:
    return f"{camera}-{number}"


def _when(stamp_ns: int) -> str:
    when = datetime.fromtimestamp(stamp_ns / NS_PER_S, timezone.utc)
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
