"""What a node knows about its own health; `conversions` turns it into diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np

RECENT_S = 5.0
"""What happened longer ago counts no more against the present level."""
NS_PER_MS = 1_000_000


class Level(IntEnum):
    """The levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Health:
    """One line of diagnostics: how bad it is, a sentence, and figures by name."""

    level: Level
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


class CameraMeter:
    """Counts and times of one camera since activation. Any thread may tell, any may ask.

    Every frame received is accounted for: received = states + dropped + refused + ignored, plus
    the one that waits or is being worked on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started_s = time.monotonic()
        self._received = 0
        self._lost = 0
        self._dropped = 0
        self._states = 0
        self._events = 0
        self._refused: Counter[str] = Counter()
        self._ignored: Counter[str] = Counter()
        self._noted: Counter[str] = Counter()
        self._arrivals_s: deque[float] = deque(maxlen=512)
        self._states_s: deque[float] = deque(maxlen=512)
        self._latencies_ns: deque[int] = deque(maxlen=1000)
        self._last_error = ""
        self._last_error_s = -np.inf

    # --- telling -------------------------------------------------------------------------------

    def received(self, *, lost_before: int = 0) -> None:
        """A frame arrived; `lost_before` were sent since the last one and did not."""
        with self._lock:
            self._received += 1
            self._lost += lost_before
            self._arrivals_s.append(time.monotonic())

    def dropped(self, frames: int = 1) -> None:
        """Frames gave way to newer ones."""
        with self._lock:
            self._dropped += frames

    def refused(self, fault: str, error: str) -> None:
        """A frame could not be used."""
        with self._lock:
            self._refused[fault] += 1
            self._last_error, self._last_error_s = error, time.monotonic()

    def ignored(self, why: str, error: str) -> None:
        """A good frame made no state, because of its stamp."""
        with self._lock:
            self._ignored[why] += 1
            self._last_error, self._last_error_s = error, time.monotonic()

    def noted(self, what: str) -> None:
        """Something worth counting that cost no frame: a reset, a change of size."""
        with self._lock:
            self._noted[what] += 1

    def published(self, *, latency_ns: int, event: bool) -> None:
        with self._lock:
            self._states += 1
            self._events += event
            self._states_s.append(time.monotonic())
            self._latencies_ns.append(latency_ns)

    # --- asking --------------------------------------------------------------------------------

    @property
    def dropped_frames(self) -> int:
        """Frames that the camera sent and that became no state for want of time."""
        with self._lock:
            return self._dropped + self._lost

    @property
    def loss(self) -> tuple[int, int]:
        """(lost on the way, received)"""
        with self._lock:
            return self._lost, self._received

    def count(self, fault: str) -> int:
        """How many frames were refused or ignored for this reason."""
        with self._lock:
            return self._refused[fault] + self._ignored[fault]

    def silent_s(self) -> float | None:
        """Time since the last frame; None when there was none yet."""
        with self._lock:
            return time.monotonic() - self._arrivals_s[-1] if self._arrivals_s else None

    def health(self, *, topic: str, publishers: int, stale_after_s: float, warning: str) -> Health:
        """Level and figures now.

        Args:
            warning: what the subscription knows to be wrong; empty = nothing.
        """
        silent_s = self.silent_s()
        with self._lock:
            level, message = self._verdict(topic, publishers, stale_after_s, silent_s, warning)
            return Health(level, message, self._figures(topic, publishers))

    def _verdict(
        self,
        topic: str,
        publishers: int,
        stale_after_s: float,
        silent_s: float | None,
        warning: str,
    ) -> tuple[Level, str]:
        now_s = time.monotonic()
        if silent_s is None or silent_s > stale_after_s:
            since = "yet" if silent_s is None else f"for {silent_s:.1f} s"
            found = f"no image on {topic} {since}; publishers found: {publishers}"
            waited = silent_s is not None or now_s - self._started_s > stale_after_s
            level = Level.STALE if waited else Level.OK
            return level, f"{found}; {warning}" if warning else found
        if warning:
            return Level.WARN, warning
        if now_s - self._last_error_s < RECENT_S:
            healthy = bool(self._states_s) and self._states_s[-1] >= self._last_error_s - 1.0
            return (Level.WARN if healthy else Level.ERROR), self._last_error
        return Level.OK, "perceiving"

    def _figures(self, topic: str, publishers: int) -> dict[str, str]:
        figures = {
            "topic": topic,
            "publishers": str(publishers),
            "frames received": str(self._received),
            "frames dropped": str(self._dropped),
            "frames lost on the way": str(self._lost),
            "frames refused": str(sum(self._refused.values())),
            "frames ignored": str(sum(self._ignored.values())),
            "states": str(self._states),
            "events": str(self._events),
            "image rate [Hz]": f"{_rate_hz(self._arrivals_s):.2f}",
            "state rate [Hz]": f"{_rate_hz(self._states_s):.2f}",
            "last error": self._last_error,
        }
        for share, name in ((50, "latency p50 [ms]"), (99, "latency p99 [ms]")):
            figures[name] = _percentile_ms(self._latencies_ns, share)
        figures |= {f"refused: {fault}": str(n) for fault, n in sorted(self._refused.items())}
        figures |= {f"ignored: {why}": str(n) for why, n in sorted(self._ignored.items())}
        figures |= {what: str(n) for what, n in sorted(self._noted.items())}
        return figures


def _rate_hz(times_s: deque[float]) -> float:
    now_s = time.monotonic()
    recent = [t for t in times_s if now_s - t < RECENT_S]
    if len(recent) < 2:
        return len(recent) / RECENT_S
    return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-9)


def _percentile_ms(lengths_ns: deque[int], share: float) -> str:
    if not lengths_ns:
        return ""
    return f"{float(np.percentile(lengths_ns, share)) / NS_PER_MS:.2f}"


def memory_mb() -> float:
    """Resident memory of this process [MB]; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    for line in status.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000.0
    return 0.0
