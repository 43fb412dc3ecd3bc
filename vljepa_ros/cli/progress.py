"""How far a long command is: a bar on a terminal, else a line now and then. On stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

LINE_EVERY_S = 10.0


class Progress:
    """Told after each image; says it as seldom as is useful."""

    def __init__(self, name: str, unit: str = "images") -> None:
        self._name = name
        self._unit = unit
        self._began_s = self._said_s = time.monotonic()
        self._seen = 0
        self._bar: Any = None
        self._draws = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, seen: int, of: int) -> None:
        """`of`: how many there are; 0 = not known."""
        if self._draws and self._bar is None:
            self._bar = _bar(self._name, self._unit, of)
            self._draws = self._bar is not None
        if self._bar is not None:
            self._bar.update(seen - self._seen)
        elif time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            print(self._line(seen, of), file=sys.stderr, flush=True)
        self._seen = seen

    def _line(self, seen: int, of: int) -> str:
        rate_hz = seen / max(time.monotonic() - self._began_s, 1e-9)
        share = f" of {of} ({100 * seen / of:.0f} %)" if of else ""
        return f"{self._name}: {seen}{share} {self._unit}, {rate_hz:.1f} a second"


def _bar(name: str, unit: str, of: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:  # lines will do
        return None
    return tqdm(desc=name, total=of or None, unit=f" {unit}", file=sys.stderr)
