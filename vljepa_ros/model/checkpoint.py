"""A model as one folder: config.json, model.safetensors, tokenizer.json.

config.json holds the model's config, the digest of every other file and free `meta`. Nothing is
loaded that the config does not name, and pickle files are never opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from vljepa_ros.config import ConfigError, ModelConfig, from_dict, to_dict
from vljepa_ros.model.reliability import Reliability
from vljepa_ros.model.text import TextError, Tokenizer
from vljepa_ros.model.vljepa import VLJepa

FORMAT = "vljepa_ros/1"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
TARGET_TOKENIZER = "target_tokenizer.json"
RELIABILITY = "reliability.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


class CheckpointError(ValueError):
    """A checkpoint folder that cannot be used; the message names what is wrong and the mend."""


@dataclass(frozen=True)
class Description:
    """What config.json says, read and checked before any weight is touched."""

    config: ModelConfig
    sha256: Mapping[str, str]
    """Digest (hex) by file name."""
    meta: Mapping[str, Any]


def save(
    model: VLJepa,
    tokenizer: Tokenizer,
    folder: str | Path,
    meta: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float16,
    reliability: Reliability | None = None,
) -> str:
    """Write the folder and return the digest of model.safetensors.

    Weights are stored as `dtype`, what is known of their reliability as float16. Each file is
    replaced whole and config.json last, so a save that dies leaves either the old folder or one
    that `load` refuses by digest. Other files stay.

    Raises:
        CheckpointError: a weight that is not finite, or too large for `dtype`; or no room for it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{name} is not finite as {dtype}; nothing was saved")
    texts = {TOKENIZER: tokenizer.to_json()}
    if tokenizer.separate_target:
        texts[TARGET_TOKENIZER] = tokenizer.target.to_json()
    partial = folder / f".{WEIGHTS}.{os.getpid()}"
    _save_tensors(tensors, partial)
    digests = {WEIGHTS: _digest(partial)}
    _replace(partial, folder / WEIGHTS)
    if reliability is not None:
        partial = folder / f".{RELIABILITY}.{os.getpid()}"
        _save_tensors({k: _halved(v) for k, v in reliability.tensors().items()}, partial)
        digests[RELIABILITY] = _digest(partial)
        _replace(partial, folder / RELIABILITY)
    for name, text in texts.items():
        digests[name] = hashlib.sha256(text.encode()).hexdigest()
        _write(folder / name, text)
    description = {
        "format": FORMAT,
        "config": to_dict(model.config),
        "sha256": digests,
        "meta": dict(meta),
    }
    _write(folder / CONFIG, json.dumps(description, indent=2, ensure_ascii=False) + "\n")
    return digests[WEIGHTS]


def load(
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    expected_sha256: str | None = None,
    attention: str = "sdpa",
) -> tuple[VLJepa, Tokenizer]:
    """The model (eval mode, parameters as `dtype`, on `device`) and its tokenizer.

    `expected_sha256` is a digest of model.safetensors known from elsewhere.

    Raises:
        CheckpointError: missing, truncated, foreign or changed files; missing, extra or misshapen
            tensors.
    """
    folder = Path(folder)
    description = describe(folder)
    wanted = dict(description.sha256)
    if expected_sha256:
        wanted[WEIGHTS] = expected_sha256.strip().lower()
    for name, digest in wanted.items():
        _check_digest(folder / name, digest)
    # Random numbers that the weights replace anyway would cost time and disturb the caller's seed.
    try:
        with no_init_weights():
            model = VLJepa(description.config, attention)
    except (ValueError, ArithmeticError, RuntimeError, StrictDataclassError) as error:
        raise CheckpointError(f"{folder / CONFIG} describes no model: {error}") from error
    fill_(model.state_dict(), read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    tokenizer = _read_tokenizer(folder, TARGET_TOKENIZER in wanted)
    cast_parameters_(model, dtype)
    return model.to(device).eval(), tokenizer


def load_reliability(folder: str | Path) -> Reliability | None:
    """How far the model's predictions can be trusted; None where that was never measured.

    Raises:
        CheckpointError: a missing, changed or foreign file.
    """
    path = Path(folder) / RELIABILITY
    digest = describe(folder).sha256.get(RELIABILITY)
    if digest is None:
        return None
    _check_digest(path, digest)
    try:
        tensors = read_tensors(path)
        floats = {k: v.float() for k, v in tensors.items() if v.is_floating_point()}
        return Reliability.from_tensors(tensors | floats)
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be used: {error}; restore the file") from error


def _halved(tensor: Tensor) -> Tensor:
    """As float16, but whole numbers and what does not fit."""
    tensor = tensor.detach().cpu().contiguous()
    fits = tensor.is_floating_point() and bool(torch.isfinite(tensor.half()).all())
    return tensor.half() if fits else tensor


def describe(folder: str | Path) -> Description:
    """Read config.json.

    Raises:
        CheckpointError: the folder or the file is missing, damaged or of another program.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; set model_path to a checkpoint folder")
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing; set model_path to a folder that holds {CONFIG}, {WEIGHTS} and "
            f"{TOKENIZER}"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); restore the file") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = (
            values.get("format") or values.get("model_type") if isinstance(values, dict) else None
        )
        raise CheckpointError(
            f"{path} is not of format {FORMAT} (found {found!r}); use a folder written by this "
            "package (backbones of other programs are read in training)"
        )
    try:
        config = from_dict(ModelConfig, values["config"])
        digests = {str(k): str(v).lower() for k, v in values["sha256"].items()}
        meta = dict(values.get("meta", {}))
    except (ConfigError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be used: {error!s}; restore the file") from error
    for name in (WEIGHTS, TOKENIZER):
        if name not in digests:
            raise CheckpointError(f"{path} names no digest of {name}; restore the file")
    return Description(config, digests, meta)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, on the CPU.

    Raises:
        CheckpointError: missing or damaged.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; restore the file") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged ({error}); restore the file") from error


def fill_(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy `tensors` into a module's `own` (its state_dict): every name and shape, nothing more.

    Raises:
        CheckpointError: names the tensors that are missing, extra or of another shape.
    """
    faults = [f"{name} is missing" for name in own if name not in tensors]
    faults += [f"{name} is not part of the model" for name in tensors if name not in own]
    faults += [
        f"{name} is {tuple(tensor.shape)}, expected {tuple(own[name].shape)}"
        for name, tensor in tensors.items()
        if name in own and own[name].shape != tensor.shape
    ]
    if faults:
        more = f" and {len(faults) - 8} more" if len(faults) > 8 else ""
        raise CheckpointError(f"{source} does not fit the config: {'; '.join(faults[:8])}{more}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def cast_parameters_(model: nn.Module, dtype: torch.dtype) -> None:
    """Change the parameters' type only: rotary frequencies (buffers) must stay float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def _read_tokenizer(folder: Path, separate_target: bool) -> Tokenizer:
    try:
        target = Tokenizer.from_file(folder / TARGET_TOKENIZER) if separate_target else None
        return Tokenizer.from_json((folder / TOKENIZER).read_text(encoding="utf-8"), target)
    except (TextError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder / TOKENIZER}: {error}") from error


def _check_digest(path: Path, digest: str) -> None:
    if not path.is_file():
        pickles = sorted(p.name for pattern in PICKLES for p in path.parent.glob(pattern))
        hint = f" ({pickles[0]} is a pickle, which can run code, and is refused)" if pickles else ""
        raise CheckpointError(f"{path} is missing{hint}; restore the file")
    found = _digest(path)
    if found != digest:
        raise CheckpointError(
            f"{path} has sha256 {found}, expected {digest}: the file is truncated, changed or of "
            "another model; restore it"
        )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    _replace(partial, path)


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path, metadata={"format": FORMAT})
    except SafetensorError as error:
        path.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path.parent} cannot be written ({error}); make room, or save into another folder"
        ) from error


def _replace(partial: Path, path: Path) -> None:
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)
