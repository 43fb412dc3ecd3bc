"""Resident memory of a running process over time."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

import numpy as np

PERIOD_S = 0.25
AROUND_S = 2.0
"""A figure is the median of the samples so near."""


class MemoryWatch:
    """Samples a process while the context is entered; time counts from there."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._samples: list[tuple[float, float]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._start_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._start_s

    def at(self, when_s: float) -> float:
        """Resident memory about then [MB]; NaN where nothing was seen."""
        near = [mb for at_s, mb in self._samples if abs(at_s - when_s) <= AROUND_S]
        return float(np.median(near)) if near else float("nan")

    def _watch(self) -> None:
        while not self._ending.wait(PERIOD_S):
            try:
                lines = self._status.read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                return
            kilobytes = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
            if kilobytes:
                self._samples.append((self.seconds(), int(kilobytes[0]) / 1000.0))
