"""The checkpoint layout of open-vljepa, the one public re-implementation of VL-JEPA with weights.

Its training script writes one torch pickle: the tensors of predictor and Y-encoder under
`model_state_dict`, and the settings of the run under `config`. The frozen X-encoder is left out.
Read off github.com/dion-jy/open-vljepa at commit f92107f; see docs/decisions/0060.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from vljepa_ros.config import ConfigError, from_dict
from vljepa_ros.model.checkpoint import CheckpointError, fill_
from vljepa_ros.model.vljepa import VLJepa

MAPPED = (
    # theirs, ours
    ("predictor.embed_tokens.", "predictor.backbone.embed_tokens."),
    ("predictor.layers.", "predictor.backbone.layers."),
    ("predictor.norm.", "predictor.backbone.norm."),
    ("predictor.vis_proj.", "predictor.input_projection."),
    ("predictor.out_proj.", "predictor.output_projection."),
    ("y_encoder.model.", "y_encoder.backbone."),
    ("y_encoder.projector.", "y_encoder.head."),
)
"""Beginnings of tensor names; what follows them is the same in both."""

REFUSED = (
    ("x_encoder.model.", "its training never saves the X-encoder; this file is of another program"),
    ("x_encoder.projector.", "our model has no projection between X-encoder and predictor"),
)
"""Beginnings of names that the layout knows and this model has no place for, each with its why."""

KEYS = {"model_state_dict", "config", "epoch", "step", "loss", "optimizer_state_dict"}
DEFAULT_QUERY = "Describe the video."
"""What its evaluation asks of every video, whatever the training asked."""

S = TypeVar("S")


@dataclass(frozen=True)
class EncoderSettings:
    """`config.encoder`."""

    model_name: str
    frozen: bool
    output_dim: int | None
    type: str = ""


@dataclass(frozen=True)
class TextSettings:
    """`config.y_encoder`. Its code never reads `max_target_len`: see `DataSettings`."""

    model_name: str
    proj_dim: int
    type: str = ""
    max_target_len: int = 0
    lr_multiplier: float = 1.0


@dataclass(frozen=True)
class PredictorSettings:
    """`config.predictor`. Its code never reads `max_query_len`: see `DataSettings`."""

    llama_name: str
    n_keep_layers: int
    proj_dim: int
    disable_causal_mask: bool
    type: str = ""
    max_query_len: int = 0


@dataclass(frozen=True)
class DataSettings:
    """What of `config.data` the model depends on."""

    num_frames: int
    image_size: int
    max_query_len: int
    max_caption_len: int
    query_text: str = DEFAULT_QUERY


@dataclass(frozen=True)
class TrainingSettings:
    """What of `config.training` the model depends on."""

    temperature: float


@dataclass(frozen=True)
class Settings:
    """What the file says about itself."""

    encoder: EncoderSettings
    y_encoder: TextSettings
    predictor: PredictorSettings
    data: DataSettings
    training: TrainingSettings


@dataclass(frozen=True)
class OpenVLJepa:
    """One checkpoint file, read and not yet compared with a model."""

    path: Path
    settings: Settings
    tensors: Mapping[str, Tensor]


def read(checkpoint: str | Path) -> OpenVLJepa:
    """Read a checkpoint file, or the one `.pt` file of a folder. Nothing in it is ever run.

    Raises:
        CheckpointError: no such file, a pickle of more than tensors and plain values, another
            program's file, or settings that our model cannot express.
    """
    path = _file(Path(checkpoint))
    values = _load(path)
    if not isinstance(values, dict) or not {"model_state_dict", "config"} <= set(values):
        raise CheckpointError(
            f"{path} holds no `model_state_dict` and `config`, so it is no checkpoint of "
            "open-vljepa; give the file that its training wrote (best.pt)"
        )
    unknown = sorted(map(str, set(values) - KEYS))
    if unknown:
        raise CheckpointError(f"{path}: {unknown[0]!r} is not part of open-vljepa's layout")
    settings = _settings(values["config"], path)
    _check_settings(settings, path)
    return OpenVLJepa(path, settings, _tensors(values["model_state_dict"], path))


def fill_from(model: VLJepa, source: OpenVLJepa) -> None:
    """Fill predictor and Y-encoder: every tensor of the file, and every one that they need.

    Raises:
        CheckpointError: names the tensors that are missing, extra or of another shape.
    """
    for name in source.tensors:
        for beginning, why in REFUSED:
            if name.startswith(beginning):
                raise CheckpointError(f"{source.path}: {name} cannot be converted: {why}")
    fill_(layout(model), source.tensors, str(source.path))


def layout(model: VLJepa) -> dict[str, Tensor]:
    """The model's own tensors under the names that the layout has for them."""
    own = model.state_dict()
    return {
        theirs + name.removeprefix(ours): tensor
        for name, tensor in own.items()
        for theirs, ours in MAPPED
        if name.startswith(ours)
    }


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path} is neither file nor folder; give open-vljepa's best.pt")
    found = sorted(path.glob("*.pt"))
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise CheckpointError(f"{path} must hold one .pt file (found: {names}); give the file")
    return found[0]


def _load(path: Path) -> Any:
    """The file's values: tensors mapped from disk, and plain values; whatever else is refused."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        # torch's own advice here is to switch the check off; ours is not.
        found = re.search(r"GLOBAL (\w[\w.]*\w)", str(error))
        what = f" ({found[1]})" if found else ""
        raise CheckpointError(
            f"{path} holds more than tensors and plain values{what}, which could run code; it is "
            "refused and was not run"
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no torch checkpoint, of a torch before 1.6, or damaged; download it again"
        ) from error


def _tensors(values: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: model_state_dict is no mapping of names to tensors")
    for name, tensor in values.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise CheckpointError(f"{path}: {name} is {kind}, not a tensor of floating point")
    return {str(name): tensor for name, tensor in values.items()}


def _settings(values: Any, path: Path) -> Settings:
    """The file's `config`: model sections whole, of the others what the model depends on."""
    where = f"{path}: config"
    if not isinstance(values, dict):
        raise CheckpointError(f"{where} is no mapping")
    try:
        return Settings(
            _section(EncoderSettings, values, "encoder"),
            _section(TextSettings, values, "y_encoder"),
            _section(PredictorSettings, values, "predictor"),
            _section(DataSettings, values, "data", whole=False),
            _section(TrainingSettings, values, "training", whole=False),
        )
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}; this layout is not known") from error


def _section(cls: type[S], values: Mapping[str, Any], name: str, *, whole: bool = True) -> S:
    section = values.get(name)
    if not isinstance(section, dict):
        raise ConfigError(f"{name} is missing or no mapping")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    if not whole:
        section = {k: v for k, v in section.items() if k in known}
    try:
        return from_dict(cls, section, f"{name}.")
    except TypeError as error:
        raise ConfigError(f"{name}: {str(error).partition('__init__() ')[2]}") from error


def _check_settings(settings: Settings, path: Path) -> None:
    """What would compute something that our model does not."""
    encoder, predictor, data = settings.encoder, settings.predictor, settings.data
    widths = (predictor.proj_dim, settings.y_encoder.proj_dim)
    temperature = settings.training.temperature
    faults = (
        (not encoder.frozen, "encoder.frozen is false, but a trained X-encoder is never saved"),
        (encoder.output_dim is not None, f"encoder.output_dim is {encoder.output_dim}, not null"),
        (not predictor.disable_causal_mask, "predictor.disable_causal_mask is false"),
        (widths[0] != widths[1], f"proj_dim is {widths[0]} and {widths[1]}, must be one width"),
        (predictor.n_keep_layers < 1, f"predictor.n_keep_layers is {predictor.n_keep_layers}"),
        (data.num_frames < 1, f"data.num_frames is {data.num_frames}"),
        (temperature <= 0.0, f"training.temperature is {temperature}"),
    )
    for present, fault in faults:
        if present:
            raise CheckpointError(
                f"{path}: config: {fault}; our model cannot express it (docs/decisions/0060)"
            )
