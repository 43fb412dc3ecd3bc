"""A run while it runs: JSON lines and TensorBoard on disk, a bar or a line on the screen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from training.distributed import Ranks
from training.flops import counted, peak_flops_per_s

LOG_EVERY_STEPS = 20
LOG_FILE = "log.jsonl"
BOARD_FOLDER = "tensorboard"


class Watch:
    """The first rank's log; the other ranks only add their metrics to it."""

    def __init__(
        self,
        out: Path,
        steps: int,
        batch_size: int,
        ranks: Ranks,
        device: str,
        say: Callable[[str], None],
    ) -> None:
        self._out, self._steps, self._batch_size = out, steps, batch_size
        self._ranks, self._say = ranks, say
        self._since = time.monotonic()
        self._waited_s = 0.0
        self._steps_since = 0
        self._peak = peak_flops_per_s(device)
        self._flops = 0
        self._bar: tqdm[Any] | None = None
        self._board: SummaryWriter | None = None

    def __enter__(self) -> Watch:
        if self._ranks.first:
            try:
                self._board = SummaryWriter(str(self._out / BOARD_FOLDER))
            except OSError as error:
                self._unwritten(error)
            if sys.stderr.isatty():
                self._bar = tqdm(total=self._steps, unit="step", dynamic_ncols=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            # What a full disk keeps from being written has been said.
            with suppress(OSError):
                self._board.close()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time within it counts as waiting for data."""
        started = time.monotonic()
        yield
        self._waited_s += time.monotonic() - started

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts the operations of this process's first step, where they can be judged."""
        if self._peak is None or self._flops:
            yield
            return
        with counted() as counter:
            yield
        self._flops = counter.get_total_flops()

    def step(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        """Note one step; every so often, write it down. Every rank must call it."""
        self._steps_since += 1
        if self._bar is not None:
            self._bar.update(step + 1 - self._bar.n)
        if step % LOG_EVERY_STEPS == 0 or step + 1 == self._steps:
            now = time.monotonic()
            passed_s = max(now - self._since, 1e-9)
            rate = self._steps_since * self._batch_size / passed_s
            extra = {"samples_per_s": rate, "data_wait_share": self._waited_s / passed_s}
            if self._peak is not None:
                extra["mfu"] = self._flops * self._steps_since / passed_s / self._peak
            self.write(step, seconds, self._ranks.means(metrics | extra))
            self._since, self._waited_s, self._steps_since = now, 0.0, 0

    def write(self, step: int, seconds: float, metrics: dict[str, float]) -> None:
        """One row of the log."""
        if not self._ranks.first:
            return
        row = {"step": step, "seconds": round(seconds, 1)}
        row |= {name: float(f"{value:.6g}") for name, value in metrics.items()}
        try:
            with (self._out / LOG_FILE).open("a") as file:
                file.write(json.dumps(row) + "\n")
            if self._board is not None:
                for name, value in metrics.items():
                    self._board.add_scalar(name, value, step)
        except OSError as error:
            self._unwritten(error)
        line = " ".join(f"{name}={value}" for name, value in row.items())
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {metrics.get('loss', float('nan')):.3f}")
        else:
            self._say(line)

    def _unwritten(self, error: OSError) -> None:
        self._say(f"the log below {self._out} cannot be written ({error}); training goes on")
