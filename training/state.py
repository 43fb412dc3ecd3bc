"""Saving and resuming a run without pickle: tensors as safetensors, the rest as JSON.

A batch is a pure function of (seed, step), so model, optimiser and step are the whole state and a
resumed run continues exactly.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

STATE_FOLDER = "state"


def save_state(
    out: Path, step: int, module: nn.Module, optimiser: torch.optim.Optimizer, seconds: float
) -> None:
    """Write atomically: a folder beside the old one, then swapped in."""
    partial = out / f"{STATE_FOLDER}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(_contiguous(module.state_dict()), partial / "module.safetensors")
    moments = {
        f"{index}.{name}": value
        for index, entry in optimiser.state_dict()["state"].items()
        for name, value in entry.items()
    }
    save_file(_contiguous(moments), partial / "optimiser.safetensors")
    (partial / "state.json").write_text(json.dumps({"step": step, "seconds": seconds}))
    final = out / STATE_FOLDER
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)


def load_state(out: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """Restore in place.

    Returns:
        The next step and the seconds trained so far; (0, 0.0) where there is nothing to resume.
    """
    folder = out / STATE_FOLDER
    if not (folder / "state.json").exists():
        return 0, 0.0
    module.load_state_dict(load_file(folder / "module.safetensors"), strict=True)
    state: dict[int, dict[str, Any]] = {}
    for name, value in load_file(folder / "optimiser.safetensors").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    saved = json.loads((folder / "state.json").read_text())
    return int(saved["step"]), float(saved["seconds"])


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().contiguous() for name, value in tensors.items()}
