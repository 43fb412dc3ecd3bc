"""What the demo shows while it runs: a live view on a terminal, plain lines everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from examples.demo.record import NS_PER_S, Event, Run, State
from examples.demo.recording import Recording
from examples.demo.truth import Segment, meaning, truth_at
from vljepa_ros.types import ImageHWC

PICTURE_COLUMNS = 48
BAR_COLUMNS = 36
EVENTS_SHOWN = 8
SPARKS = " ▁▂▃▄▅▆▇█"
LINE_EVERY_S = 10.0
"""Plain output says how it goes about so often, in the recording's time."""


class Screen(Protocol):
    """Where a run is shown."""

    def say(self, sentence: str) -> None:
        """What is going on besides the run."""

    def show(self, run: Run) -> None:
        """The run so far; called a few times a second."""

    def close(self) -> None:
        """The run has ended."""


def open_screen(recording: Recording, truth: Sequence[Segment] | None, *, plain: bool) -> Screen:
    """The live view where there is a terminal for it, else plain lines."""
    console = Console()
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainScreen(recording, truth)
    return LiveScreen(console, recording, truth)


def verdict(event: Event, segment: Segment | None) -> bool | None:
    """Whether a caption says what happens at its time; None where that is not known."""
    if segment is None:
        return None
    return meaning(event.caption) == meaning(segment.caption)


class PlainScreen:
    """One line per event, and one now and then."""

    def __init__(self, recording: Recording, truth: Sequence[Segment] | None) -> None:
        self._recording, self._truth = recording, truth
        self._shown = 0
        self._next_line_s = LINE_EVERY_S

    def say(self, sentence: str) -> None:
        sys.stdout.write(f"{sentence}\n")
        sys.stdout.flush()

    def show(self, run: Run) -> None:
        if not run.references:
            return
        for event in run.events[self._shown :]:
            time_s = run.time_s(event.published_ns)
            line = f"{time_s:7.2f} s  {event.reason.name:9}  state {event.state_id:3}"
            line += f"  {_words(event.caption)}"
            segment = truth_at(self._truth or (), time_s)
            if segment is not None:
                right = verdict(event, segment)
                line += "  [right]" if right else f"  [truth: {segment.caption}]"
            self.say(line)
        self._shown = len(run.events)
        if run.states and run.time_s(run.states[-1].stamp_ns) >= self._next_line_s:
            self._next_line_s += LINE_EVERY_S
            self.say(f"           {_pace(run)}")

    def close(self) -> None:
        """Nothing is left open."""


class LiveScreen:
    """The picture, the change score against its threshold, and the captions as they come."""

    def __init__(
        self, console: Console, recording: Recording, truth: Sequence[Segment] | None
    ) -> None:
        self._recording, self._truth = recording, truth
        self._sentence = ""
        self._run: Run | None = None
        self._live = Live(console=console, auto_refresh=False)
        self._console = console
        self._live.start()

    def say(self, sentence: str) -> None:
        self._sentence = sentence
        self._draw()

    def show(self, run: Run) -> None:
        self._run = run
        self._draw()

    def close(self) -> None:
        self._live.stop()

    def _draw(self) -> None:
        self._live.update(self._view(), refresh=True)

    def _view(self) -> RenderableType:
        run = self._run
        if run is None or not run.states or not run.references:
            return Panel(Text(self._sentence), title="vljepa_ros", border_style="cyan")
        newest = run.states[-1]
        time_s = run.time_s(newest.stamp_ns)
        now = Table.grid(padding=(0, 2), expand=True)
        now.add_column(ratio=1)
        if self._console.width >= PICTURE_COLUMNS + BAR_COLUMNS + 20:
            now.add_column(width=PICTURE_COLUMNS)
            picture = blocks(self._recording.frame_at(time_s), PICTURE_COLUMNS)
            now.add_row(self._numbers(run, newest, time_s), picture)
        else:
            now.add_row(self._numbers(run, newest, time_s))
        title = Text.assemble((self._recording.path.name, "bold"), "  ")
        title.append_text(_progress(time_s, self._recording))
        return Panel(
            Group(now, self._events(run)),
            title=title,
            subtitle=Text(self._sentence),
            border_style="cyan",
        )

    def _numbers(self, run: Run, newest: State, time_s: float) -> Group:
        since_s = (newest.stamp_ns - newest.state_since_ns) / NS_PER_S
        lines = [
            Text.assemble(("state ", "dim"), (f"{newest.state_id}", "bold"), f"  {since_s:.1f} s"),
            Text(),
            Text.assemble(("change score ", "dim"), f"{newest.score:.2f}"),
            bar(newest.score, newest.threshold),
            Text.assemble(("     threshold ", "dim"), f"{newest.threshold:.2f}"),
            Text(sparks([s.score for s in run.states], BAR_COLUMNS), style="yellow"),
            Text(),
            Text(_pace(run), style="dim"),
        ]
        segment = truth_at(self._truth or (), time_s)
        if run.events:
            lines += [Text(), Text(_words(run.events[-1].caption), style="bold green")]
        if segment is not None:
            lines.append(Text(f"truth: {segment.caption}", style="dim"))
        return Group(*lines)

    def _events(self, run: Run) -> Table:
        table = Table(expand=True, box=None, header_style="dim", padding=(0, 1))
        table.add_column("time", justify="right", width=7)
        table.add_column("why", width=9)
        table.add_column("seen", ratio=1)
        if self._truth is not None:
            table.add_column("", width=1)
            table.add_column("truth", ratio=1, style="dim")
        for event in run.events[-EVENTS_SHOWN:]:
            time_s = run.time_s(event.published_ns)
            row: list[RenderableType] = [
                f"{time_s:.1f} s",
                event.reason.name.lower(),
                Text(_words(event.caption)),
            ]
            if self._truth is not None:
                segment = truth_at(self._truth, time_s)
                mark = {True: "[green]✓", False: "[red]✗", None: ""}[verdict(event, segment)]
                row += [mark, Text(segment.caption if segment else "")]
            table.add_row(*row)
        return table


def bar(score: float, threshold: float, columns: int = BAR_COLUMNS) -> Text:
    """The score as a bar from 0 to 1 with a mark at the threshold."""
    filled = round(min(max(score, 0.0), 1.0) * columns)
    mark = min(round(threshold * columns), columns - 1)
    text = Text()
    for column in range(columns):
        full = column < filled
        style = "red" if score > threshold else "green"
        if column == mark:
            text.append("┃", style="bold white")
        else:
            text.append("█" if full else "░", style=style if full else "bright_black")
    return text


def sparks(scores: Sequence[float], columns: int) -> str:
    """The newest scores as a line of little columns, 0 to 1."""
    top = len(SPARKS) - 1
    return "".join(SPARKS[round(min(max(s, 0.0), 1.0) * top)] for s in scores[-columns:])


def blocks(image_HWC: ImageHWC, columns: int) -> Text:
    """An image as half blocks, two pixels a character."""
    height, width = image_HWC.shape[:2]
    rows = max(round(columns * height / width / 2), 1)
    pixels = cv2.resize(image_HWC, (columns, rows * 2), interpolation=cv2.INTER_AREA)
    text = Text()
    for upper_WC, lower_WC in np.asarray(pixels).reshape(rows, 2, columns, 3):
        for upper, lower in zip(upper_WC, lower_WC, strict=True):
            text.append("▀", style=f"{_hex(upper)} on {_hex(lower)}")
        text.append("\n")
    return text


def _hex(rgb: np.ndarray) -> str:
    red, green, blue = (int(value) for value in rgb)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _words(caption: str) -> str:
    """A caption fit for one line of a terminal, whatever the model wrote."""
    return "".join(c if c.isprintable() else " " for c in caption) or "(no words)"


def _progress(time_s: float, recording: Recording) -> Text:
    columns = 20
    done = round(min(max(time_s / recording.duration_s, 0.0), 1.0) * columns)
    return Text.assemble(
        f"{time_s:.0f} of {recording.duration_s:.0f} s ",
        "━" * done,
        ("━" * (columns - done), "bright_black"),
    )


def _pace(run: Run) -> str:
    recent = run.states[-30:]
    latency_ms = float(np.median([state.latency_ms for state in recent]))
    span_s = (recent[-1].stamp_ns - recent[0].stamp_ns) / NS_PER_S
    rate_hz = (len(recent) - 1) / span_s if span_s > 0 else 0.0
    return (
        f"{len(run.states)} states, {rate_hz:.1f} a second; latency {latency_ms:.0f} ms; "
        f"{run.dropped} frames dropped; {len(run.events)} captions"
    )
