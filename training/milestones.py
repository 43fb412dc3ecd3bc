"""Weights kept for good at some steps of a run, to draw its curve when it is over.

A state (training/state.py) is for going on and is replaced by the next one; a milestone stays.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from training.state import Progress, StateError

FOLDER = "kept"


def keep(out: Path, progress: Progress, module: nn.Module) -> None:
    """Write the weights after `progress.step` steps, whole or not at all."""
    path = _path(out, progress.step)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {n: x.detach().cpu().contiguous() for n, x in module.state_dict().items()}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"seconds": repr(progress.seconds)})
    partial.replace(path)


def restore(out: Path, step: int, module: nn.Module) -> Progress:
    """Put the weights of a milestone into `module`, and say how long they had been trained.

    Raises:
        StateError: the run kept none at this step, or they are those of another model.
    """
    path = _path(out, step)
    if not path.exists():
        raise StateError(f"{path} is missing; run the training again with {step} in keep_at")
    with safe_open(path, framework="pt", device="cpu") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        seconds = float(file.metadata()["seconds"])
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise StateError(f"{path} holds another model; train into another folder") from error
    return Progress(step, seconds)


def _path(out: Path, step: int) -> Path:
    return out / FOLDER / f"step-{step:08d}.safetensors"
