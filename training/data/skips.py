"""How many bad samples of a source may be left out while it is written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from training.data.errors import DataError, SampleError


class Skips:
    """Lets `limit` bad samples pass, saying which; the next one ends the writing."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self.named: list[str] = []

    @contextmanager
    def guard(self, where: str) -> Iterator[None]:
        """Leave out what this block fails to make.

        Raises:
            DataError: one more than may be left out; the message says all of it.
        """
        try:
            yield
        except SampleError as error:
            self.named.append(f"{where}: {error}")
            if len(self.named) > self._limit:
                raise DataError(
                    f"{self.named[-1]}; mend it, or allow more with --max-skipped "
                    f"{len(self.named)} or above"
                ) from error
            print(f"skipped {self.named[-1]}", file=sys.stderr)
