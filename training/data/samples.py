"""The schema of a sample: what KEY.json beside KEY.mp4 says."""

from __future__ import annotations

import json
import math
import unicodedata
import zlib
from dataclasses import asdict, dataclass, fields
from typing import Any

from training.data.errors import SampleError
from vljepa_ros.model.text import MAX_CHARACTERS, TextError, check_text

VIDEO_EXTENSIONS = ("mp4", "mkv", "webm")
IMAGE_EXTENSIONS = ("jpg", "png")
EXTENSIONS = (*VIDEO_EXTENSIONS, *IMAGE_EXTENSIONS)
REQUIRED = ("query", "target", "task", "source")
END_PUNCTUATION = ".!?…。！？।؟۔"


@dataclass(frozen=True)
class MediaSample:
    """What is asked of one video or image.

    Raises:
        SampleError: a field of the wrong type, an empty text, times that are no interval, or a
            candidate that says the same as the target.
    """

    query: str
    target: str
    task: str
    source: str
    """Where it comes from: a file and place in it, for people who look into a bad sample."""
    candidates: tuple[str, ...] = ()
    """Wrong answers."""
    start_s: float | None = None
    """Of the segment that is asked about, on the media's own time stamps; None = its start."""
    end_s: float | None = None

    def __post_init__(self) -> None:
        for name in REQUIRED:
            _check(name, getattr(self, name))
        for index, candidate in enumerate(self.candidates):
            _check(f"candidates[{index}]", candidate)
            if same_meaning(candidate) == same_meaning(self.target):
                raise SampleError(
                    f"candidates[{index}] says the same as the target ({candidate!r}); candidates "
                    "are wrong answers, so leave it out"
                )
        start_s = self.start_s or 0.0
        if start_s < 0 or (self.end_s is not None and self.end_s <= start_s):
            raise SampleError(
                f"start_s {self.start_s} to end_s {self.end_s} is no interval; give 0 <= start_s "
                "< end_s"
            )

    @property
    def key(self) -> int:
        """Equal for targets that say the same; they are never negatives of each other."""
        return zlib.crc32(same_meaning(self.target).encode())


def same_meaning(text: str) -> str:
    """A text without case, repeated white space and punctuation at its end."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = " ".join(folded.split())
    # "?!" alone would leave nothing, and all such texts would mean the same.
    return words.rstrip(END_PUNCTUATION + " ") or words


def to_json(sample: MediaSample) -> bytes:
    """The bytes of KEY.json; what a sample does not have is left out."""
    given = {k: v for k, v in asdict(sample).items() if v not in (None, ())}
    return json.dumps(given, ensure_ascii=False).encode()


def from_json(data: bytes) -> MediaSample:
    """Read what `to_json` wrote.

    Raises:
        SampleError: no such JSON; the message names the field.
    """
    try:
        values = json.loads(data)
    except ValueError as error:
        raise SampleError(f"its .json is not JSON in UTF-8: {error}") from error
    if not isinstance(values, dict):
        raise SampleError(f"its .json must be an object, not {type(values).__name__}")
    return from_values(values)


def from_values(values: dict[str, Any]) -> MediaSample:
    """A sample of plain values.

    Raises:
        SampleError: a field is missing, unknown or of the wrong type.
    """
    known = [f.name for f in fields(MediaSample)]
    missing = [name for name in REQUIRED if name not in values]
    if missing:
        raise SampleError(f"field {missing[0]!r} is missing; needed are {', '.join(REQUIRED)}")
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SampleError(f"unknown field {unknown[0]!r}; known are {', '.join(known)}")
    candidates = values.get("candidates", [])
    if not isinstance(candidates, (list, tuple)):
        raise SampleError(f"candidates must be a list of texts, not {candidates!r}")
    times = {name: _seconds(name, values.get(name)) for name in ("start_s", "end_s")}
    return MediaSample(**{**values, **times, "candidates": tuple(candidates)})


def _check(name: str, text: object) -> None:
    """Long texts pass: they are cut when a batch is made."""
    if not isinstance(text, str):
        raise SampleError(f"{name} must be a text, not {text!r}")
    try:
        check_text(text[:MAX_CHARACTERS])
        text.encode()
    except TextError as error:
        raise SampleError(f"{name}: {error}") from error
    except UnicodeEncodeError as error:
        raise SampleError(f"{name} holds a lone surrogate at {error.start}; remove it") from error


def _seconds(name: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SampleError(f"{name} must be a number of seconds, not {value!r}")
    if not math.isfinite(value):
        raise SampleError(f"{name} is {value}; give seconds from the start of the video")
    return float(value)
