"""The node's way from images to states, on the recording's clock instead of the wall's.

A recording is perceived as by a node that needs no time for a step: every image becomes a step,
and with `rate_hz` the newest image waits for its turn while older ones give way, as in
`ros/worker.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from vljepa_ros.config import PerceptionConfig
from vljepa_ros.images import FrameError
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.preprocessing import ImageError
from vljepa_ros.recordings.moments import Moment
from vljepa_ros.stream.clip_buffer import Added
from vljepa_ros.stream.pace import Pace
from vljepa_ros.stream.perceiver import Perceiver
from vljepa_ros.types import Step

NS_PER_S = 1_000_000_000
_OUTCOMES = {
    Added.UNSTAMPED: "left out, no stamp (0): the camera driver must stamp its images",
    Added.REPEATED: "left out, the stamp of the image before: the camera sent it twice",
    Added.LATE: "left out, older than the image before: it came too late to matter",
    Added.RESTARTED_BACKWARD: "with a stamp that jumped back: perception began anew there",
    Added.RESTARTED_GAP: "after a long silence: the clip began anew there",
}


@dataclass
class Tally:
    """What became of the images."""

    images: int = 0
    states: int = 0
    events: int = 0
    gave_way: int = 0
    """Images that a newer one replaced while they waited for their turn."""
    counts: Counter[str] = field(default_factory=Counter)
    """How often something happened that whoever replays should know, by kind."""
    first: dict[str, str] = field(default_factory=dict)
    """What was said of the first one of each kind."""

    def note(self, kind: str, sentence: str) -> None:
        """`kind` bounds the number of sentences that are kept."""
        self.counts[kind] += 1
        self.first.setdefault(kind, sentence)

    def notes(self) -> tuple[str, ...]:
        """A sentence for each kind, the most common first."""
        return tuple(
            f"{n} image{'s' if n > 1 else ''} {self.first[kind]}"
            for kind, n in self.counts.most_common()
        )


class Seer:
    """Perceives the images of one camera."""

    def __init__(self, engine: Engine, config: PerceptionConfig) -> None:
        """
        Raises:
            TextError: the configured query or a label cannot be read as text.
        """
        self.tally = Tally()
        self._perceiver = Perceiver(engine, config)
        self._rate_hz = config.rate_hz
        self._pace = Pace(config.rate_hz)
        self._waiting: Moment | None = None
        self._begin_ns: int | None = None
        self._now_ns = 0

    def until(self, log_ns: int) -> Iterator[tuple[int, Step]]:
        """The step that was due before this time of the recorder's clock, if any, and its time."""
        if self._begin_ns is None:
            self._begin_ns = log_ns
        if log_ns < self._now_ns:  # the recorder's clock was set back
            yield from self.finish()
            self._pace = Pace(self._rate_hz)
        self._now_ns = log_ns
        if self._pace.next_s < self._seconds(log_ns):
            yield from self.finish()

    def see(self, moment: Moment) -> Iterator[tuple[int, Step]]:
        """Take an image; the step is made at once, or when its turn comes."""
        yield from self.until(moment.log_ns)
        self.tally.images += 1
        if self._waiting is not None:
            self.tally.gave_way += 1
        self._waiting = moment
        if self._pace.next_s <= self._seconds(moment.log_ns):
            yield from self.finish()

    def finish(self) -> Iterator[tuple[int, Step]]:
        """The step of the image that waits, at the time when its turn has come."""
        moment, self._waiting = self._waiting, None
        if moment is None or self._begin_ns is None:
            return
        now_s = max(self._seconds(moment.log_ns), self._pace.next_s)
        self._pace.begin(now_s)
        step = self._step(moment)
        if step is not None:
            self.tally.states += 1
            self.tally.events += step.event is not None
            yield max(moment.log_ns, self._begin_ns + round(now_s * NS_PER_S)), step

    def _seconds(self, log_ns: int) -> float:
        """Since the beginning: a float of seconds since 1970 is good for 240 ns only."""
        return (log_ns - (self._begin_ns or 0)) / NS_PER_S

    def _step(self, moment: Moment) -> Step | None:
        assert moment.frame is not None
        try:
            outcome = self._perceiver.add(moment.frame())
        except (FrameError, ImageError) as error:
            kind = error.fault.value if isinstance(error, FrameError) else "size"
            self.tally.note(kind, f"left out, the first because: {error}")
            return None
        if outcome in _OUTCOMES:
            self.tally.note(outcome.value, _OUTCOMES[outcome])
        return self._perceiver.perceive() if outcome.accepted else None
