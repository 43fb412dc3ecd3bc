"""What a recording is to its reader: moments in the order they were recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vljepa_ros.types import Frame

if TYPE_CHECKING:
    from rosbags.interfaces import Qos


@dataclass(frozen=True)
class Channel:
    """One topic with one type: what a reader of its messages must know."""

    topic: str
    type_name: str
    """As ROS writes it: sensor_msgs/msg/Image."""
    definition: str
    """Text of the type and those in it; empty where the recording does not know it."""
    digest: str
    """Hash of the type (RIHS01)."""
    qos: tuple[Qos, ...] = ()
    """Offered by the publishers that were recorded."""


@dataclass(frozen=True)
class Moment:
    """One message as it was recorded."""

    log_ns: int
    """When it was recorded, on the recorder's clock."""
    channel: Channel
    message: Callable[[], bytes | memoryview]
    """Its bytes (CDR)."""
    frame: Callable[[], Frame] | None = None
    """Where it is an image to be perceived: the frame. Raises FrameError."""


class Recording(Protocol):
    """A bag or video that is open."""

    topic: str
    """The topic whose images are perceived."""
    images: int
    """How many images there are; 0 = not known beforehand."""
    topics: frozenset[str]
    """All topics."""
    formats: Counter[str]
    """How many of the images that became frames had which encoding."""
    notes: tuple[str, ...]
    """What is odd about it all the same, a sentence each."""

    def moments(self, *, originals: bool) -> Iterator[Moment]:
        """All that was recorded, or its images only where no originals are wanted.

        Raises:
            RecordingError: it cannot be read on.
        """
