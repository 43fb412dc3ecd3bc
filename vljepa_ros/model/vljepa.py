"""VL-JEPA: the four parts as one module."""

from __future__ import annotations

from torch import Tensor, nn

from vljepa_ros.config import ModelConfig
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.model.y_decoder import YDecoder
from vljepa_ros.model.y_encoder import YEncoder


class VLJepa(nn.Module):
    """X-encoder, predictor, Y-encoder and, where the config has one, Y-decoder.

    `attention` ("eager" or "sdpa") is how the same numbers are computed, no part of the weights:
    sdpa on a GPU and wherever measured faster (docs/decisions/0006).
    """

    def __init__(self, config: ModelConfig, attention: str = "sdpa") -> None:
        super().__init__()
        if config.clip_frames % config.x_encoder.frames_per_pass:
            raise ValueError(
                f"clip_frames ({config.clip_frames}) must be a multiple of "
                f"x_encoder.frames_per_pass ({config.x_encoder.frames_per_pass})"
            )
        self.config = config
        width = config.embedding_width
        self.x_encoder = XEncoder(config.x_encoder, attention)
        self.predictor = Predictor(
            config.predictor,
            token_width=config.x_encoder.width,
            tubelets=config.clip_frames // config.x_encoder.tubelet_frames,
            places=self.x_encoder.tokens_per_tubelet,
            embedding_width=width,
            attention=attention,
        )
        self.y_encoder = YEncoder(config.y_encoder, embedding_width=width, attention=attention)
        self.y_decoder: YDecoder | None = None
        if config.y_decoder is not None:
            self.y_decoder = YDecoder(config.y_decoder, embedding_width=width, attention=attention)

    def forward(
        self,
        pixels_BTCHW: Tensor,
        query_ids_BL: Tensor,
        query_mask_BL: Tensor,
        target_ids_BL: Tensor,
        target_mask_BL: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """A training step's two sides: predicted and target embeddings, both (B, E), unit norm."""
        tokens_BTND = self.x_encoder(pixels_BTCHW)
        predicted_BE: Tensor = self.predictor(tokens_BTND, query_ids_BL, query_mask_BL)
        target_BE: Tensor = self.y_encoder(target_ids_BL, target_mask_BL)
        return predicted_BE, target_BE


def parameter_counts(model: VLJepa) -> dict[str, int]:
    """Parameters of each part, the predictor's token table apart (as the paper counts)."""
    table = model.predictor.backbone.embed_tokens.weight.numel()
    counts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    }
    counts["predictor"] -= table
    counts["predictor_token_table"] = table
    return counts
