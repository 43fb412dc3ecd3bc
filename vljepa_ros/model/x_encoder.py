"""X-encoder: pixels of a clip to visual tokens (V-JEPA 2's vision transformer)."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import VJEPA2Config, VJEPA2Model

from vljepa_ros.config import XEncoderConfig
from vljepa_ros.model.initialise import small_init_std
from vljepa_ros.model.rotary import use_tables


def vjepa2_config(config: XEncoderConfig, attention: str = "sdpa") -> VJEPA2Config:
    """transformers' description of the same encoder, its own predictor shrunk to nothing."""
    return VJEPA2Config(
        crop_size=config.crop_px,
        patch_size=config.patch_px,
        tubelet_size=config.tubelet_frames,
        frames_per_clip=config.frames_per_pass,
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        initializer_range=small_init_std(config.width),
        pred_num_hidden_layers=0,
        pred_num_mask_tokens=1,
        attn_implementation=attention,
    )


class XEncoder(nn.Module):
    """Clips of any multiple of `frames_per_pass` frames become tokens, pass by pass.

    Frames of different passes do not see each other, so with one tubelet a pass the tokens of a
    tubelet depend on nothing else and may be kept.
    """

    def __init__(self, config: XEncoderConfig, attention: str = "sdpa") -> None:
        super().__init__()
        if config.crop_px % config.patch_px or config.frames_per_pass % config.tubelet_frames:
            raise ValueError(
                "crop_px must be a multiple of patch_px, frames_per_pass of tubelet_frames; got "
                f"{config.crop_px}/{config.patch_px} and "
                f"{config.frames_per_pass}/{config.tubelet_frames}"
            )
        if config.resize_px and config.resize_px < config.crop_px:
            raise ValueError(
                f"resize_px ({config.resize_px}) must be 0 or at least crop_px ({config.crop_px})"
            )
        self.config = config
        # VJEPA2Model also carries V-JEPA 2's own mask predictor, which VL-JEPA never runs.
        self.backbone: nn.Module = VJEPA2Model(vjepa2_config(config, attention)).encoder
        use_tables(self.backbone)

    @property
    def tokens_per_tubelet(self) -> int:
        """N, the places of one tubelet."""
        return (self.config.crop_px // self.config.patch_px) ** 2

    def forward(self, pixels_BTCHW: Tensor) -> Tensor:
        """Normalised pixels (B, T, 3, crop, crop) to tokens (B, T / tubelet_frames, N, width).

        Raises:
            ValueError: a size the position embedding was not made for, or a T that passes do not
                divide (V-JEPA 2 itself would be silently wrong).
        """
        config = self.config
        batch, frames, channels, height, width = pixels_BTCHW.shape
        if (channels, height, width) != (3, config.crop_px, config.crop_px):
            raise ValueError(
                f"pixels must be (B, T, 3, {config.crop_px}, {config.crop_px}), "
                f"not {tuple(pixels_BTCHW.shape)}; use preprocessing.preprocess"
            )
        if frames == 0 or frames % config.frames_per_pass:
            raise ValueError(
                f"a clip of {frames} frames cannot be cut into passes of {config.frames_per_pass}"
            )
        passes = pixels_BTCHW.reshape(-1, config.frames_per_pass, channels, height, width)
        tokens: Tensor = self.backbone(pixel_values_videos=passes).last_hidden_state
        tubelets = frames // config.tubelet_frames
        return tokens.reshape(batch, tubelets, self.tokens_per_tubelet, config.width)
