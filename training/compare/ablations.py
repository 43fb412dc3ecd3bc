"""One thing of VL-JEPA changed at a time: the paper's ablations that fit, and what may beat it.

Each is learner `jepa` without words, on the same rows of the same batches as `base`, which is that
learner as it is: InfoNCE against frozen targets, equal targets masked, every token seeing every
other, the mean over all tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.compare.embedding_learners import JepaLearner
from training.compare.frozen import Frozen
from training.distributed import ALONE
from training.embed import contrast
from training.pairs import Pairs
from training.tabletop.batches import MAX_TEXT_TOKENS
from vljepa_ros.model.engine import Embeddings
from vljepa_ros.model.predictor import Predictor

TEXTS_A_BATCH = 128


@dataclass(frozen=True)
class Ablation:
    """What is not as in `base`."""

    y_lr_share: float = 0.0
    """The Y-encoder learns on, at this share of the learning rate; the paper's default is 0.05."""
    causal: bool = False
    """Tokens see those before them only; visual tokens come first."""
    last_token: bool = False
    """The output at the query's last token, not the mean over all."""
    half_depth: bool = False
    cosine: bool = False
    """1 - cosine and no negatives; L2 between unit vectors is twice that."""
    equal_are_negatives: bool = False
    direct_weight: float = 0.0
    """Weight of a second InfoNCE, of the clip without its query with the text."""
    own_candidates: bool = False
    """A row's own wrong candidates are further negatives."""


ABLATIONS: Mapping[str, Ablation] = {
    "base": Ablation(),
    "y_lr_0.05": Ablation(y_lr_share=0.05),
    "y_lr_1": Ablation(y_lr_share=1.0),
    "causal": Ablation(causal=True),
    "last_token": Ablation(last_token=True),
    "half_depth": Ablation(half_depth=True),
    "cosine": Ablation(cosine=True),
    "equal_negatives": Ablation(equal_are_negatives=True),
    "direct": Ablation(direct_weight=0.1),
    "own_candidates": Ablation(own_candidates=True),
}


class LastTokenPredictor(Predictor):
    """A predictor whose embedding is read at the last token that is no padding."""

    def _pooled(self, visual_BND: Tensor, query_BLD: Tensor, query_mask_BL: Tensor) -> Tensor:
        last_B = query_mask_BL.sum(dim=1) - 1
        return query_BLD[torch.arange(len(query_BLD), device=query_BLD.device), last_B]


class AblatedLearner(JepaLearner):
    """`jepa` without words, and one thing changed."""

    def __init__(
        self, frozen: Frozen, batches: Dataset[dict[str, Tensor]], ablation: Ablation
    ) -> None:
        self._ablation = ablation
        super().__init__(
            frozen,
            batches,
            own_candidates=ablation.own_candidates,
            words=False,
            layers=_layers(frozen, ablation),
        )
        self._y_learns = ablation.y_lr_share > 0
        self._known: dict[str, Embeddings] = {}
        if self._y_learns:
            self._y_encoder = copy.deepcopy(frozen.model.y_encoder).requires_grad_()
            self._module["y_encoder"] = self._y_encoder

    def parts(self) -> list[tuple[nn.Module, float]]:
        shares = {"y_encoder": self._ablation.y_lr_share}
        return [(part, shares.get(name, 1.0)) for name, part in self._module.named_children()]

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        self._known.clear()
        loss, metrics = super().loss(batch)
        if self._ablation.direct_weight > 0:
            loss = loss + self._ablation.direct_weight * self._contrast_without_query(batch)[0]
        return loss, metrics

    def _objective(self, pairs: Pairs) -> tuple[Tensor, dict[str, float]]:
        if self._ablation.equal_are_negatives:
            pairs = replace(pairs, key_B=torch.arange(len(pairs.key_B), device=pairs.key_B.device))
        loss, metrics = contrast(pairs, ALONE)
        if self._ablation.cosine:
            away_B = 1 - (pairs.predicted_BE * pairs.target_BE).sum(dim=1)
            # Nothing is compared by temperature; it stays as it is.
            loss = away_B.mean() + 0.0 * pairs.scale
        return loss, metrics

    def _text_embeddings(self, texts: Sequence[str]) -> Embeddings:
        if not self._y_learns:
            return super()._text_embeddings(texts)
        fresh = sorted({text for text in texts if text not in self._known}, key=len)
        for at in range(0, len(fresh), TEXTS_A_BATCH):
            some = fresh[at : at + TEXTS_A_BATCH]
            with torch.inference_mode():
                ids_BL, mask_BL = self._frozen.tokenizer.encode_batch(some, MAX_TEXT_TOKENS)
                device = self._frozen.device
                found_BE = self._y_encoder(ids_BL.to(device), mask_BL.to(device)).float().cpu()
            self._known |= dict(zip(some, found_BE.numpy(), strict=True))
        return np.stack([self._known[text] for text in texts])


def _layers(frozen: Frozen, ablation: Ablation) -> Predictor:
    half = max(1, frozen.config.predictor.layers // 2)
    layers = frozen.layers(
        half if ablation.half_depth else 0,
        LastTokenPredictor if ablation.last_token else Predictor,
    )
    if ablation.causal:
        layers.backbone.config.is_causal = True
        for layer in layers.backbone.layers:
            layer.self_attn.is_causal = True
    return layers
