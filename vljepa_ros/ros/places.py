"""Poses for the entries of the memory, added when TF knows them.

TF hears of a moment after it has passed: when a state of a moving camera is noted, the transform
that says where the camera was is mostly still to come. So an entry is written at once, without a
pose, and gets it at one of the next steps; no step waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vljepa_ros.config import ConfigError, MemoryConfig
from vljepa_ros.types import Pose, SemanticState
from vljepa_ros.world.memory import Memory
from vljepa_ros.world.record import MemoryStoreError

PATIENCE_S = 2.0
"""After so long TF is asked a last time."""


class UnknownPoseError(Exception):
    """It is not known, at least not yet, where a frame was; the message says why."""


class Source(Protocol):
    """Who knows poses: `Transforms`."""

    def pose(self, frame_id: str, stamp_ns: int) -> Pose: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Waiting:
    entry: int
    camera: str
    frame_id: str
    stamp_ns: int
    since_s: float


def check_frames(config: MemoryConfig) -> None:
    """
    Raises:
        ConfigError: frames that TF cannot know, or one without the other.
    """
    for name, frame in (("pose_frame", config.pose_frame), ("pose_of", config.pose_of)):
        if frame.startswith("/") or frame != frame.strip():
            raise ConfigError(
                f"parameter memory.{name} is {frame!r}, which is no frame of TF; write "
                f"{frame.strip().lstrip('/')!r}"
            )
    if config.pose_of and not config.pose_frame:
        raise ConfigError(
            f"parameter memory.pose_of is {config.pose_of!r}, but memory.pose_frame is empty, so "
            "no pose would be kept; set it to a fixed frame such as map, or empty both"
        )


class Places:
    """The entries that wait for their pose. Belongs to the worker's thread."""

    def __init__(
        self, memory: Memory, source: Source, pose_of: str, warn: Callable[[str, str], None]
    ) -> None:
        """
        Args:
            pose_of: the frame whose pose is kept; empty = that of the image.
            warn: told a camera, and a sentence on what it goes without.
        """
        self._memory = memory
        self._source = source
        self._pose_of = pose_of
        self._warn = warn
        self._waiting: list[_Waiting] = []
        self.known = 0
        """Entries that got a pose."""
        self.missed = 0
        """Entries that stay without."""

    @property
    def waiting(self) -> int:
        """Entries that may still get one. Any thread."""
        return len(self._waiting)

    def expect(self, entry: int, state: SemanticState) -> None:
        """This entry of the memory, made of this state, is to get a pose."""
        frame_id = self._pose_of or state.frame_id
        waiting = _Waiting(entry, state.camera, frame_id, state.stamp_ns, time.monotonic())
        if frame_id:
            self._waiting.append(waiting)
        else:
            self._miss(
                waiting, "its images name no frame; set frame_id in its driver, or memory.pose_of"
            )

    def look(self, *, last: bool = False) -> None:
        """Give each entry its pose, if that is known by now.

        Args:
            last: do not wait for the others any longer.
        """
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            try:
                self._memory.place(one.entry, self._source.pose(one.frame_id, one.stamp_ns))
                self.known += 1
            except UnknownPoseError as error:
                if last or time.monotonic() - one.since_s > PATIENCE_S:
                    self._miss(one, f"TF does not tell where {one.frame_id} was: {error}")
                else:
                    self._waiting.append(one)
            except MemoryStoreError as error:
                self._miss(one, str(error))

    def _miss(self, one: _Waiting, why: str) -> None:
        self.missed += 1
        self._warn(
            one.camera, f"camera {one.camera}: what it saw is remembered without a pose: {why}"
        )

    def clear(self) -> None:
        """Forget past transforms, because time jumped. Any thread."""
        self._source.clear()

    def close(self) -> None:
        """Listen no more."""
        self._source.close()
