"""What no learner changes: X-encoder, text targets, tokenizer and the size of the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from training.distributed import resolved
from training.precision import attention
from training.tabletop.batches import MAX_TEXT_TOKENS
from vljepa_ros.config import ModelConfig, PredictorConfig
from vljepa_ros.model import checkpoint
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.y_decoder import YDecoder

LONGEST_CAPTION = MAX_TEXT_TOKENS
"""Tokens of a free caption at most: as many as a target has."""


class Frozen:
    """One checkpoint, on the device of the comparison."""

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        """
        Raises:
            CheckpointError: the folder cannot be used.
        """
        self.device = resolved(device)
        self.attention = attention(self.device)
        self.model, self.tokenizer = checkpoint.load(folder, device=self.device)
        self.model.requires_grad_(requires_grad=False)
        self.sha256 = checkpoint.describe(folder).sha256[checkpoint.WEIGHTS]

    @property
    def config(self) -> ModelConfig:
        return self.model.config

    @cached_property
    def engine(self) -> Engine:
        """The same weights as the robot uses them: to see test streams and to embed candidates."""
        device = torch.device(self.device)
        return Engine(self.model, self.tokenizer, sha256=self.sha256, device=device)

    def query_ids(self, queries: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask (B, L) of queries."""
        limit = self.config.predictor.max_query_tokens
        ids_BL, mask_BL = self.tokenizer.encode_batch(queries, limit)
        return ids_BL.to(self.device), mask_BL.to(self.device)

    def layers(self, layers: int = 0, kind: type[Predictor] = Predictor) -> Predictor:
        """New layers of the checkpoint's size; `layers` 0 = as many as it has."""
        old = self.config.predictor
        config: PredictorConfig = replace(old, next_tokens=False, layers=layers or old.layers)
        return kind(
            config,
            token_width=self.config.x_encoder.width,
            tubelets=self.model.predictor.tubelets,
            places=self.model.predictor.places,
            embedding_width=self.config.embedding_width,
            attention=self.attention,
        )

    def decoder(self) -> YDecoder:
        """A new Y-decoder of the checkpoint's size.

        Raises:
            CheckpointError: the checkpoint has none.
        """
        config = self.config.y_decoder
        if config is None:
            raise checkpoint.CheckpointError(
                "this checkpoint has no Y-decoder to take the size of; use one that has"
            )
        return YDecoder(
            config, embedding_width=self.config.embedding_width, attention=self.attention
        )
