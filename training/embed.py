"""Runs `y_encoder`, `pretrain_…` and `sft`: predicted and target embeddings meet in one loss.

`pretrain` asks for captions alone; `sft` mixes captions with labels and questions (VL-JEPA §3) and
with actions, whose answer is what they would lead to: its embedding and the visual tokens after it.
On the tabletop the tokens of a frozen X-encoder come from the cache; where it learns, and from
shards, it sees pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.distributed import ALONE, Ranks
from training.grounding import GroundingHeads, HiddenStates
from training.loss import Temperature, info_nce
from training.pairs import Pairs
from training.x_encoder import HEADS_LR_SHARE
from vljepa_ros.model.preprocessing import normalise
from vljepa_ros.model.vljepa import VLJepa

LENGTH_CHUNKS = 4
SPREAD_ROWS = 512
"""Rows whose spread is measured: eigenvalues of thousands would take longer than the step."""
NEXT_TOKEN_WEIGHT = 6.0
"""Weight of the tokens after an action beside InfoNCE; tokens have about unit variance."""


@dataclass(frozen=True, eq=False)
class EmbedData:
    """What an embedding run learns from."""

    batches: Dataset[dict[str, Tensor]]
    validation: Sequence[dict[str, Tensor]] = ()
    pixels: bool = True
    """False: the batches bring the tokens of a frozen X-encoder instead."""
    grid: int | None = None
    """Cells of a side of the dense labels that are learnt beside; None: there are none to learn."""


@dataclass(frozen=True)
class EmbedSettings:
    """How an embedding run learns."""

    y_lr_share: float = 0.0
    """The paper trains the Y-encoder at ×0.05; 0 keeps it as `y_encoder` made it."""
    x_lr_share: float = 0.0
    """0 keeps the X-encoder frozen; where it learns, every step encodes pixels anew."""
    grounding: bool = True
    """Dense labels of the simulated world are learnt from the predictor's layers beside."""
    token_dropout: float = 0.1
    """Cached tokens are the same in every pass; dropping some of their values keeps the predictor
    from learning them by heart."""
    near_equal: float = 1.0
    """Rows whose targets have at least this cosine are no negatives of each other; 1 = off."""
    reworded_weight: float = 0.0
    """Weight of a second InfoNCE, of other wordings of the targets with the targets; 0 = off. Only
    for a Y-encoder that learns, where samples bring another wording."""


class EmbedStage:
    """Trains the predictor, and the Y-encoder at its share of the learning rate."""

    def __init__(
        self,
        model: VLJepa,
        temperature: Temperature,
        data: EmbedData,
        settings: EmbedSettings,
        ranks: Ranks = ALONE,
    ) -> None:
        self._model = model
        self._temperature = temperature
        self._data = data
        self._settings = settings
        self._ranks = ranks
        self._heads: GroundingHeads | None = None
        parts = {
            "predictor": model.predictor,
            "y_encoder": model.y_encoder,
            "temperature": temperature,
        }
        if data.grid is not None:
            self._heads = GroundingHeads(model.predictor, data.grid)
            parts["heads"] = self._heads
        if data.pixels:
            # It runs in every step, frozen or not.
            parts["x_encoder"] = model.x_encoder
        self._module = nn.ModuleDict(parts)

    def module(self) -> nn.Module:
        return self._module

    def parts(self) -> list[tuple[nn.Module, float]]:
        parts = [
            (self._model.predictor, 1.0),
            (self._model.y_encoder, self._settings.y_lr_share),
            (self._temperature, 1.0),
        ]
        if self._heads is not None:
            parts.append((self._heads, HEADS_LR_SHARE))
        if self._data.pixels:
            parts.append((self._model.x_encoder, self._settings.x_lr_share))
        return parts

    def batches(self) -> Dataset[dict[str, Tensor]]:
        return self._data.batches

    def tokens(self, batch: dict[str, Tensor]) -> Tensor:
        """Visual tokens (B, T, N, D) of a batch: those it brings, or those of its pixels."""
        if "tokens_BTND" in batch:
            known_BTND = batch["tokens_BTND"]
            # The cache keeps half the bits; what was encoded in this step stays as it is.
            return known_BTND.float() if known_BTND.dtype == torch.float16 else known_BTND
        with torch.set_grad_enabled(self._settings.x_lr_share > 0 and torch.is_grad_enabled()):
            tokens_BTND: Tensor = self._model.x_encoder(normalise(batch["pixels_BTCHW"]))
        return tokens_BTND

    def predict(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Embeddings (B + R, E), and the imagined tokens (R + S, N, D) of the R rollouts, if any.

        After those of the B clips come the answers to what is asked of the scenes that the first R
        rows imagined, so a rollout's second step teaches its first. The first S of these questions
        are actions; the scenes after them are imagined as well.
        """
        clean_BTND = self.tokens(batch)
        tokens_BTND = F.dropout(clean_BTND, self._settings.token_dropout, self._module.training)
        ids_BL, mask_BL = batch["query_ids_BL"], batch["query_mask_BL"]
        predictor = self._model.predictor
        if "after_RFCHW" not in batch:
            return predictor(tokens_BTND, ids_BL, mask_BL), None
        rows = len(tokens_BTND)
        rollouts = len(ids_BL) - rows
        longer = len(batch["after_RFCHW"]) - rollouts
        first = predictor.imagine(tokens_BTND, ids_BL[:rows], mask_BL[:rows])
        # The change is learnt from dropped tokens, but it is a change of the clean ones.
        dropped_BND = clean_BTND[:, -1] - tokens_BTND[:, -1]
        next_RND = (first.next_BND + dropped_BND)[:rollouts]
        then = predictor.imagine(predictor.still(next_RND), ids_BL[rows:], mask_BL[rows:])
        return (
            torch.cat([first.embedding_BE, then.embedding_BE]),
            torch.cat([next_RND, then.next_BND[:longer]]),
        )

    @torch.no_grad()
    def _after_and_before(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens (R + S, N, D) of the scenes after the actions of rollouts, and before them."""
        after_RND: Tensor = self._model.x_encoder(normalise(batch["after_RFCHW"]))[:, -1].float()
        rollouts = len(batch["query_ids_BL"]) - len(batch["tokens_BTND"])
        before_RND = torch.cat([batch["tokens_BTND"][:rollouts, -1].float(), after_RND])
        return after_RND, before_RND[: len(after_RND)]

    def embed(self, batch: dict[str, Tensor]) -> tuple[Pairs, Tensor, dict[str, float]]:
        text_UE = encode_texts(self._model.y_encoder, batch, train=self._settings.y_lr_share > 0)
        batch = batch | {"tokens_BTND": self.tokens(batch)}
        with HiddenStates(self._model.predictor) as hidden:
            predicted_BE, next_RND = self.predict(batch)
        loss, metrics = predicted_BE.new_zeros(()), dict[str, float]()
        if self._heads is not None:
            loss, metrics = self._heads.loss(hidden.middle_BNW, hidden.late_BNW, batch)
        if next_RND is not None:
            token_loss, token_metrics = next_token_loss(next_RND, *self._after_and_before(batch))
            loss, metrics = loss + NEXT_TOKEN_WEIGHT * token_loss, metrics | token_metrics
        pairs = pairs_of(batch, predicted_BE, text_UE, self._temperature)
        if self._settings.reworded_weight > 0:
            reworded_BE = text_UE[batch["reworded_row_B"]]
            text_loss, rates = self.contrast(replace(pairs, predicted_BE=reworded_BE))
            loss = loss + self._settings.reworded_weight * text_loss
            metrics["reworded_first_of_own"] = rates["first_of_own"]
        return pairs, loss, metrics

    def contrast(self, pairs: Pairs) -> tuple[Tensor, dict[str, float]]:
        return contrast(pairs, self._ranks, self._settings.near_equal)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        pairs, others, other_metrics = self.embed(batch)
        loss, metrics = self.contrast(pairs)
        return loss + others, metrics | other_metrics

    def evaluate(self) -> dict[str, float]:
        totals: dict[str, float] = {}
        with torch.no_grad():
            device = next(self._module.parameters()).device
            for batch in self._data.validation:
                _, metrics = self.loss({name: x.to(device) for name, x in batch.items()})
                for name, value in metrics.items():
                    totals[name] = totals.get(name, 0.0) + value / len(self._data.validation)
        return {f"validation_{name}": value for name, value in totals.items()}


class ParaphraseStage:
    """Trains the Y-encoder to give wordings of one meaning one embedding."""

    def __init__(
        self, model: VLJepa, batches: Dataset[dict[str, Tensor]], ranks: Ranks = ALONE
    ) -> None:
        self._model = model
        self._ranks = ranks
        self._temperature = Temperature()
        self._batches = batches
        self._module = nn.ModuleDict(
            {"y_encoder": model.y_encoder, "temperature": self._temperature}
        )

    def module(self) -> nn.Module:
        return self._module

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [(self._module, 1.0)]

    def batches(self) -> Dataset[dict[str, Tensor]]:
        return self._batches

    def embed(self, batch: dict[str, Tensor]) -> tuple[Pairs, Tensor, dict[str, float]]:
        anchor_BE = self._model.y_encoder(batch["query_ids_BL"], batch["query_mask_BL"])
        text_UE = encode_texts(self._model.y_encoder, batch, train=True)
        pairs = pairs_of(batch, anchor_BE, text_UE, self._temperature)
        return pairs, anchor_BE.new_zeros(()), {}

    def contrast(self, pairs: Pairs) -> tuple[Tensor, dict[str, float]]:
        return contrast(pairs, self._ranks)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return self.contrast(self.embed(batch)[0])

    def evaluate(self) -> dict[str, float]:
        return {}


def encode_texts(y_encoder: nn.Module, batch: dict[str, Tensor], train: bool) -> Tensor:
    """Embeddings (U, E) of a batch's distinct texts, which come shortest first.

    In chunks of like length, because captions of scenes are several times as long as the rest.
    Always in as many: where layers are sharded, every rank must call them as often, whatever the
    number of its texts.
    """
    ids_UL, mask_UL = batch["text_ids_BL"], batch["text_mask_BL"]
    chunks = list(zip(ids_UL.chunk(LENGTH_CHUNKS), mask_UL.chunk(LENGTH_CHUNKS), strict=True))
    missing = LENGTH_CHUNKS - len(chunks)
    parts = []
    with torch.set_grad_enabled(train and torch.is_grad_enabled()):
        for ids_CL, mask_CL in [*chunks, *chunks[:1] * missing]:
            longest = int(mask_CL.sum(dim=1).max())
            parts.append(y_encoder(ids_CL[:, :longest], mask_CL[:, :longest]))
        text_UE = torch.cat(parts[: len(chunks)])
        for unused in parts[len(chunks) :]:
            text_UE = text_UE + 0.0 * unused.sum()
    return text_UE


def pairs_of(
    batch: dict[str, Tensor], predicted_BE: Tensor, text_UE: Tensor, temperature: Temperature
) -> Pairs:
    """What a batch's rows are compared with: their targets and their own candidates."""
    return Pairs(
        predicted_BE,
        text_UE[batch["target_row_B"]],
        text_UE[batch["candidate_row_BK"]],
        temperature(),
        batch["key_B"],
        batch["candidate_exists_BK"],
    )


def contrast(
    pairs: Pairs, ranks: Ranks, near_equal: float = 1.0
) -> tuple[Tensor, dict[str, float]]:
    """InfoNCE of this rank's rows, with their rank-one rate among own candidates and own rows."""
    loss = info_nce(
        pairs.predicted_BE,
        pairs.target_BE,
        pairs.key_B,
        pairs.scale,
        candidate_bKE=pairs.candidate_BKE,
        candidate_mask_bK=pairs.candidate_exists_BK,
        ranks=ranks,
        near_equal=near_equal,
    )
    return loss, _first_rates(pairs)


@torch.no_grad()
def _first_rates(pairs: Pairs) -> dict[str, float]:
    predicted_BE, target_BE = pairs.predicted_BE.float(), pairs.target_BE.float()
    similarity_BB = predicted_BE @ target_BE.T
    right_B = similarity_BB.diagonal()
    equal_BB = pairs.key_B[:, None] == pairs.key_B[None, :]
    rival_B = similarity_BB.masked_fill(equal_BB, -1).amax(dim=1)
    own_BK = torch.einsum("be,bke->bk", predicted_BE, pairs.candidate_BKE.float())
    own_B = own_BK.masked_fill(~pairs.candidate_exists_BK, -1).amax(dim=1)
    return {
        "cosine": float(right_B.mean()),
        "first_in_batch": float((right_B > rival_B).float().mean()),
        "first_of_own": float((right_B > own_B).float().mean()),
        "temperature": float(1 / pairs.scale.detach()),
        **_spread(predicted_BE @ predicted_BE.T),
    }


def _spread(gram_BB: Tensor) -> dict[str, float]:
    """Whether embeddings collapse, by their scalar products.

    `uniformity` is the log of the mean Gaussian potential (arXiv 2005.10242: lower is better),
    `effective_rank` the exponential of the entropy of the spectrum: how many directions are used.
    """
    gram_BB = gram_BB[:SPREAD_ROWS, :SPREAD_ROWS]
    count = len(gram_BB)
    pairs = gram_BB[~torch.eye(count, dtype=torch.bool, device=gram_BB.device)]
    share = torch.linalg.eigvalsh(gram_BB).clamp(min=1e-12) / count
    return {
        "uniformity": float((4 * pairs - 4).exp().mean().log()) if count > 1 else 0.0,
        "effective_rank": float((-(share * share.log()).sum()).exp()),
    }


def next_token_loss(
    next_RND: Tensor, after_RND: Tensor, before_RND: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Squared error of the imagined tokens, and its share of the error of imagining no change."""
    loss = F.mse_loss(next_RND.float(), after_RND)
    unchanged = F.mse_loss(before_RND, after_RND)
    return loss, {"next_tokens": float(loss.detach() / unchanged)}
