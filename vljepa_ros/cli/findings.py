"""What `vljepa doctor` says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and what to do about it (empty where it is well)."""

    verdict: Verdict
    subject: str
    found: str
    mend: str = ""
