"""Predictor: visual tokens and a query to the embedding of the answer (Llama, not causal)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import LlamaConfig, LlamaModel

from vljepa_ros.config import PredictorConfig
from vljepa_ros.model.initialise import small_init_std
from vljepa_ros.model.pooling import masked_mean

POSITION_STD = 0.1
"""Start of the learned positions: visible beside projected tokens of about unit size."""


def llama_config(config: PredictorConfig, attention: str = "sdpa") -> LlamaConfig:
    """transformers' description: `is_causal=False` is what lifts the mask in every attention."""
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_factor != 1.0:
        rope |= {
            "rope_type": "llama3",
            "factor": config.rope_factor,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    return LlamaConfig(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        intermediate_size=config.mlp_width,
        vocab_size=config.vocab_size,
        max_position_embeddings=131_072,
        rms_norm_eps=1e-5,
        rope_parameters=rope,
        initializer_range=small_init_std(config.width),
        bos_token_id=None,
        eos_token_id=None,
        is_causal=False,
        use_cache=False,
        attn_implementation=attention,
    )


class Predictor(nn.Module):
    """Llama layers over [visual tokens, query tokens], every token seeing every other."""

    def __init__(
        self,
        config: PredictorConfig,
        *,
        token_width: int,
        tubelets: int,
        places: int,
        embedding_width: int,
        attention: str = "sdpa",
    ) -> None:
        """Build for `tubelets` x `places` visual tokens of `token_width`."""
        super().__init__()
        self.config = config
        self.tubelets, self.places = tubelets, places
        joined = tubelets if config.merge_frames else 1
        self.backbone = LlamaModel(llama_config(config, attention))
        self.input_projection = nn.Linear(token_width * joined, config.width)
        self.output_projection = nn.Linear(config.width, embedding_width)
        self.positions_ND: nn.Parameter | None = None
        if config.learned_positions:
            tokens = places if config.merge_frames else tubelets * places
            self.positions_ND = nn.Parameter(torch.empty(tokens, config.width))
            nn.init.normal_(self.positions_ND, std=POSITION_STD)

    def visual_inputs(self, tokens_BTND: Tensor) -> Tensor:
        """X-encoder tokens (B, T', N, D) as the layers' input (B, N', width).

        N' is N when frames are merged, else T' x N, time first.
        """
        if tokens_BTND.shape[1:3] != (self.tubelets, self.places):
            raise ValueError(
                f"this predictor reads {self.tubelets} tubelets of {self.places} tokens, "
                f"not {tuple(tokens_BTND.shape[1:3])}"
            )
        if self.config.merge_frames:
            tokens_BND = tokens_BTND.transpose(1, 2).flatten(2)
        else:
            tokens_BND = tokens_BTND.flatten(1, 2)
        visual_BND: Tensor = self.input_projection(tokens_BND)
        return visual_BND if self.positions_ND is None else visual_BND + self.positions_ND

    def hidden(
        self, tokens_BTND: Tensor, query_ids_BL: Tensor, query_mask_BL: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Outputs after the final norm, at the visual and at the query tokens.

        Their shapes are (B, N', width) and (B, L, width). `query_mask_BL` is 1 at tokens and 0 at
        padding, which must be at the end.
        """
        visual_BND = self.visual_inputs(tokens_BTND)
        query_BLD = self.backbone.embed_tokens(query_ids_BL).to(visual_BND.dtype)
        visual_mask_BN = query_mask_BL.new_ones(visual_BND.shape[:2])
        outputs: Tensor = self.backbone(
            inputs_embeds=torch.cat([visual_BND, query_BLD], dim=1),
            attention_mask=torch.cat([visual_mask_BN, query_mask_BL], dim=1),
            use_cache=False,
        ).last_hidden_state
        return outputs[:, : visual_BND.shape[1]], outputs[:, visual_BND.shape[1] :]

    def forward(self, tokens_BTND: Tensor, query_ids_BL: Tensor, query_mask_BL: Tensor) -> Tensor:
        """Predicted embedding (B, E), float32, unit norm."""
        visual_BND, query_BLD = self.hidden(tokens_BTND, query_ids_BL, query_mask_BL)
        visual_mask_BN = query_mask_BL.new_ones(visual_BND.shape[:2])
        pooled_BD = masked_mean(
            torch.cat([visual_BND, query_BLD], dim=1),
            torch.cat([visual_mask_BN, query_mask_BL], dim=1),
        )
        return normalize(self.output_projection(pooled_BD).float(), dim=-1)
