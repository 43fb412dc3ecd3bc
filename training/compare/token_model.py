"""The token-generating model: the predictor's layers, taught to say the target word by word.

Visual tokens and the query are the prefix, which sees all of itself; the text sees the prefix and
its own past. The token table is the output layer too (as in the Y-decoder), so the model has the
predictor's parameters less its output projection.

Shapes: B rows, P prefix tokens, M text tokens, W width, V vocabulary, C candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from transformers import DynamicCache

from vljepa_ros.model.predictor import Predictor


class TokenModel(nn.Module):
    """⟨visual tokens, query⟩ → text."""

    def __init__(self, layers: Predictor, *, bos_id: int, eos_id: int, pad_id: int) -> None:
        """`layers` are new ones, and become a part of this model."""
        super().__init__()
        self.layers = layers
        self.layers.output_projection = nn.Identity()  # type: ignore[assignment]
        self._bos_id, self._eos_id, self._pad_id = bos_id, eos_id, pad_id

    def forward(
        self,
        tokens_BTND: Tensor,
        query_ids_BL: Tensor,
        query_mask_BL: Tensor,
        ids_BM: Tensor,
        mask_BM: Tensor,
    ) -> Tensor:
        """Logits (B, M, V); those at i predict ids[i] from the prefix and the ids before it."""
        prefix_BPW, prefix_mask_BP = self._prefix(tokens_BTND, query_ids_BL, query_mask_BL)
        outputs: Tensor = self.layers.backbone(
            inputs_embeds=torch.cat([prefix_BPW, self._embed(self._shifted(ids_BM))], dim=1),
            attention_mask=_visible(prefix_mask_BP, mask_BM, prefix_BPW.dtype),
            position_ids=_positions(torch.cat([prefix_mask_BP, mask_BM], dim=1)),
            use_cache=False,
        ).last_hidden_state
        return self._logits(outputs[:, prefix_BPW.shape[1] :])

    def log_probability(
        self, tokens_BTND: Tensor, query_ids_BL: Tensor, ids_CM: Tensor, mask_CM: Tensor
    ) -> Tensor:
        """Mean log-probability a token (C,) of texts that might follow one clip and query (B = 1).

        The prefix is read once for all of them.
        """
        many = len(ids_CM)
        query_mask_BL = torch.ones_like(query_ids_BL)
        cache, prefix_mask_BP = self._read(tokens_BTND, query_ids_BL, query_mask_BL)
        cache.batch_repeat_interleave(many)
        prefix_mask_CP = prefix_mask_BP.expand(many, -1)
        dtype = self.layers.backbone.embed_tokens.weight.dtype
        hidden_CMW = self._go_on(
            self._shifted(ids_CM),
            _visible(prefix_mask_CP, mask_CM, dtype)[:, :, prefix_mask_CP.shape[1] :],
            _positions(torch.cat([prefix_mask_CP, mask_CM], dim=1))[:, prefix_mask_CP.shape[1] :],
            cache,
        )
        log_CMV = self._logits(hidden_CMW).float().log_softmax(-1)
        log_CM = log_CMV.gather(-1, ids_CM[..., None])[..., 0]
        return (log_CM * mask_CM).sum(dim=1) / mask_CM.sum(dim=1)

    def generate(
        self, tokens_BTND: Tensor, query_ids_BL: Tensor, query_mask_BL: Tensor, most: int
    ) -> Tensor:
        """Greedy text: ids (B, M), each row up to and with EOS, then padding; M at most `most`."""
        cache, mask_BP = self._read(tokens_BTND, query_ids_BL, query_mask_BL)
        last_B = torch.full((len(tokens_BTND),), self._bos_id, device=tokens_BTND.device)
        done_B = torch.zeros_like(last_B, dtype=torch.bool)
        columns: list[Tensor] = []
        dtype = self.layers.backbone.embed_tokens.weight.dtype
        while len(columns) < most and not bool(done_B.all()):
            mask_BP = pad(mask_BP, (0, 1), value=1)
            visible_B11P = _additive(mask_BP[:, None, None, :] > 0, dtype)
            at_B1 = mask_BP.sum(dim=1, keepdim=True) - 1
            hidden_B1W = self._go_on(last_B[:, None], visible_B11P, at_B1, cache)
            last_B = self._logits(hidden_B1W[:, -1]).argmax(-1).masked_fill(done_B, self._pad_id)
            columns.append(last_B)
            done_B = done_B | (last_B == self._eos_id)
        return torch.stack(columns, dim=1)

    def _read(
        self, tokens_BTND: Tensor, query_ids_BL: Tensor, query_mask_BL: Tensor
    ) -> tuple[DynamicCache, Tensor]:
        """What the layers keep of a prefix, and the prefix's mask (B, P)."""
        cache = DynamicCache(config=self.layers.backbone.config)
        prefix_BPW, mask_BP = self._prefix(tokens_BTND, query_ids_BL, query_mask_BL)
        self.layers.backbone(
            inputs_embeds=prefix_BPW,
            attention_mask=_visible(mask_BP, mask_BP[:, :0], prefix_BPW.dtype),
            position_ids=_positions(mask_BP),
            past_key_values=cache,
            use_cache=True,
        )
        return cache, mask_BP

    def _go_on(
        self, ids_BM: Tensor, visible_B1MP: Tensor, positions_BM: Tensor, cache: DynamicCache
    ) -> Tensor:
        """Outputs (B, M, W) at tokens that follow what is cached."""
        outputs: Tensor = self.layers.backbone(
            inputs_embeds=self._embed(ids_BM),
            attention_mask=visible_B1MP,
            position_ids=positions_BM,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return outputs

    def _prefix(
        self, tokens_BTND: Tensor, query_ids_BL: Tensor, query_mask_BL: Tensor
    ) -> tuple[Tensor, Tensor]:
        visual_BNW = self.layers.visual_inputs(tokens_BTND)
        query_BLW = self._embed(query_ids_BL).to(visual_BNW.dtype)
        visual_mask_BN = query_mask_BL.new_ones(visual_BNW.shape[:2])
        mask_BP = torch.cat([visual_mask_BN, query_mask_BL], dim=1)
        return torch.cat([visual_BNW, query_BLW], dim=1), mask_BP

    def _shifted(self, ids_BM: Tensor) -> Tensor:
        """What the model has read when it has to say each token: BOS, then the text so far."""
        return torch.cat([torch.full_like(ids_BM[:, :1], self._bos_id), ids_BM[:, :-1]], dim=1)

    def _embed(self, ids_BM: Tensor) -> Tensor:
        embedded: Tensor = self.layers.backbone.embed_tokens(ids_BM)
        return embedded

    def _logits(self, hidden: Tensor) -> Tensor:
        return linear(hidden, self.layers.backbone.embed_tokens.weight)


def _positions(mask_BP: Tensor) -> Tensor:
    """Padding between query and text takes no place."""
    return (mask_BP.cumsum(dim=1) - 1).clamp(min=0)


def _visible(prefix_mask_BP: Tensor, mask_BM: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask (B, 1, P + M, P + M): rows are those who look.

    Additive, since eager attention takes a boolean one for numbers.
    """
    prefix, text = prefix_mask_BP.shape[1], mask_BM.shape[1]
    sees_QQ = torch.ones(
        prefix + text, prefix + text, dtype=torch.bool, device=prefix_mask_BP.device
    ).tril()
    sees_QQ[:, :prefix] = True
    there_BQ = torch.cat([prefix_mask_BP, mask_BM], dim=1) > 0
    return _additive(sees_QQ & there_BQ[:, None, None, :], dtype)


def _additive(sees: Tensor, dtype: torch.dtype) -> Tensor:
    hidden = torch.finfo(dtype).min
    return torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill(~sees, hidden)
