"""Run `y_decoder`: from an embedding back to words.

Half of each batch are embeddings of texts with noise added, half are embeddings that the predictor
gave for windows it was not trained on: only so does the decoder meet the errors it will have to
live with on the robot.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.embed import encode_texts
from vljepa_ros.model.preprocessing import normalise
from vljepa_ros.model.vljepa import VLJepa

IGNORED = -100


class YDecoderStage:
    """Trains `model.y_decoder`; everything else is frozen."""

    def __init__(
        self,
        model: VLJepa,
        batches: Dataset[dict[str, Tensor]],
        predicted_share: float,
        noise: float,
    ) -> None:
        if model.y_decoder is None:
            raise ValueError("this model's config has no y_decoder; add one to train it")
        self._model = model
        self._decoder = model.y_decoder
        self._batches = batches
        self._predicted_share = predicted_share
        self._noise = noise

    def module(self) -> nn.Module:
        return self._decoder

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [(self._decoder, 1.0)]

    def batches(self) -> Dataset[dict[str, Tensor]]:
        return self._batches

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        embedding_BE = self._embeddings(batch)
        ids_BL, mask_BL = batch["canonical_ids_BL"], batch["canonical_mask_BL"]
        return spelling_loss(self._decoder(embedding_BE, ids_BL, mask_BL), ids_BL, mask_BL)

    @torch.no_grad()
    def _embeddings(self, batch: dict[str, Tensor]) -> Tensor:
        text_UE = encode_texts(self._model.y_encoder, batch, train=False)
        text_BE = text_UE[batch["target_row_B"]]
        noisy_BE = noisy(text_BE, self._noise)
        split = int(len(text_BE) * self._predicted_share)
        if "tokens_BTND" in batch:
            tokens_BTND = batch["tokens_BTND"][:split].float()
        else:
            tokens_BTND = self._model.x_encoder(normalise(batch["pixels_BTCHW"][:split]))
        predicted_BE = self._model.predictor(
            tokens_BTND,
            batch["query_ids_BL"][:split],
            batch["query_mask_BL"][:split],
        ).float()
        return torch.cat([predicted_BE, noisy_BE[split:]])

    def evaluate(self) -> dict[str, float]:
        return {}


def noisy(text_BE: Tensor, noise: float) -> Tensor:
    """Embeddings of texts with noise of about this length added: float32, unit norm."""
    text_BE = text_BE.float()
    noise_BE = noise * torch.randn_like(text_BE) / text_BE.shape[-1] ** 0.5
    return F.normalize(text_BE + noise_BE, dim=-1)


def spelling_loss(
    logits_BLV: Tensor, ids_BL: Tensor, mask_BL: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Mean cross-entropy of the tokens that are there, and the share of texts wholly right."""
    wanted_BL = ids_BL.masked_fill(mask_BL == 0, IGNORED)
    loss = F.cross_entropy(
        logits_BLV.float().flatten(0, 1), wanted_BL.flatten(), ignore_index=IGNORED
    )
    right_BL = (logits_BLV.argmax(-1) == ids_BL) | (mask_BL == 0)
    return loss, {"whole_text_right": float(right_BL.all(dim=1).float().mean())}
