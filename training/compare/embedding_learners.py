"""Learners `jepa` and `dual`: InfoNCE against the frozen text targets, answers by the nearest.

`jepa` is VL-JEPA: the layers see visual tokens and the query. A small Y-decoder learns beside them,
from the same rows, to find words for an embedding; no gradient of it reaches the layers. `dual` is
a dual encoder as CLIP is: the same layers without a query. Rows whose answer hangs on a query that
it cannot hear are left out of its loss, else it would be taught contradictions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.compare.frozen import LONGEST_CAPTION, Frozen
from training.compare.learner import TOKEN_DROPOUT, Scores, chunks, target_tokens
from training.distributed import ALONE
from training.embed import contrast, encode_texts
from training.evaluate.choices import Item
from training.loss import Temperature
from training.pairs import Pairs
from training.runs import YDecoderRun
from training.tabletop.tasks import LABEL_QUERY
from training.y_decoder import noisy, spelling_loss
from vljepa_ros.model.engine import Embeddings, Tokens
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.y_decoder import YDecoder


class _Embedding:
    """What both have: layers, a temperature, and answers by the nearest text."""

    _y_learns = False

    def __init__(
        self,
        frozen: Frozen,
        batches: Dataset[dict[str, Tensor]],
        own_candidates: bool,
        layers: Predictor | None = None,
    ) -> None:
        self._frozen, self._batches = frozen, batches
        self._own_candidates = own_candidates
        self._layers = layers or frozen.layers()
        self._y_encoder: nn.Module = frozen.model.y_encoder
        self._temperature = Temperature()
        self._module = nn.ModuleDict({"layers": self._layers, "temperature": self._temperature})
        config = frozen.config
        self._fixed = frozen.query_ids([config.caption_query, config.scene_query, LABEL_QUERY])

    def module(self) -> nn.Module:
        return self._module

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [(self._module, 1.0)]

    def batches(self) -> Dataset[dict[str, Tensor]]:
        return self._batches

    def evaluate(self) -> dict[str, float]:
        return {}

    def parameters(self) -> dict[str, int]:
        table = self._layers.backbone.embed_tokens.weight.numel()
        counts = {n: sum(p.numel() for p in part.parameters()) for n, part in self._parts()}
        return counts | {"layers": counts["layers"] - table, "token_table": table}

    def _parts(self) -> Iterator[tuple[str, nn.Module]]:
        return self._module.named_children()

    def _dropped(self, batch: dict[str, Tensor]) -> Tensor:
        return F.dropout(batch["tokens_BTND"].float(), TOKEN_DROPOUT, self._module.training)

    def _pairs(self, batch: dict[str, Tensor], predicted_BE: Tensor) -> Pairs:
        """Predictions, frozen targets and, where they take part, a row's own wrong candidates."""
        if self._own_candidates:
            text_UE = encode_texts(self._y_encoder, batch, train=self._y_learns)
            candidate_BKE = text_UE[batch["candidate_row_BK"]]
            exists_BK, target_BE = batch["candidate_exists_BK"], text_UE[batch["target_row_B"]]
        else:
            target_BE = self._targets(batch)
            candidate_BKE = target_BE.new_zeros(len(target_BE), 1, target_BE.shape[1])
            exists_BK = torch.zeros_like(candidate_BKE[..., 0], dtype=torch.bool)
        return Pairs(
            predicted_BE, target_BE, candidate_BKE, self._temperature(), batch["key_B"], exists_BK
        )

    def _contrast_without_query(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """InfoNCE of the rows that can be answered without hearing the query, none heard."""
        known_B = self._needs_no_query(batch)
        if not known_B.any():
            return self._temperature().sum() * 0.0, {}
        names = ("tokens_BTND", "query_ids_BL", "query_mask_BL", "target_row_B", "key_B")
        some = batch | {name: batch[name][known_B] for name in names}
        ids_BL, mask_BL = some["query_ids_BL"][:, :0], some["query_mask_BL"][:, :0]
        predicted_BE = self._layers(self._dropped(some), ids_BL, mask_BL)
        loss, metrics = contrast(self._pairs(some, predicted_BE), ALONE)
        return loss, metrics | {"rows_used": float(known_B.float().mean())}

    def _needs_no_query(self, batch: dict[str, Tensor]) -> Tensor:
        """Rows (B,) of captions and labels: one and the same query each."""
        ids_BL, mask_BL = batch["query_ids_BL"], batch["query_mask_BL"]
        found_B = torch.zeros(len(ids_BL), dtype=torch.bool, device=ids_BL.device)
        for fixed_L, there_L in zip(*self._fixed, strict=True):
            length = int(there_L.sum())
            if ids_BL.shape[1] >= length:
                same_B = (ids_BL[:, :length] == fixed_L[:length].to(ids_BL.device)).all(dim=1)
                found_B |= same_B & (mask_BL.sum(dim=1) == length)
        return found_B

    def _targets(self, batch: dict[str, Tensor]) -> Tensor:
        """Embeddings (B, E) of the targets alone: the other texts of a batch are not read."""
        # Texts come shortest first, and unique keeps that.
        row_U, of_B = torch.unique(batch["target_row_B"], return_inverse=True)
        texts = {n: batch[n][row_U] for n in ("text_ids_BL", "text_mask_BL")}
        return encode_texts(self._y_encoder, texts, train=self._y_learns)[of_B]

    def scores(self, clips: Sequence[Tokens], items: Sequence[Item]) -> Iterator[Scores]:
        """Cosines to the candidates' embeddings."""
        self._module.eval()
        embeddings_RE = self._embeddings(clips, [item.query for item in items])
        for embedding_E, item in zip(embeddings_RE, items, strict=True):
            yield (self._text_embeddings(item.candidates) @ embedding_E).astype(float)

    def _text_embeddings(self, texts: Sequence[str]) -> Embeddings:
        return self._frozen.engine.encode_texts(texts)

    @torch.inference_mode()
    def _embeddings(self, clips: Sequence[Tokens], queries: Sequence[str]) -> Embeddings:
        """Of one query a clip (R, E), on the CPU."""
        parts = [
            self._embed(tokens_BTND, *self._frozen.query_ids(some))
            for tokens_BTND, some in chunks(clips, queries, self._frozen.device)
        ]
        embeddings: Embeddings = torch.cat(parts).cpu().numpy()
        return embeddings

    def _embed(self, tokens_BTND: Tensor, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        embedding_BE: Tensor = self._layers(tokens_BTND, ids_BL, mask_BL)
        return embedding_BE


class JepaLearner(_Embedding):
    """VL-JEPA's predictor, and a Y-decoder beside it."""

    def __init__(
        self,
        frozen: Frozen,
        batches: Dataset[dict[str, Tensor]],
        own_candidates: bool = False,
        words: bool = True,
        layers: Predictor | None = None,
    ) -> None:
        """Without `words` there is no Y-decoder: what a step costs then is measured apart."""
        super().__init__(frozen, batches, own_candidates, layers)
        self._decoder: YDecoder | None = None
        if words:
            self._decoder = frozen.decoder()
            self._module["y_decoder"] = self._decoder

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        predicted_BE = self._embed(
            self._dropped(batch), batch["query_ids_BL"], batch["query_mask_BL"]
        )
        pairs = self._pairs(batch, predicted_BE)
        loss, metrics = self._objective(pairs)
        if self._decoder is None:
            return loss, metrics
        words, found = self._words(self._decoder, batch, pairs)
        return loss + words, metrics | found | {"words": float(words.detach())}

    def _objective(self, pairs: Pairs) -> tuple[Tensor, dict[str, float]]:
        return contrast(pairs, ALONE)

    def _words(
        self, decoder: YDecoder, batch: dict[str, Tensor], pairs: Pairs
    ) -> tuple[Tensor, dict[str, float]]:
        """Teacher forcing from predicted embeddings, and for the other rows from noisy targets."""
        run = YDecoderRun()
        heard_BE = noisy(pairs.target_BE, run.noise)
        split = int(len(heard_BE) * run.predicted_share)
        heard_BE[:split] = pairs.predicted_BE[:split].detach().to(heard_BE.dtype)
        ids_BM, mask_BM = target_tokens(batch, self._frozen.tokenizer.eos_id)
        return spelling_loss(decoder(heard_BE, ids_BM, mask_BM), ids_BM, mask_BM)

    def speaks(self, query: str) -> bool:
        return self._decoder is not None

    @torch.inference_mode()
    def captions(self, clips: Sequence[Tokens], queries: Sequence[str]) -> list[str]:
        self._module.eval()
        assert self._decoder is not None
        tokenizer, texts = self._frozen.tokenizer, list[str]()
        for tokens_BTND, some in chunks(clips, queries, self._frozen.device):
            ids_BM = self._decoder.generate(
                self._embed(tokens_BTND, *self._frozen.query_ids(some)),
                eos_id=tokenizer.eos_id,
                pad_id=tokenizer.pad_id,
                max_new_tokens=LONGEST_CAPTION,
            )
            texts += tokenizer.decode(ids_BM)
        return texts


class DualLearner(_Embedding):
    """The same layers over the visual tokens alone."""

    def __init__(self, frozen: Frozen, batches: Dataset[dict[str, Tensor]]) -> None:
        super().__init__(frozen, batches, own_candidates=False)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return self._contrast_without_query(batch)

    def _embed(self, tokens_BTND: Tensor, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Whatever the query."""
        return super()._embed(tokens_BTND, ids_BL[:, :0], mask_BL[:, :0])

    def speaks(self, query: str) -> bool:
        return False

    def captions(self, clips: Sequence[Tokens], queries: Sequence[str]) -> list[str]:
        """
        Raises:
            NotImplementedError: always: it has no words.
        """
        raise NotImplementedError("a dual encoder finds no words")
