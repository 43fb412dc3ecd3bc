"""What was heard of one run, and how the camera's stamps become time in the recording."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from vljepa_ros.types import EventReason

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class State:
    """One published SemanticState, as far as the demo looks at it."""

    stamp_ns: int
    state_id: int
    state_since_ns: int
    score: float
    threshold: float
    latency_ms: float
    """Publish time − stamp of the newest frame."""
    dropped: int
    """Frames dropped up to here."""


@dataclass(frozen=True)
class Event:
    """One published SemanticEvent."""

    stamp_ns: int
    latency_ns: int
    reason: EventReason
    state_id: int
    caption: str
    caption_score: float

    @property
    def published_ns(self) -> int:
        return self.stamp_ns + self.latency_ns

    @property
    def is_change(self) -> bool:
        """It says that the meaning moved; the first one and heartbeats do not."""
        return self.reason is EventReason.CHANGE


@dataclass(frozen=True)
class Run:
    """Everything that was heard, in the order of its stamps."""

    frames: int | None
    """Published, as the camera said at its end; None = it has not ended."""
    references: tuple[tuple[int, float], ...]
    """(stamp [ns], time in the recording [s]) of the published frames."""
    states: tuple[State, ...]
    events: tuple[Event, ...]

    @property
    def dropped(self) -> int:
        """Frames that gave way to newer ones."""
        return self.states[-1].dropped if self.states else 0

    @property
    def lost(self) -> int:
        """Frames that are neither a state nor dropped."""
        return (self.frames or 0) - len(self.states) - self.dropped

    @property
    def complete(self) -> bool:
        """The camera has ended and all of its frames are accounted for."""
        return self.frames is not None and self.lost <= 0

    def time_s(self, stamp_ns: int) -> float:
        """Time in the recording at a moment of the camera's clock [s].

        A camera on a busy machine may fall behind and go on later, so this is not one offset for
        the whole run: it is counted from the last frame published before the moment.
        """
        return recording_time_s(self.references, stamp_ns)


def recording_time_s(references: Sequence[tuple[int, float]], stamp_ns: int) -> float:
    """See `Run.time_s`; before the first reference, time runs back from it."""
    if not references:
        return 0.0
    at = max(bisect_right(references, (stamp_ns, float("inf"))) - 1, 0)
    reference_ns, time_s = references[at]
    return time_s + (stamp_ns - reference_ns) / NS_PER_S
