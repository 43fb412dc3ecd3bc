"""Why a run stops before its end: somebody asks, or the loss is lost."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from training.distributed import Ranks

INTERRUPTED_EXIT = 75
"""EX_TEMPFAIL of sysexits.h: run it again."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
MEAN_STEPS = 50
"""The running mean of the loss reaches back so far."""
STOPPED_BATCH = "stopped_batch"


class Interruption(SystemExit):
    """The run was asked to stop, and its state is saved: the same command continues it."""

    def __init__(self, step: int) -> None:
        print(f"stopped before step {step}, state saved; run it again to continue", flush=True)
        super().__init__(INTERRUPTED_EXIT)


@runtime_checkable
class Described(Protocol):
    """Batches that can say which samples an item's rows are."""

    def described(self, index: int) -> list[dict[str, str]]: ...


class LossError(RuntimeError):
    """The loss is NaN, infinite or far above what it was; the message names the saved batch."""


def left_to_the_run(worker: int) -> None:
    """Make a loader's worker deaf to `SIGNALS`; its run ends it.

    torchrun signals whole process groups. A worker that obeyed would be missed by its run, which
    then fails before it has saved.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def end_workers(loaded: object) -> None:
    """End the workers of a loader's iterator, if it has some.

    Without it, a process that ends while an error still holds the iterator would tell them by
    SIGTERM, to which they are deaf, and wait for them for ever.
    """
    end = getattr(loaded, "_shutdown_workers", None)
    if end is not None:
        end()


class Guard:
    """Hears signals while it is entered, and looks at every loss."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._asked = False
        self._mean: float | None = None
        self._old: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Guard:
        try:
            self._old = {number: signal.signal(number, self._hear) for number in SIGNALS}
        except ValueError:
            self._old = {}  # Not the main thread: whoever runs this there stops it by other means.
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def asked(self) -> bool:
        """Whether any rank was asked to stop; alike on all of them."""
        return self._ranks.largest(float(self._asked)) > 0

    def check(
        self,
        loss: float,
        grad_norm: float,
        step: int,
        explodes_at: float,
        keep: Callable[[], Path],
    ) -> None:
        """Raise where the loss of `step` is lost, with its batch saved.

        Args:
            keep: saves this rank's part of the batch, and says where.

        Raises:
            LossError: it or its gradient is no number, or it is more than `explodes_at` times its
                running mean.
        """
        lost = not math.isfinite(loss) or not math.isfinite(grad_norm)
        if self._mean is not None and loss > explodes_at * max(self._mean, 1e-3):
            lost = True
        if lost:
            try:
                kept = f"is in {keep()}"
            except (OSError, SafetensorError) as error:
                kept = f"cannot be kept ({error})"
            raise LossError(
                f"the loss of step {step} is {loss:.4g}, its gradient's norm {grad_norm:.4g}, its "
                f"running mean {self._mean or loss:.4g}; the batch {kept}: lower the "
                "learning rate, or look at its rows"
            )
        share = 1.0 / MEAN_STEPS
        self._mean = loss if self._mean is None else (1 - share) * self._mean + share * loss


def keep_batch(
    parts: Sequence[dict[str, Tensor]], items: Sequence[int], batches: object, out: Path, rank: int
) -> Path:
    """Save a rank's parts of a batch below `out`: tensors, and which samples they were.

    Args:
        items: what the parts are in `batches`; the same recipe makes them again.
    """
    folder = out / STOPPED_BATCH
    folder.mkdir(parents=True, exist_ok=True)
    for index, (part, item) in enumerate(zip(parts, items, strict=True)):
        path = folder / f"rank-{rank}-part-{index}.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in part.items()}, path)
        keys: dict[str, object] = {"item": item}
        if isinstance(batches, Described):
            keys["rows"] = batches.described(item)
        path.with_suffix(".json").write_text(json.dumps(keys, ensure_ascii=False, indent=1))
    return folder
