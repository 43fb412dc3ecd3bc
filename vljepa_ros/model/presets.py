"""The model sizes that have a name."""

from __future__ import annotations

from vljepa_ros.config import (
    ModelConfig,
    PredictorConfig,
    XEncoderConfig,
    YDecoderConfig,
    YEncoderConfig,
)


def tabletop() -> ModelConfig:
    """The small default, trained on the simulated tabletop: the config classes' own defaults, and
    the scene after an action, which not every checkpoint predicts."""
    return ModelConfig(predictor=PredictorConfig(next_tokens=True))


def tiny() -> ModelConfig:
    """As small as every code path allows: for tests with random weights."""
    return ModelConfig(
        name="tiny",
        clip_frames=4,
        embedding_width=16,
        x_encoder=XEncoderConfig(crop_px=32, width=24, layers=2, heads=2),
        predictor=PredictorConfig(
            width=32, layers=2, heads=2, kv_heads=1, mlp_width=48, vocab_size=320
        ),
        y_encoder=YEncoderConfig(
            width=32, layers=2, heads=2, kv_heads=1, head_width=16, mlp_width=48, vocab_size=320
        ),
        y_decoder=YDecoderConfig(
            width=32,
            layers=2,
            heads=2,
            kv_heads=1,
            mlp_width=48,
            vocab_size=320,
            prefix_tokens=2,
            max_new_tokens=12,
        ),
    )


def paper() -> ModelConfig:
    """The paper's scale: V-JEPA 2 ViT-L, half of Llama-3.2-1B, EmbeddingGemma-300M, 1,536-d.

    The Y-decoder's size is ours: the paper only calls it lightweight (docs/decisions/0004).
    """
    return ModelConfig(
        name="paper",
        clip_frames=16,
        clip_rate_hz=4.0,
        embedding_width=1536,
        x_encoder=XEncoderConfig(
            crop_px=256, patch_px=16, frames_per_pass=16, width=1024, layers=24, heads=16
        ),
        predictor=PredictorConfig(
            width=2048,
            layers=8,
            heads=32,
            kv_heads=8,
            mlp_width=8192,
            vocab_size=128_256,
            max_query_tokens=512,
            rope_theta=500_000.0,
            rope_factor=32.0,
            merge_frames=False,
            learned_positions=False,
        ),
        y_encoder=YEncoderConfig(
            width=768,
            layers=24,
            heads=3,
            kv_heads=1,
            head_width=256,
            mlp_width=1152,
            vocab_size=262_144,
            max_tokens=512,
            local_window=512,
            dense_widths=(3072, 768),
        ),
        y_decoder=YDecoderConfig(
            width=512,
            layers=8,
            heads=8,
            kv_heads=8,
            mlp_width=1536,
            vocab_size=128_256,
            prefix_tokens=8,
            max_new_tokens=128,
        ),
    )
