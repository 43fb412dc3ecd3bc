"""The parts together, and the sizes of the presets."""

from __future__ import annotations

import pytest
import torch

from vljepa_ros.config import ModelConfig, from_dict, to_dict
from vljepa_ros.model import presets
from vljepa_ros.model.vljepa import VLJepa, parameter_counts


def on_meta(config: ModelConfig) -> VLJepa:
    with torch.device("meta"):
        return VLJepa(config)


def test_paper_preset_has_the_papers_sizes() -> None:
    model = on_meta(presets.paper())
    counts = parameter_counts(model)
    # V-JEPA 2 ViT-L is published with 304 M; 24 layers of 12.6 M and the patch embedding.
    assert counts["x_encoder"] == pytest.approx(304e6, rel=0.005)
    # "490 M trainable": eight layers of Llama-3.2-1B and the projections, without the token table.
    assert counts["predictor"] == pytest.approx(490e6, rel=0.005)
    assert counts["predictor_token_table"] == 128_256 * 2048
    # EmbeddingGemma has 308 M with its two dense layers; the head adds 768 x 1,536.
    head = 768 * 1536 + 1536
    assert counts["y_encoder"] - head == pytest.approx(308e6, rel=0.005)
    assert counts["y_decoder"] < 0.25 * counts["predictor"], "the paper calls it lightweight"
    config = model.config
    assert config.embedding_width == 1536
    assert config.x_encoder.crop_px == 256
    assert not config.predictor.merge_frames
    assert not config.predictor.learned_positions
    assert config.x_encoder.frames_per_pass == config.clip_frames == 16
    tubelets, places = model.predictor.tubelets, model.predictor.places
    assert tubelets * places == 2048  # the paper's tokens of a 16-frame clip


def test_one_layer_of_the_paper_preset_is_a_layer_of_llama_3_2_1b() -> None:
    layer = on_meta(presets.paper()).predictor.backbone.layers[0]
    shapes = {name: tuple(p.shape) for name, p in layer.named_parameters()}
    assert shapes == {
        "self_attn.q_proj.weight": (2048, 2048),
        "self_attn.k_proj.weight": (512, 2048),
        "self_attn.v_proj.weight": (512, 2048),
        "self_attn.o_proj.weight": (2048, 2048),
        "mlp.gate_proj.weight": (8192, 2048),
        "mlp.up_proj.weight": (8192, 2048),
        "mlp.down_proj.weight": (2048, 8192),
        "input_layernorm.weight": (2048,),
        "post_attention_layernorm.weight": (2048,),
    }


def test_tabletop_preset_fits_its_file() -> None:
    total = sum(parameter_counts(on_meta(presets.tabletop())).values())
    assert 2 * total <= 24_800_000  # float16; 25 MB with tokenizer and reliability


@pytest.mark.parametrize("name", ["paper", "tabletop", "tiny"])
def test_presets_survive_json(name: str) -> None:
    config = getattr(presets, name)()
    assert config.name == name
    assert from_dict(ModelConfig, to_dict(config)) == config


def test_both_sides_are_unit_vectors_and_learn(model: VLJepa) -> None:
    pixels = torch.randn(3, 4, 3, 32, 32)
    ids = torch.randint(3, 300, (3, 5))
    predicted, target = model(pixels, ids, torch.ones_like(ids), ids, torch.ones_like(ids))
    for side in (predicted, target):
        assert side.shape == (3, 16)
        assert side.dtype is torch.float32
        torch.testing.assert_close(side.norm(dim=-1), torch.ones(3))
    (predicted * target).sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None]
    assert {n.split(".")[0] for n in silent} == {"y_decoder"}


@torch.no_grad()
def test_autocast_stays_near_float32(model: VLJepa) -> None:
    pixels = torch.randn(2, 4, 3, 32, 32)
    ids = torch.randint(3, 300, (2, 5))
    args = (pixels, ids, torch.ones_like(ids), ids, torch.ones_like(ids))
    exact = model(*args)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(*args)
    for one, other in zip(exact, rough, strict=True):
        assert other.dtype is torch.float32
        assert float((one * other).sum(dim=-1).min()) > 0.99


def test_a_clip_that_passes_do_not_divide_is_refused() -> None:
    values = to_dict(presets.tiny()) | {"clip_frames": 5}
    with pytest.raises(ValueError, match="clip_frames"):
        VLJepa(from_dict(ModelConfig, values))


def test_a_model_without_decoder() -> None:
    values = to_dict(presets.tiny()) | {"y_decoder": None}
    model = on_meta(from_dict(ModelConfig, values))
    assert model.y_decoder is None
    assert "y_decoder" not in parameter_counts(model)
