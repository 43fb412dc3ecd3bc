"""Learner `token`: next-token prediction of the same targets, read by perplexity or greedily."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.compare.frozen import LONGEST_CAPTION, Frozen
from training.compare.learner import TOKEN_DROPOUT, Scores, chunks, target_tokens
from training.compare.token_model import TokenModel
from training.evaluate.choices import Item
from training.tabletop.batches import MAX_TEXT_TOKENS
from training.y_decoder import spelling_loss
from vljepa_ros.model.engine import Tokens


class TokenLearner:
    """Trains a `TokenModel` of the predictor's layers."""

    def __init__(self, frozen: Frozen, batches: Dataset[dict[str, Tensor]], layers: int = 0):
        """`layers` 0 = as many as the predictor has."""
        self._frozen, self._batches = frozen, batches
        tokenizer = frozen.tokenizer
        self.model = TokenModel(
            frozen.layers(layers),
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
            pad_id=tokenizer.pad_id,
        )

    def module(self) -> nn.Module:
        return self.model

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [(self.model, 1.0)]

    def batches(self) -> Dataset[dict[str, Tensor]]:
        return self._batches

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        ids_BM, mask_BM = target_tokens(batch, self._frozen.tokenizer.eos_id)
        tokens_BTND = F.dropout(batch["tokens_BTND"].float(), TOKEN_DROPOUT, self.model.training)
        logits_BMV = self.model(
            tokens_BTND, batch["query_ids_BL"], batch["query_mask_BL"], ids_BM, mask_BM
        )
        return spelling_loss(logits_BMV, ids_BM, mask_BM)

    def evaluate(self) -> dict[str, float]:
        return {}

    def speaks(self, query: str) -> bool:
        return True

    def parameters(self) -> dict[str, int]:
        table = self.model.layers.backbone.embed_tokens.weight.numel()
        all_ = sum(p.numel() for p in self.model.parameters())
        return {"layers": all_ - table, "token_table": table}

    @torch.inference_mode()
    def scores(self, clips: Sequence[Tokens], items: Sequence[Item]) -> Iterator[Scores]:
        """Mean log-probability a token: the lowest perplexity wins."""
        self.model.eval()
        for clip_TND, item in zip(clips, items, strict=True):
            query_ids_1L, _ = self._frozen.query_ids([item.query])
            ids_CM, mask_CM = self._frozen.tokenizer.encode_batch(
                item.candidates, MAX_TEXT_TOKENS + 1, eos=True
            )
            log_C = self.model.log_probability(
                clip_TND[None].to(self._frozen.device),
                query_ids_1L,
                ids_CM.to(self._frozen.device),
                mask_CM.to(self._frozen.device),
            )
            yield log_C.double().cpu().numpy()

    @torch.inference_mode()
    def captions(self, clips: Sequence[Tokens], queries: Sequence[str]) -> list[str]:
        self.model.eval()
        texts: list[str] = []
        for tokens_BTND, some in chunks(clips, queries, self._frozen.device):
            query = self._frozen.query_ids(some)
            ids_BM = self.model.generate(tokens_BTND, *query, LONGEST_CAPTION)
            texts += self._frozen.tokenizer.decode(ids_BM)
        return texts
