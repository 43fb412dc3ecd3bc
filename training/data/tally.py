"""What was drawn, skipped and cut, over all workers of a loader; skipped samples by name."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch.utils.data import get_worker_info

from training.data.errors import SkippedTooManyError

MAX_WORKERS = 512
LEAST_DRAWN = 1000
"""The share of skipped samples is taken of at least so many, so that a run does not stop at the
first bad one."""
LISTED = 20
DRAWN, SKIPPED, CUT = range(3)


class Tally:
    """Counts that the workers of a loader share with the process that reads them.

    Each worker counts in a row of its own, in shared memory: no lock, and no count is lost.
    """

    def __init__(self, max_skipped_share: float, log: Path | None) -> None:
        """
        Args:
            log: file to which one JSON line for each skipped sample is appended.
        """
        self._counts_WK = torch.zeros(MAX_WORKERS + 1, 3, dtype=torch.int64).share_memory_()
        self._share = max_skipped_share
        self._log = log
        self._named: dict[str, str] = {}

    @property
    def drawn(self) -> int:
        """Samples asked for."""
        return self._total(DRAWN)

    @property
    def skipped(self) -> int:
        """Samples that could not be read, each as often as it was drawn."""
        return self._total(SKIPPED)

    @property
    def cut_texts(self) -> int:
        """Texts that were longer than a text may be."""
        return self._total(CUT)

    @property
    def named(self) -> dict[str, str]:
        """Samples skipped in this process: where each lies, and why."""
        return dict(self._named)

    def counts(self) -> dict[str, float]:
        """For the log: the share of samples that were skipped, and the texts that were cut."""
        skipped_share = self.skipped / max(1, self.drawn)
        return {"skipped_share": skipped_share, "cut_texts": float(self.cut_texts)}

    def count_drawn(self) -> None:
        self._add(DRAWN, 1)

    def count_cut(self, texts: int) -> None:
        self._add(CUT, texts)

    def skip(self, where: str, why: str) -> None:
        """
        Raises:
            SkippedTooManyError: it is one too many.
        """
        self._add(SKIPPED, 1)
        if where not in self._named:
            self._named[where] = why
            if self._log is not None:
                self._write(self._log, where, why)
        if self.skipped > self._share * max(self.drawn, LEAST_DRAWN):
            raise self.too_many()

    def _write(self, log: Path, where: str, why: str) -> None:
        line = json.dumps({"sample": where, "why": why}, ensure_ascii=False)
        try:
            with log.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            # A full disk is no reason to stop; the sample is named all the same.
            print(f"skipped {line} ({log} cannot be written: {error})", file=sys.stderr)

    def too_many(self) -> SkippedTooManyError:
        """The error that lists what was skipped."""
        listed = [f"  {where}: {why}" for where, why in list(self._named.items())[:LISTED]]
        elsewhere = "" if self._log is None else f"; all of them are in {self._log}"
        return SkippedTooManyError(
            f"for {self.drawn} samples, {self.skipped} could not be read, more than the share of "
            f"{self._share} that max_skipped_share allows{elsewhere}. Run python -m "
            "training.data.validate on their folders and mend or leave out:\n" + "\n".join(listed)
        )

    def _total(self, kind: int) -> int:
        return int(self._counts_WK[:, kind].sum())

    def _add(self, kind: int, number: int) -> None:
        worker = get_worker_info()
        self._counts_WK[0 if worker is None else 1 + worker.id, kind] += number
