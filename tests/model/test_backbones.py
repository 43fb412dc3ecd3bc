"""Folders that transformers itself wrote, tiny, fill the parts; everything else is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Gemma3TextConfig,
    Gemma3TextModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    VJEPA2Config,
    VJEPA2ForVideoClassification,
    VJEPA2Model,
)

from vljepa_ros.config import PredictorConfig, XEncoderConfig, YEncoderConfig
from vljepa_ros.model.backbones import fill_predictor, fill_x_encoder, fill_y_encoder
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.model.y_encoder import YEncoder

X = XEncoderConfig(crop_px=32, frames_per_pass=4, width=24, layers=2, heads=2)
P = PredictorConfig(
    width=32,
    layers=2,
    heads=2,
    kv_heads=1,
    mlp_width=48,
    vocab_size=50,
    merge_frames=False,
    learned_positions=False,
)
Y = YEncoderConfig(
    width=32,
    layers=7,
    heads=2,
    kv_heads=1,
    head_width=16,
    mlp_width=48,
    vocab_size=50,
    local_window=8,
    dense_widths=(40, 32),
)

Fill = Callable[[Path], None]


def predictor(config: PredictorConfig = P) -> Predictor:
    return Predictor(config, token_width=24, tubelets=2, places=4, embedding_width=16).eval()


def y_encoder(config: YEncoderConfig = Y) -> YEncoder:
    return YEncoder(config, embedding_width=16).eval()


def vjepa2(**changes: Any) -> VJEPA2Config:
    return VJEPA2Config(
        **{
            "crop_size": 32,
            "frames_per_clip": 64,
            "hidden_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "pred_hidden_size": 24,
            "pred_num_attention_heads": 2,
            "pred_num_hidden_layers": 1,
            "num_pooler_layers": 1,
            **changes,
        }
    )


def llama(**changes: Any) -> LlamaConfig:
    return LlamaConfig(
        **{
            "vocab_size": 50,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
            **changes,
        }
    )


def gemma(**changes: Any) -> Gemma3TextConfig:
    return Gemma3TextConfig(
        **{
            "vocab_size": 50,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 7,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 8,
            "use_bidirectional_attention": True,
            **changes,
        }
    )


def write_gemma(folder: Path, widths: tuple[int, ...] = (40, 32), **changes: Any) -> Path:
    """EmbeddingGemma's folder: the text model, and sentence-transformers modules beside it."""
    Gemma3TextModel(gemma(**changes)).save_pretrained(folder)
    modules = [("", "models.Transformer"), ("1_Pooling", "models.Pooling")]
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    size = 32
    for i, width in enumerate(widths, start=2):
        path = folder / f"{i}_Dense"
        modules.append((path.name, "models.Dense"))
        identity = "torch.nn.modules.linear.Identity"
        write_json(
            path / "config.json",
            {
                "in_features": size,
                "out_features": width,
                "bias": False,
                "activation_function": identity,
            },
        )
        save_file({"linear.weight": torch.randn(width, size)}, path / "model.safetensors")
        size = width
    modules.append((f"{len(modules)}_Normalize", "models.Normalize"))
    listing = [{"path": p, "type": f"sentence_transformers.{t}"} for p, t in modules]
    write_json(folder / "modules.json", listing)
    return folder


def write_json(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize("cls", [VJEPA2Model, VJEPA2ForVideoClassification])
@torch.no_grad()
def test_x_encoder_computes_what_the_folders_model_computes(tmp_path: Path, cls: Any) -> None:
    source = cls(vjepa2()).eval()
    source.save_pretrained(tmp_path)
    x_encoder = XEncoder(X).eval()
    fill_x_encoder(x_encoder, tmp_path)
    pixels = torch.randn(2, 4, 3, 32, 32)
    wanted = getattr(source, "vjepa2", source)(pixels, skip_predictor=True).last_hidden_state
    torch.testing.assert_close(x_encoder(pixels).flatten(1, 2), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cls", [LlamaForCausalLM, LlamaModel])
@torch.no_grad()
def test_predictor_takes_the_last_layers_and_the_token_table(tmp_path: Path, cls: Any) -> None:
    source = cls(llama()).eval()
    source.save_pretrained(tmp_path)
    part = predictor()
    projection = part.input_projection.weight.clone()
    fill_predictor(part, tmp_path)
    wanted = getattr(source, "model", source)
    assert torch.equal(part.backbone.embed_tokens.weight, wanted.embed_tokens.weight)
    assert torch.equal(part.backbone.norm.weight, wanted.norm.weight)
    for mine, theirs in zip(part.backbone.layers, wanted.layers[2:], strict=True):
        for name, parameter in theirs.named_parameters():
            assert torch.equal(mine.get_parameter(name), parameter), name
    assert torch.equal(part.input_projection.weight, projection)


@torch.no_grad()
def test_predictors_layers_compute_what_llamas_do_without_the_mask(tmp_path: Path) -> None:
    source = LlamaModel(llama(num_hidden_layers=2, is_causal=False)).eval()
    source.save_pretrained(tmp_path)
    part = predictor()
    fill_predictor(part, tmp_path)
    tokens = torch.randn(1, 2, 4, 24)
    ids = torch.tensor([[5, 6, 7]])
    inputs = torch.cat([part.visual_inputs(tokens), source.embed_tokens(ids)], dim=1)
    wanted = source(inputs_embeds=inputs).last_hidden_state
    found = torch.cat(part.hidden(tokens, ids, torch.ones_like(ids)), dim=1)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_sharded_folders_are_read_whole(tmp_path: Path) -> None:
    source = LlamaForCausalLM(llama())
    source.save_pretrained(tmp_path, max_shard_size="20KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    part = predictor()
    fill_predictor(part, tmp_path)
    assert torch.equal(
        part.backbone.layers[1].mlp.up_proj.weight, source.model.layers[3].mlp.up_proj.weight
    )
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=f"{shards[1].name} is missing"):
        fill_predictor(part, tmp_path)


@torch.no_grad()
def test_y_encoder_takes_the_text_model_and_the_dense_layers(tmp_path: Path) -> None:
    write_gemma(tmp_path)
    source = Gemma3TextModel.from_pretrained(tmp_path).eval()
    part = y_encoder()
    fill_y_encoder(part, tmp_path)
    ids = torch.randint(3, 50, (2, 12))
    mask = torch.ones_like(ids)
    wanted = source(input_ids=ids, attention_mask=mask).last_hidden_state.mean(dim=1)
    for name in ("2_Dense", "3_Dense"):
        wanted = wanted @ load_file(tmp_path / name / "model.safetensors")["linear.weight"].T
    torch.testing.assert_close(part.pooled(ids, mask), wanted, atol=1e-5, rtol=1e-4)


def test_y_encoder_of_a_bare_text_model(tmp_path: Path) -> None:
    Gemma3TextModel(gemma()).save_pretrained(tmp_path)
    fill_y_encoder(y_encoder(dataclasses.replace(Y, dense_widths=())), tmp_path)
    with pytest.raises(CheckpointError, match=r"modules\.json is missing"):
        fill_y_encoder(y_encoder(), tmp_path)


def fill_x(folder: Path) -> None:
    fill_x_encoder(XEncoder(X), folder)


def fill_p(folder: Path) -> None:
    fill_predictor(predictor(), folder)


def fill_y(folder: Path) -> None:
    fill_y_encoder(y_encoder(), folder)


@pytest.mark.parametrize(
    ("write", "fill", "name"),
    [
        (lambda f: VJEPA2Model(vjepa2()).save_pretrained(f), fill_x, "encoder.layernorm.bias"),
        (lambda f: LlamaModel(llama()).save_pretrained(f), fill_p, "layers.3.mlp.up_proj.weight"),
        (lambda f: LlamaModel(llama()).save_pretrained(f), fill_p, "embed_tokens.weight"),
        (lambda f: LlamaModel(llama()).save_pretrained(f), fill_p, "layers.0.mlp.up_proj.weight"),
        (write_gemma, fill_y, "layers.6.self_attn.q_norm.weight"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, write: Callable[[Path], Any], fill: Fill, name: str
) -> None:
    write(tmp_path)
    fill(tmp_path)
    short = name.removeprefix("encoder.")
    edit_tensors(tmp_path, lambda tensors: tensors.update(surprise=torch.zeros(1)))
    with pytest.raises(CheckpointError, match="surprise is not part of the model"):
        fill(tmp_path)
    edit_tensors(tmp_path, lambda tensors: tensors.pop("surprise"))
    edit_tensors(tmp_path, lambda tensors: tensors.update({name: torch.zeros(3, 5)}))
    with pytest.raises(CheckpointError, match=rf"{short} is \(3, 5\), expected"):
        fill(tmp_path)
    edit_tensors(tmp_path, lambda tensors: tensors.pop(name))
    with pytest.raises(CheckpointError, match=f"{short} is missing"):
        fill(tmp_path)


@pytest.mark.parametrize(
    ("config", "fill", "setting"),
    [
        (vjepa2(crop_size=64), fill_x, "crop_size"),
        (vjepa2(num_hidden_layers=3), fill_x, "num_hidden_layers"),
        (vjepa2(num_attention_heads=4), fill_x, "num_attention_heads"),
        (llama(rope_parameters={"rope_type": "default", "rope_theta": 5e5}), fill_p, "rope"),
        (llama(num_key_value_heads=2), fill_p, "num_key_value_heads"),
        (llama(rms_norm_eps=1e-6), fill_p, "rms_norm_eps"),
        (gemma(use_bidirectional_attention=False), fill_y, "sliding_window|bidirectional"),
        (gemma(sliding_window=16), fill_y, "sliding_window"),
        (gemma(query_pre_attn_scalar=256), fill_y, "query_pre_attn_scalar"),
    ],
)
def test_a_setting_that_changes_the_computation_is_named(
    tmp_path: Path, config: Any, fill: Fill, setting: str
) -> None:
    config.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=rf"config\.json: ({setting})"):
        fill(tmp_path)


def test_too_few_layers(tmp_path: Path) -> None:
    LlamaModel(llama(num_hidden_layers=1)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="has 1 layers, the predictor needs 2"):
        fill_p(tmp_path)


@pytest.mark.parametrize("fill", [fill_x, fill_p, fill_y])
def test_another_architecture_is_refused(tmp_path: Path, fill: Fill) -> None:
    write_json(tmp_path / "config.json", {"model_type": "bert"})
    with pytest.raises(CheckpointError, match="type 'bert'"):
        fill(tmp_path)


def test_incomplete_and_damaged_folders(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no folder"):
        fill_p(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        fill_p(tmp_path)
    llama().save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing.*pickle"):
        fill_p(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x80 no header")
    with pytest.raises(CheckpointError, match="damaged"):
        fill_p(tmp_path)
    write_json(tmp_path / "config.json", {"model_type": "llama", "hidden_size": "wide"})
    with pytest.raises(CheckpointError, match="no valid LlamaConfig"):
        fill_p(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        fill_p(tmp_path)


@pytest.mark.parametrize(
    ("path", "changes", "words"),
    [
        ("1_Pooling", {"pooling_mode_cls_token": True}, "pools by"),
        ("1_Pooling", {"pooling_mode": "cls", "pooling_mode_mean_tokens": False}, "pools by"),
        ("2_Dense", {"bias": True}, "bias=True"),
        ("3_Dense", {"activation_function": "torch.nn.Tanh"}, "activation 'Tanh'"),
    ],
)
def test_modules_that_would_compute_something_else(
    tmp_path: Path, path: str, changes: dict[str, Any], words: str
) -> None:
    write_gemma(tmp_path)
    edit_json(tmp_path / path / "config.json", **changes)
    part = y_encoder()
    before = part.backbone.norm.weight.clone()
    with pytest.raises(CheckpointError, match=words):
        fill_y_encoder(part, tmp_path)
    assert torch.equal(part.backbone.norm.weight, before)


def test_the_dense_layers_must_be_as_many_and_as_wide(tmp_path: Path) -> None:
    write_gemma(tmp_path / "one", widths=(40,))
    with pytest.raises(CheckpointError, match="names 1 dense layers"):
        fill_y(tmp_path / "one")
    write_gemma(tmp_path / "wide", widths=(48, 32))
    with pytest.raises(CheckpointError, match=r"2_Dense.*weight is \(48, 32\)"):
        fill_y(tmp_path / "wide")
    modules = json.loads((tmp_path / "one" / "modules.json").read_text())
    modules.append({"path": "5", "type": "sentence_transformers.models.LSTM"})
    write_json(tmp_path / "one" / "modules.json", modules)
    with pytest.raises(CheckpointError, match="'LSTM'"):
        fill_y(tmp_path / "one")
