"""Frames in, clips at a fixed rate out, in the frames' own time.

A clip is anchored at the newest frame; every older place is filled by the frame nearest to its
time, whatever the camera's rate: a slow camera's frames repeat, and so does the oldest frame until
there is enough past. Two frames equally near: the older one, as a camera holds its last image.

Frames that the model encodes together (a *pass*, `frames_per_pass` of the X-encoder) are chosen
relative to the newest frame among them. The pass that ends at a frame is then the same in every
clip, so its tokens can be kept (`token_cache`). Where the camera's rate is a multiple of the clip
rate this is the same as choosing every frame relative to the newest of the clip.

What a stamp can do, and what happens (`Added` says which, `counts` how often):

| stamp | outcome |
|---|---|
| 0 or negative: the driver set none | UNSTAMPED, ignored; nobody makes up a stamp |
| equal to the newest | REPEATED, ignored |
| behind the newest, up to one clip period | LATE (network reordering), ignored |
| further behind (bag loop, clock set back) | RESTARTED_BACKWARD: older frames forgotten, kept |
| ahead by more than `max_gap_s` (silence, clock set forward) | RESTARTED_GAP: likewise |
| anything else | ADDED |

Memory is bounded by the clip's span: older frames leave, and of frames closer together than 1/32
of the clip period only the newest stays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from enum import Enum

from vljepa_ros.types import Clip, Frame

NS_PER_S = 1_000_000_000
FRAMES_PER_PERIOD = 32
"""Densest storage: a camera faster than 32 × the clip rate adds nothing to a clip."""
MAX_GAP_S = 10.0
"""Silence after which a camera's stream begins anew."""


class Added(Enum):
    """What became of a frame given to `ClipBuffer.add`."""

    ADDED = "added"
    UNSTAMPED = "unstamped"
    REPEATED = "repeated"
    LATE = "late"
    RESTARTED_BACKWARD = "restarted_backward"
    RESTARTED_GAP = "restarted_gap"

    @property
    def accepted(self) -> bool:
        """The frame is in the buffer and anchors the next clip."""
        return self in (Added.ADDED, Added.RESTARTED_BACKWARD, Added.RESTARTED_GAP)

    @property
    def restarted(self) -> bool:
        """The frames before this one were forgotten."""
        return self in (Added.RESTARTED_BACKWARD, Added.RESTARTED_GAP)


class ClipBuffer:
    """The recent frames of one camera. Frames may be of any size each; single-threaded."""

    def __init__(
        self,
        clip_frames: int,
        rate_hz: float,
        *,
        pass_frames: int | None = None,
        max_gap_s: float = MAX_GAP_S,
    ) -> None:
        """
        Args:
            clip_frames: frames of a clip.
            rate_hz: frames per second within a clip, in the frames' own time.
            pass_frames: frames that are encoded together, a divisor of `clip_frames`;
                None = all of them.
            max_gap_s: silence after which the older frames are forgotten [s].

        Raises:
            ValueError: a number out of range, or passes that do not fill the clip.
        """
        pass_frames = clip_frames if pass_frames is None else pass_frames
        if clip_frames < 1 or not 0.0 < rate_hz <= 1000.0 or max_gap_s <= 0.0:
            raise ValueError(
                f"a clip needs frames ≥ 1, 0 < rate ≤ 1000 Hz and a gap > 0 s, "
                f"not {clip_frames}, {rate_hz}, {max_gap_s}"
            )
        if pass_frames < 1 or clip_frames % pass_frames:
            raise ValueError(
                f"{clip_frames} clip frames do not divide into passes of {pass_frames}"
            )
        self.clip_frames = clip_frames
        self.pass_frames = pass_frames
        self.counts: Counter[Added] = Counter()
        self._period_ns = round(NS_PER_S / rate_hz)
        self._max_gap_ns = round(max_gap_s * NS_PER_S)
        self._frames: list[Frame] = []
        self._stamps_ns: list[int] = []

    @property
    def span_ns(self) -> int:
        """Time from the oldest place of a clip to the newest."""
        return (self.clip_frames - 1) * self._period_ns

    def __len__(self) -> int:
        return len(self._frames)

    def reset(self) -> None:
        """Forget all frames; the counts stay."""
        self._frames.clear()
        self._stamps_ns.clear()

    def check(self, stamp_ns: int) -> Added:
        """What `add` would do with a frame of this stamp. Changes and counts nothing."""
        if stamp_ns <= 0:
            return Added.UNSTAMPED
        if not self._stamps_ns:
            return Added.ADDED
        step_ns = stamp_ns - self._stamps_ns[-1]
        if step_ns == 0:
            return Added.REPEATED
        if step_ns < 0:
            return Added.LATE if -step_ns <= self._period_ns else Added.RESTARTED_BACKWARD
        return Added.RESTARTED_GAP if step_ns > self._max_gap_ns else Added.ADDED

    def add(self, frame: Frame) -> Added:
        """Take a frame, or say why not; see the table above."""
        outcome = self.check(frame.stamp_ns)
        self.counts[outcome] += 1
        if outcome.restarted:
            self.reset()
        if outcome.accepted:
            self._thin_out()
            self._frames.append(frame)
            self._stamps_ns.append(frame.stamp_ns)
            self._forget_before(frame.stamp_ns - self.span_ns)
        return outcome

    def clip(self) -> Clip | None:
        """The clip that ends at the newest frame, or None before the first one."""
        if not self._frames:
            return None
        newest_ns = self._stamps_ns[-1]
        places: list[int] = []
        for pass_back in range(0, self.clip_frames, self.pass_frames):
            end = self._nearest(newest_ns - pass_back * self._period_ns)
            end_ns = self._stamps_ns[end]
            places.append(end)
            places += [
                self._nearest(end_ns - back * self._period_ns)
                for back in range(1, self.pass_frames)
            ]
        # Passes of an irregular camera slower than the clip rate can overlap: time never runs back.
        return Clip(tuple(self._frames[place] for place in sorted(places)))

    def _nearest(self, stamp_ns: int) -> int:
        after = bisect_left(self._stamps_ns, stamp_ns)
        if after == 0:
            return 0
        if after == len(self._stamps_ns):
            return after - 1
        to_older = stamp_ns - self._stamps_ns[after - 1]
        to_newer = self._stamps_ns[after] - stamp_ns
        return after - 1 if to_older <= to_newer else after

    def _thin_out(self) -> None:
        if len(self._stamps_ns) < 2:
            return
        apart_ns = self._stamps_ns[-1] - self._stamps_ns[-2]
        if apart_ns * FRAMES_PER_PERIOD < self._period_ns:
            self._frames.pop()
            self._stamps_ns.pop()

    def _forget_before(self, stamp_ns: int) -> None:
        # A pass may reach half a period further back than the clip; one frame before the bound
        # stays, because it may be the nearest.
        bound_ns = stamp_ns - self._period_ns
        excess = max(bisect_left(self._stamps_ns, bound_ns) - 1, 0)
        del self._frames[:excess]
        del self._stamps_ns[:excess]
