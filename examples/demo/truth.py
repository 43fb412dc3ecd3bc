"""What really happens in a recording: the truth beside the shipped one, or its hard cuts."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.tabletop.language import parse
from vljepa_ros.types import ImageHWC

CUT_DIFFERENCE = 30.0
"""Mean difference of neighbouring frames that may be a cut, of 255."""
CUT_CONTRAST = 2.5
"""How far a cut's difference stands above those two frames around it."""


class TruthError(ValueError):
    """A truth file that cannot be used; the message says the mend."""


@dataclass(frozen=True)
class Segment:
    """A stretch of the recording in which one thing happens, in its canonical words."""

    start_s: float
    end_s: float
    caption: str


def load_truth(file: Path) -> tuple[Segment, ...]:
    """The segments of a truth file, in order of time.

    Raises:
        TruthError: it is not there, is no truth file, or holds a sentence of no meaning.
    """
    try:
        rows = json.loads(file.read_text())["segments"]
        segments = tuple(
            Segment(float(r["onset_s"]), float(r["end_s"]), str(r["caption"])) for r in rows
        )
    except OSError as error:
        raise TruthError(f"truth file {file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TruthError(
            f'{file} is no truth file: it needs "segments", each with onset_s, end_s and caption'
        ) from error
    for segment in segments:
        if meaning(segment.caption) is None:
            raise TruthError(f"{file}: {segment.caption!r} is no sentence of the tabletop world")
    return segments


def meaning(caption: str) -> Hashable | None:
    """What a caption says, whatever its wording; None for what is no sentence of the world."""
    return parse(caption)


def truth_at(segments: Sequence[Segment], time_s: float) -> Segment | None:
    """The segment at a moment, None outside of all."""
    return next((s for s in segments if s.start_s <= time_s < s.end_s), None)


def small(image_HWC: ImageHWC) -> npt.NDArray[np.float32]:
    """What `cuts` compares of a frame, (36, 64, 3)."""
    return np.asarray(cv2.resize(image_HWC, (64, 36), interpolation=cv2.INTER_AREA), np.float32)


def cuts(smalls: Sequence[npt.NDArray[np.float32]], times_s: Sequence[float]) -> list[float]:
    """Times of hard cuts [s]: frames unlike the one before, amid frames like their neighbours.

    Args:
        smalls: the frames of a recording, see `small`.
        times_s: their times.
    """
    differences = [float(np.abs(one - other).mean()) for one, other in pairwise(smalls)]
    found = []
    for at, difference in enumerate(differences):
        around = [*differences[max(at - 2, 0) : at], *differences[at + 1 : at + 3]]
        if difference >= CUT_DIFFERENCE and difference >= CUT_CONTRAST * max(around, default=0.0):
            found.append(times_s[at + 1])
    return found
