"""Y-encoder: text to an embedding (EmbeddingGemma's architecture and a linear head)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import Gemma3TextConfig, Gemma3TextModel

from vljepa_ros.config import YEncoderConfig
from vljepa_ros.model.initialise import small_init_std
from vljepa_ros.model.pooling import masked_mean


def gemma_config(config: YEncoderConfig, attention: str = "sdpa") -> Gemma3TextConfig:
    """transformers' description of the bidirectional text encoder."""
    everywhere = ["full_attention"] * config.layers
    return Gemma3TextConfig(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_width,
        query_pre_attn_scalar=config.head_width,
        intermediate_size=config.mlp_width,
        vocab_size=config.vocab_size,
        max_position_embeddings=max(2048, config.max_tokens),
        sliding_window=config.local_window or 2 * config.max_tokens,
        layer_types=None if config.local_window else everywhere,
        initializer_range=small_init_std(config.width),
        bos_token_id=None,
        eos_token_id=None,
        use_bidirectional_attention=True,
        use_cache=False,
        attn_implementation=attention,
    )


class YEncoder(nn.Module):
    """Bidirectional layers, mean over the text's tokens, optional dense layers, linear head."""

    def __init__(
        self, config: YEncoderConfig, *, embedding_width: int, attention: str = "sdpa"
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = Gemma3TextModel(gemma_config(config, attention))
        widths = (config.width, *config.dense_widths)
        # EmbeddingGemma's dense layers have neither bias nor activation.
        self.dense = nn.ModuleList(nn.Linear(i, o, bias=False) for i, o in pairwise(widths))
        self.head = nn.Linear(widths[-1], embedding_width)

    def pooled(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """What the text encoder says before the head: (B, last dense width)."""
        outputs = self.backbone(input_ids=ids_BL, attention_mask=mask_BL, use_cache=False)
        pooled_BD = masked_mean(outputs.last_hidden_state, mask_BL)
        for layer in self.dense:
            pooled_BD = layer(pooled_BD)
        return pooled_BD

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Ids and mask (1 = token, 0 = padding at the end) to (B, E), float32, unit norm."""
        return normalize(self.head(self.pooled(ids_BL, mask_BL)).float(), dim=-1)
