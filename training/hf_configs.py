"""Our configs of the parts, read off the config.json of local Hugging Face folders.

Each function writes what the folder says in our words and then compares it, number for number, with
what transformers would compute: what our config cannot say is refused by name.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from transformers import Gemma3TextConfig, LlamaConfig, VJEPA2Config

from vljepa_ros.config import PredictorConfig, XEncoderConfig, YEncoderConfig
from vljepa_ros.model.backbones import (
    GEMMA_FIELDS,
    LLAMA_FIELDS,
    VJEPA2_FIELDS,
    ModelFolder,
    compare_settings,
)
from vljepa_ros.model.predictor import llama_config
from vljepa_ros.model.x_encoder import vjepa2_config
from vljepa_ros.model.y_encoder import gemma_config


def x_encoder_config(folder: str | Path, frames_per_pass: int) -> XEncoderConfig:
    """A V-JEPA 2 folder's encoder, for passes of so many frames.

    Raises:
        CheckpointError: no such folder, or a setting that our config cannot say.
    """
    source = ModelFolder(folder, "vjepa2")
    found = source.config(VJEPA2Config)
    config = XEncoderConfig(
        crop_px=found.crop_size,
        patch_px=found.patch_size,
        tubelet_frames=found.tubelet_size,
        frames_per_pass=frames_per_pass,
        width=found.hidden_size,
        layers=found.num_hidden_layers,
        heads=found.num_attention_heads,
        mlp_ratio=float(found.mlp_ratio),
    )
    compare_settings(source, found, vjepa2_config(config), VJEPA2_FIELDS)
    return config


def predictor_config(folder: str | Path, layers: int, max_query_tokens: int) -> PredictorConfig:
    """The last `layers` of a Llama folder, plain as in the paper: nothing merged, nothing learned.

    Raises:
        CheckpointError: no such folder, or a setting that our config cannot say.
    """
    source = ModelFolder(folder, "llama")
    found = source.config(LlamaConfig)
    rope = found.rope_parameters
    config = PredictorConfig(
        width=found.hidden_size,
        layers=layers,
        heads=found.num_attention_heads,
        kv_heads=found.num_key_value_heads,
        mlp_width=found.intermediate_size,
        vocab_size=found.vocab_size,
        max_query_tokens=max_query_tokens,
        rope_theta=float(rope["rope_theta"]),
        rope_factor=float(rope.get("factor", 1.0)),
        merge_frames=False,
        learned_positions=False,
    )
    compare_settings(source, found, llama_config(config), LLAMA_FIELDS)
    return config


def y_encoder_config(folder: str | Path, max_tokens: int) -> YEncoderConfig:
    """A Gemma 3 text folder, without the dense layers that may lie beside it.

    Raises:
        CheckpointError: no such folder, or a setting that our config cannot say.
    """
    source = ModelFolder(folder, "gemma3_text")
    found = source.config(Gemma3TextConfig)
    config = YEncoderConfig(
        width=found.hidden_size,
        layers=found.num_hidden_layers,
        heads=found.num_attention_heads,
        kv_heads=found.num_key_value_heads,
        head_width=found.head_dim,
        mlp_width=found.intermediate_size,
        vocab_size=found.vocab_size,
        max_tokens=max_tokens,
    )
    if "sliding_attention" in found.layer_types:
        # transformers keeps half of a bidirectional window, and one: this is the folder's number.
        config = replace(config, local_window=2 * (found.sliding_window - 1))
    compare_settings(source, found, gemma_config(config), GEMMA_FIELDS)
    return config
