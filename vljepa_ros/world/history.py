"""The states that were seen, by camera and id, each with the tokens of its newest clip.

Bounded: the oldest state of a camera goes when a newer one comes. Whoever looks holds on to what it
found, so what is forgotten meanwhile does no harm.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from vljepa_ros.model.engine import Tokens

LATEST = 0
"""The id that asks for the newest state."""


class HistoryError(LookupError):
    """A state that is not held; the message names those that are."""


@dataclass(frozen=True, eq=False)
class Moment:
    """One state as it was seen last."""

    state_id: int
    stamp_ns: int
    """Of the newest frame of the clip."""
    frame_id: str
    tokens_BTND: Tokens
    """(1, T', N, D)"""


class History:
    """The newest states of every camera. Any thread may call."""

    def __init__(self, cameras: Iterable[str], length: int) -> None:
        """`length`: states held of each camera."""
        self._length = length
        self._moments: dict[str, OrderedDict[int, Moment]] = {
            camera: OrderedDict() for camera in cameras
        }
        self._era = 0
        self._lock = threading.Lock()

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self._moments)

    @property
    def era(self) -> int:
        """Goes up with each `clear`: what was seen before it must not come in after it."""
        return self._era

    def limit(self, length: int) -> None:
        """Hold so many states of each camera from now on."""
        with self._lock:
            self._length = length
            for moments in self._moments.values():
                self._forget_old(moments)

    def put(self, camera: str, moment: Moment, era: int) -> None:
        """Add a state, or the newer clip of the newest one; ignored if its era is over."""
        with self._lock:
            if era != self._era:
                return
            moments = self._moments[camera]
            moments[moment.state_id] = moment
            moments.move_to_end(moment.state_id)
            self._forget_old(moments)

    def get(self, camera: str, state_id: int = LATEST) -> Moment:
        """The newest clip of a state.

        Raises:
            HistoryError: it is not held.
        """
        with self._lock:
            moments = self._moments[camera]
            if not moments:
                raise HistoryError(
                    f"camera {camera!r} has no state yet: no usable image came since activation, "
                    "or since time ran back"
                )
            oldest, latest = next(iter(moments)), next(reversed(moments))
            moment = moments.get(state_id or latest)
        if moment is None:
            raise HistoryError(
                f"state {state_id} of camera {camera!r} is not held; the oldest held is {oldest}, "
                f"the latest {latest}: ask for one of those, or for 0, the latest"
            )
        return moment

    def clear(self, camera: str | None = None) -> None:
        """Forget the states of one camera, or of all and of steps still under way."""
        with self._lock:
            if camera is None:
                self._era += 1
            for name, moments in self._moments.items():
                if camera in (None, name):
                    moments.clear()

    def _forget_old(self, moments: OrderedDict[int, Moment]) -> None:
        while len(moments) > self._length:
            moments.popitem(last=False)
