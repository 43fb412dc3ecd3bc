"""Y-decoder: an embedding back to text (a small causal Llama, read greedily)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import DynamicCache, LlamaConfig, LlamaModel

from vljepa_ros.config import YDecoderConfig
from vljepa_ros.model.initialise import small_init_std


def decoder_config(config: YDecoderConfig, attention: str = "sdpa") -> LlamaConfig:
    """transformers' description of the causal language model."""
    return LlamaConfig(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        intermediate_size=config.mlp_width,
        vocab_size=config.vocab_size,
        max_position_embeddings=config.prefix_tokens + config.max_new_tokens,
        rms_norm_eps=1e-5,
        initializer_range=small_init_std(config.width),
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation=attention,
    )


class YDecoder(nn.Module):
    """The embedding becomes a few prefix tokens; the text follows them, token by token.

    The token embedding is also the output layer (tied), so the part stays small.
    """

    def __init__(
        self, config: YDecoderConfig, *, embedding_width: int, attention: str = "sdpa"
    ) -> None:
        super().__init__()
        self.config = config
        self.prefix_projection = nn.Linear(embedding_width, config.prefix_tokens * config.width)
        self.backbone = LlamaModel(decoder_config(config, attention))

    def prefix(self, embedding_BE: Tensor) -> Tensor:
        """The embedding as (B, prefix_tokens, width)."""
        embedding_BE = embedding_BE.to(self.prefix_projection.weight.dtype)
        prefix_BD: Tensor = self.prefix_projection(embedding_BE)
        return prefix_BD.view(-1, self.config.prefix_tokens, self.config.width)

    def logits(self, hidden_BLD: Tensor) -> Tensor:
        """Scores over the vocabulary (..., V)."""
        return linear(hidden_BLD, self.backbone.embed_tokens.weight)

    def forward(self, embedding_BE: Tensor, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Teacher forcing: logits (B, L, V), those at i predicting ids[i] from all before.

        `ids_BL` ends with EOS, then padding (mask 0); the logits at padding mean nothing.
        """
        prefix_BPD = self.prefix(embedding_BE)
        tokens_BLD = self.backbone.embed_tokens(ids_BL[:, :-1]).to(prefix_BPD.dtype)
        prefix_mask_BP = mask_BL.new_ones(prefix_BPD.shape[:2])
        outputs: Tensor = self.backbone(
            inputs_embeds=torch.cat([prefix_BPD, tokens_BLD], dim=1),
            attention_mask=torch.cat([prefix_mask_BP, mask_BL[:, :-1]], dim=1),
            use_cache=False,
        ).last_hidden_state
        return self.logits(outputs[:, self.config.prefix_tokens - 1 :])

    @torch.no_grad()
    def generate(
        self,
        embedding_BE: Tensor,
        *,
        eos_id: int,
        pad_id: int,
        max_new_tokens: int | None = None,
    ) -> Tensor:
        """Greedy text: ids (B, L), each row up to and with EOS, then padding.

        L is the longest row, at most `max_new_tokens` (default: the config's); a row without EOS
        was cut there.
        """
        limit = self.config.max_new_tokens if max_new_tokens is None else max_new_tokens
        cache = DynamicCache(config=self.backbone.config)
        inputs_BLD = self.prefix(embedding_BE)
        done_B = torch.zeros(len(embedding_BE), dtype=torch.bool, device=embedding_BE.device)
        columns: list[Tensor] = []
        while len(columns) < limit and not bool(done_B.all()):
            hidden_BLD = self.backbone(
                inputs_embeds=inputs_BLD, past_key_values=cache, use_cache=True
            ).last_hidden_state
            next_B = self.logits(hidden_BLD[:, -1]).argmax(dim=-1).masked_fill(done_B, pad_id)
            columns.append(next_B)
            done_B = done_B | (next_B == eos_id)
            inputs_BLD = self.backbone.embed_tokens(next_B).unsqueeze(1)
        if not columns:
            return torch.empty(len(embedding_BE), 0, dtype=torch.long, device=embedding_BE.device)
        return torch.stack(columns, dim=1)
