"""Predictor: visual tokens and a query to the embedding of the answer (Llama, not causal)."""

from __future__ import annotations

from typing import Any, NamedTuple

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


class Imagination(NamedTuple):
    """What an action is predicted to lead to."""

    embedding_BE: Tensor
    """What will have happened: float32, unit norm."""
    next_BND: Tensor
    """The last tubelet's tokens after the action."""
    pooled_BD: Tensor
    """What the embedding was projected from: how sure the prediction is can be read from it."""


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
        self.next_projection: nn.Linear | None = None
        if config.next_tokens:
            self.next_projection = nn.Linear(config.width, token_width)
            # From zero: before it has learnt better, nothing changes.
            nn.init.zeros_(self.next_projection.weight)
            nn.init.zeros_(self.next_projection.bias)

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
        padding, which must be at the end. One clip (B = 1) goes with every query.
        """
        visual_BND = self.visual_inputs(tokens_BTND).expand(len(query_ids_BL), -1, -1)
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
        hidden = self.hidden(tokens_BTND, query_ids_BL, query_mask_BL)
        return self._embedding(self._pooled(*hidden, query_mask_BL))

    def imagine(
        self, tokens_BTND: Tensor, action_ids_BL: Tensor, action_mask_BL: Tensor
    ) -> Imagination:
        """What an action, given as the query, leads to: in meaning and in visual tokens.

        The tokens are the last tubelet's plus a change read at the visual positions.

        Raises:
            ValueError: this predictor has no `next_tokens`.
        """
        if self.next_projection is None:
            raise ValueError("this predictor was built without next_tokens")
        visual_BND, query_BLD = self.hidden(tokens_BTND, action_ids_BL, action_mask_BL)
        pooled_BD = self._pooled(visual_BND, query_BLD, action_mask_BL)
        change_BND = self.next_projection(visual_BND[:, -self.places :])
        next_BND = tokens_BTND[:, -1] + change_BND
        return Imagination(self._embedding(pooled_BD), next_BND, pooled_BD)

    def still(self, tokens_BND: Tensor) -> Tensor:
        """One tubelet's tokens as a clip (B, T', N, D) in which nothing moves."""
        return tokens_BND.unsqueeze(1).expand(-1, self.tubelets, -1, -1)

    def join(self, initial_BND: Tensor, final_BND: Tensor) -> Tensor:
        """Two states as one clip (B, T', N, D): still, then still, as in world prediction."""
        first = self.tubelets // 2
        halves = [initial_BND] * first + [final_BND] * (self.tubelets - first)
        return torch.stack(halves, dim=1)

    def _pooled(self, visual_BND: Tensor, query_BLD: Tensor, query_mask_BL: Tensor) -> Tensor:
        """Mean (B, width) over every token that is no padding."""
        visual_mask_BN = query_mask_BL.new_ones(visual_BND.shape[:2])
        return masked_mean(
            torch.cat([visual_BND, query_BLD], dim=1),
            torch.cat([visual_mask_BN, query_mask_BL], dim=1),
        )

    def _embedding(self, pooled_BD: Tensor) -> Tensor:
        return normalize(self.output_projection(pooled_BD).float(), dim=-1)
