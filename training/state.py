"""Saving and resuming a run without pickle: sharded safetensors beside a manifest.

Every rank writes its share of weights, optimiser and random state while training goes on
(torch.distributed.checkpoint); the first rank then writes the manifest with every file's digest and
puts the folder in its place with one rename. So a state is whole or it is not there, and one that
was damaged later is passed over for the one before. A batch is a pure function of (seed, step), so
the step is the loader's position. Weights and moments are kept as whole tensors: another number of
ranks resumes from them as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from training.distributed import ALONE, Ranks

SETTLE_S = 60.0
STATES_FOLDER = "states"
MANIFEST = "state.json"


class StateError(RuntimeError):
    """A state cannot be written, or does not fit what is trained; the message says the mend."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int = 0
    """The next step."""
    seconds: float = 0.0
    """Trained so far."""
    loader: bytes = b""
    """Where this rank's loader is, where the step does not say it."""


class States:
    """The saved states of one run, below `<out>/states`."""

    def __init__(
        self,
        out: Path,
        ranks: Ranks = ALONE,
        keep: int = 2,
        position: Mapping[str, int | str] | None = None,
    ) -> None:
        """
        Args:
            position: settings without which a step says nothing of the data that was seen.
        """
        self._position = dict(position or {})
        self._folder = out / STATES_FOLDER
        self._ranks = ranks
        self._keep = keep
        # Apart from training's own exchanges: two threads must not share one group.
        self._group = dist.new_group(backend="gloo") if ranks.world > 1 else None
        self._saving: Future[None] | None = None
        # Said by torch of every state of a process alone.
        warnings.filterwarnings("ignore", "torch.distributed is disabled")

    def save(self, progress: Progress, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Begin to write a state; training may go on at once. Every rank must call it."""
        self.wait()
        partial = self._path(progress.step).with_suffix(".partial")
        if self._ranks.first:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self._ranks.wait()
        tensors = dict(_weights(module)) | dict(_moments(module, optimiser))
        tensors |= {f"random.{self._ranks.rank}.{n}": x for n, x in _random_state().items()}
        if progress.loader:
            tensors[self._loader_name] = torch.frombuffer(
                bytearray(progress.loader), dtype=torch.uint8
            )
        writer = HuggingFaceStorageWriter(str(partial), save_distributed=True)
        written = async_save(
            tensors,
            storage_writer=writer,
            process_group=self._group,
            no_dist=self._group is None,
        )
        assert isinstance(written, Future)
        saving: Future[None] = Future()
        self._saving = saving
        written.add_done_callback(lambda done: self._finish(done, saving, partial, progress))

    def _finish(
        self, written: Future[Any], saving: Future[None], partial: Path, progress: Progress
    ) -> None:
        """In the thread that wrote: the manifest, the rename, and the oldest states go."""
        failure = written.exception()
        if failure is None and self._ranks.first:
            try:
                self._seal(partial, progress)
            except OSError as error:
                failure = error
        if failure is None:
            saving.set_result(None)
            return
        lost = StateError(
            f"the state of step {progress.step} could not be written below {self._folder} "
            f"({_reason(failure)}); the states before it are whole: make room and run the same "
            "command again"
        )
        lost.__cause__ = failure
        saving.set_exception(lost)

    def _seal(self, partial: Path, progress: Progress) -> None:
        digests = {path.name: _digest(path) for path in sorted(partial.glob("*.safetensors"))}
        manifest = {
            "step": progress.step,
            "seconds": progress.seconds,
            "world": self._ranks.world,
            "torch": torch.__version__,
            "position": self._position,
            "sha256": digests,
        }
        with (partial / MANIFEST).open("w") as file:
            file.write(json.dumps(manifest, indent=2))
            file.flush()
            os.fsync(file.fileno())
        final = self._path(progress.step)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for old in self._all()[self._keep :]:
            shutil.rmtree(old, ignore_errors=True)

    def check(self) -> None:
        """Raise what went wrong in a save that has ended meanwhile."""
        if self._saving is not None and self._saving.done():
            self.wait()

    def wait(self) -> None:
        """Until the state that is being written is whole.

        Raises:
            StateError: it could not be written.
        """
        if self._saving is not None:
            saving, self._saving = self._saving, None
            saving.result()

    def settle(self) -> None:
        """Until nothing is being written any more, whether it could be or not.

        Not for ever: another rank may have died over it.
        """
        if self._saving is not None:
            wait([self._saving], SETTLE_S)

    def load(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
        """Restore the newest whole state in place; `Progress()` where there is none.

        Raises:
            StateError: it is that of another model, or of other settings of the data.
        """
        step = int(self._ranks.largest(self._newest() if self._ranks.first else -1))
        if step < 0:
            return Progress()
        folder = self._path(step)
        manifest = json.loads((folder / MANIFEST).read_text())
        self._check_position(manifest, folder)
        reader = HuggingFaceStorageReader(str(folder))
        saved = {
            name: entry.size
            for name, entry in reader.read_metadata().state_dict_metadata.items()
            if isinstance(entry, TensorStorageMetadata)
        }
        weights = dict(_weights(module))
        _check_fits(saved, weights, folder)
        moments = dict(_empty_moments(saved, module))
        random = {}
        if manifest["world"] == self._ranks.world:
            own = f"random.{self._ranks.rank}."
            random = {
                name: torch.empty(size, dtype=torch.uint8)
                for name, size in saved.items()
                if name.startswith(own)
            }
        loader = {
            name: torch.empty(size, dtype=torch.uint8)
            for name, size in saved.items()
            if name == self._loader_name
        }
        wanted = weights | moments | random | loader
        load(wanted, storage_reader=reader, no_dist=self._group is None)
        _set_moments(moments, module, optimiser)
        _set_random_state({name.rpartition(".")[2]: x for name, x in random.items()})
        position = b"".join(tensor.numpy().tobytes() for tensor in loader.values())
        return Progress(step, float(manifest["seconds"]), position)

    @property
    def _loader_name(self) -> str:
        return f"loader.{self._ranks.rank}"

    def _check_position(self, manifest: dict[str, Any], folder: Path) -> None:
        for name, value in manifest.get("position", {}).items():
            if self._position.get(name, value) != value:
                raise StateError(
                    f"{folder} was trained with {name} {value}, not {self._position[name]}: its "
                    f"step would not say which data is still to come; set {name} to {value}, or "
                    "train into another folder with --out"
                )
        if self._ranks.first and manifest["torch"] != torch.__version__:
            print(
                f"{folder} was written by torch {manifest['torch']}; torch {torch.__version__} "
                "goes on from it, but no longer bit for bit",
                flush=True,
            )

    def _newest(self) -> int:
        """Step of the newest state whose files are what they were when written; -1 without."""
        for leftover in self._folder.glob("*.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        for folder in self._all():
            if _whole(folder):
                return int(folder.name.partition("-")[2])
            print(f"{folder} is damaged; going back to the state before it", flush=True)
        return -1

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("step-????????"), reverse=True)

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}"


def _reason(failure: BaseException) -> str:
    """In one line, with the ranks that failed."""
    if not isinstance(failure, CheckpointException):
        return str(failure)
    return "; ".join(f"rank {rank}: {error}" for rank, (error, _) in failure.failures.items())


def progress_of(out: Path) -> Progress:
    """How far the newest state of a run is.

    Raises:
        StateError: it has none.
    """
    for path in sorted((out / STATES_FOLDER).glob(f"step-????????/{MANIFEST}"), reverse=True):
        manifest = json.loads(path.read_text())
        return Progress(int(manifest["step"]), float(manifest["seconds"]))
    raise StateError(f"nothing was trained below {out}")


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in module.state_dict().items():
        yield f"weights.{name}", tensor


def _moments(module: nn.Module, optimiser: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    """The optimiser's tensors by the parameter's name; those of no dimension get one."""
    for name, parameter in module.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            yield f"moments.{name}.{key}", value.reshape(1) if value.ndim == 0 else value


def _empty_moments(saved: dict[str, torch.Size], module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in module.named_parameters():
        for key in ("step", "exp_avg", "exp_avg_sq"):
            if f"moments.{name}.{key}" in saved:
                like = torch.zeros(1) if key == "step" else torch.zeros_like(parameter)
                yield f"moments.{name}.{key}", like.detach()


def _set_moments(
    moments: dict[str, Tensor], module: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    parameters = dict(module.named_parameters())
    for full_name, value in moments.items():
        name, _, key = full_name.removeprefix("moments.").rpartition(".")
        whole = value.reshape(()) if key == "step" else value
        optimiser.state[parameters[name]][key] = whole


def _check_fits(saved: dict[str, torch.Size], weights: dict[str, Tensor], folder: Path) -> None:
    there = {n: tuple(size) for n, size in saved.items() if n.startswith("weights.")}
    wanted = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = sorted(n for n in there.keys() | wanted.keys() if there.get(n) != wanted.get(n))
    if wrong:
        first = wrong[0]
        raise StateError(
            f"{folder} is the state of another model: {first.removeprefix('weights.')} is "
            f"{there.get(first, 'not there')}, wanted {wanted.get(first, 'not there')} "
            f"({len(wrong)} differ); train into another folder with --out"
        )


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Tensor]) -> None:
    if "cpu" in state:
        torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])


def _whole(folder: Path) -> bool:
    try:
        digests = json.loads((folder / MANIFEST).read_text())["sha256"]
        return bool(digests) and all(_digest(folder / name) == d for name, d in digests.items())
    except (OSError, ValueError, KeyError):
        return False


def _digest(path: Path) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return sha256.hexdigest()
