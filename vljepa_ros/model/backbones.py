"""Fill the parts from local Hugging Face folders of the same architecture.

A folder must agree with the config in every number that changes the computation, and hold exactly
the tensors of its architecture. What VL-JEPA leaves out (V-JEPA 2's own predictor, the first
layers of a Llama, output heads) is skipped by name; the projections and heads stay as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import Gemma3TextConfig, LlamaConfig, PreTrainedConfig, VJEPA2Config

from vljepa_ros.model.checkpoint import CheckpointError, fill_
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.model.y_encoder import YEncoder

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"

VJEPA2_FIELDS = (
    "crop_size",
    "patch_size",
    "tubelet_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "mlp_ratio",
    "qkv_bias",
    "hidden_act",
    "layer_norm_eps",
)
LLAMA_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "rope_parameters",
    "attention_bias",
    "mlp_bias",
    "hidden_act",
    "rms_norm_eps",
)
GEMMA_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "query_pre_attn_scalar",
    "layer_types",
    "sliding_window",
    "rope_parameters",
    "use_bidirectional_attention",
    "attention_bias",
    "attn_logit_softcapping",
    "hidden_activation",
    "rms_norm_eps",
)


def fill_x_encoder(x_encoder: XEncoder, folder: str | Path) -> None:
    """Fill from a V-JEPA 2 folder (the bare model or a video classifier).

    Raises:
        CheckpointError: names the setting or the tensors that do not fit.
    """
    source = ModelFolder(folder, "vjepa2")
    found = source.config(VJEPA2Config)
    compare_settings(source, found, x_encoder.backbone.config, VJEPA2_FIELDS)
    tensors = source.tensors(
        strip=r"(vjepa2\.)?encoder\.", skip=r"(vjepa2\.)?predictor\.|pooler\.|classifier\."
    )
    fill_(x_encoder.backbone.state_dict(), tensors, str(source.path))


def fill_predictor(predictor: Predictor, folder: str | Path) -> None:
    """Fill the layers from the *last* ones of a Llama folder, with its token table and norm.

    Raises:
        CheckpointError: names the setting or the tensors that do not fit.
    """
    source = ModelFolder(folder, "llama")
    found = source.config(LlamaConfig)
    compare_settings(source, found, predictor.backbone.config, LLAMA_FIELDS)
    first = found.num_hidden_layers - predictor.config.layers
    if first < 0:
        raise CheckpointError(
            f"{source.path} has {found.num_hidden_layers} layers, the predictor needs "
            f"{predictor.config.layers}; set predictor.layers or use a deeper folder"
        )
    tensors = source.tensors(strip=r"(model\.)?", skip=r"lm_head\.|.*rotary_emb\.inv_freq$")
    own = _named_from(predictor.backbone.state_dict(), first)
    # The layers left out must be whole too: a folder that lacks some of them was cut.
    for name in list(own):
        if name.startswith(f"layers.{first}."):
            for layer in range(first):
                own[name.replace(f"layers.{first}.", f"layers.{layer}.", 1)] = torch.empty_like(
                    own[name], device="meta"
                )
    fill_(own, tensors, str(source.path))


def _named_from(own: Mapping[str, Tensor], first: int) -> dict[str, Tensor]:
    """The layers' tensors under their numbers in a folder whose layer `first` is our layer 0."""
    return {
        re.sub(r"^layers\.(\d+)", lambda m: f"layers.{int(m[1]) + first}", name): tensor
        for name, tensor in own.items()
    }


def fill_y_encoder(y_encoder: YEncoder, folder: str | Path) -> None:
    """Fill from an EmbeddingGemma folder: Gemma 3 text model, then the dense layers it lists.

    The dense layers are sentence-transformers subfolders (`2_Dense`, `3_Dense`), found by
    `modules.json`; there must be as many as `dense_widths`.

    Raises:
        CheckpointError: names the setting, module or tensors that do not fit.
    """
    source = ModelFolder(folder, "gemma3_text")
    found = source.config(Gemma3TextConfig)
    compare_settings(source, found, y_encoder.backbone.config, GEMMA_FIELDS)
    dense = _dense_modules(source.path, len(y_encoder.dense))
    tensors = source.tensors(strip=r"(model\.)?", skip=r"lm_head\.|.*rotary_emb\.inv_freq$")
    dense_tensors = [ModelFolder(path).tensors(strip=r"linear\.", skip=r"$^") for path in dense]
    for layer, weights, path in zip(y_encoder.dense, dense_tensors, dense, strict=True):
        fill_(layer.state_dict(), weights, str(path))
    fill_(y_encoder.backbone.state_dict(), tensors, str(source.path))


def _dense_modules(folder: Path, wanted: int) -> list[Path]:
    """Dense subfolders in the order they run, each without bias and activation."""
    listing = folder / "modules.json"
    if not listing.is_file():
        if wanted:
            raise CheckpointError(
                f"{listing} is missing, but y_encoder.dense_widths names {wanted} dense layers"
            )
        return []
    dense = []
    for module in _read_json(listing):
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        path = folder / str(module.get("path", ""))
        if kind == "Pooling":
            _check_pooling(path / "config.json")
        elif kind == "Dense":
            _check_dense(path / "config.json")
            dense.append(path)
        elif kind not in ("Transformer", "Normalize"):
            raise CheckpointError(f"{listing} names a module {kind!r} that VL-JEPA does not know")
    if len(dense) != wanted:
        raise CheckpointError(
            f"{listing} names {len(dense)} dense layers, y_encoder.dense_widths {wanted}"
        )
    return dense


def _check_pooling(path: Path) -> None:
    values = _read_json(path)
    modes = {str(values.get("pooling_mode", ""))} - {""}  # sentence-transformers 5.3 and newer
    modes |= {k for k, v in values.items() if k.startswith("pooling_mode_") and v}
    if modes not in ({"mean"}, {"pooling_mode_mean_tokens"}):
        raise CheckpointError(f"{path} pools by {sorted(modes)}; the Y-encoder takes the mean")


def _check_dense(path: Path) -> None:
    values = _read_json(path)
    activation = str(values.get("activation_function", "")).rsplit(".", 1)[-1]
    if values.get("bias", True) or activation != "Identity":
        raise CheckpointError(
            f"{path} has bias={values.get('bias', True)} and activation {activation!r}; the "
            "Y-encoder's dense layers have neither bias nor activation"
        )


class ModelFolder:
    """One local model folder: its config.json and its safetensors files."""

    def __init__(self, folder: str | Path, model_type: str | None = None) -> None:
        self.path = Path(folder)
        if not self.path.is_dir():
            raise CheckpointError(f"{folder} is no folder; give a local Hugging Face model folder")
        if model_type is not None:
            self.values = _read_json(self.path / "config.json")
            found = self.values.get("model_type")
            if found != model_type:
                raise CheckpointError(
                    f"{self.path} holds a model of type {found!r}; this part needs {model_type!r}"
                )

    def config(self, cls: type[PreTrainedConfig]) -> Any:
        """config.json as transformers reads it (old spellings converted)."""
        try:
            return cls.from_dict(self.values)
        except (StrictDataclassError, ValueError, TypeError, KeyError) as error:
            path = self.path / "config.json"
            raise CheckpointError(f"{path} is no valid {cls.__name__}: {error}") from error

    def json(self, name: str) -> Any:
        """Another JSON file of the folder."""
        return _read_json(self.path / name)

    def tensors(self, *, strip: str, skip: str) -> dict[str, Tensor]:
        """Tensors by name without the prefix `strip`, those that match `skip` left out."""
        tensors = {}
        for path in self._files():
            try:
                with safe_open(path, framework="pt", device="cpu") as file:
                    for name in file.keys():  # noqa: SIM118 - not a mapping
                        if not re.match(skip, name):
                            tensors[re.sub(rf"^{strip}", "", name)] = file.get_tensor(name)
            except SafetensorError as error:
                raise CheckpointError(f"{path} is damaged ({error}); download it again") from error
        return tensors

    def _files(self) -> list[Path]:
        index = self.path / INDEX
        if index.is_file():
            names = sorted(set(_read_json(index).get("weight_map", {}).values()))
        else:
            names = [WEIGHTS]
        files = [self.path / name for name in names]
        for file in files:
            if not file.is_file():
                raise CheckpointError(
                    f"{file} is missing; download the folder again (only safetensors are read: "
                    "pickle files such as pytorch_model.bin can run code)"
                )
        return files


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; download the folder again") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); download it again") from error


def compare_settings(source: ModelFolder, found: Any, wanted: Any, fields: tuple[str, ...]) -> None:
    """Every number that changes what the same weights compute."""
    for name in fields:
        theirs, ours = getattr(found, name, None), getattr(wanted, name, None)
        if name == "sliding_window" and "sliding_attention" not in wanted.layer_types:
            continue
        if theirs != ours:
            raise CheckpointError(
                f"{source.path / 'config.json'}: {name} is {theirs!r}, the model's config needs "
                f"{ours!r}; change the config or use a folder that fits"
            )
