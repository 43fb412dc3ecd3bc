"""Shards as what runs learn from."""

from __future__ import annotations

from torch import Tensor

from training.data.batches import ShardBatches, ShardsConfig
from training.distributed import Ranks
from training.embed import EmbedData
from training.fit import FitConfig
from training.runs import VALIDATION_BATCHES, EmbedRun, Recipe, YDecoderRun
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa


class ShardData:
    """Samples of the runs' mixtures, and a mixture kept aside."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, ranks: Ranks) -> None:
        assert recipe.shards is not None
        self._shards = recipe.shards
        self._tokenizer, self._ranks = tokenizer, ranks

    def embed(self, run: EmbedRun, model: VLJepa) -> EmbedData:
        """Clips, queries and targets of the run's mixture, and of what is kept aside."""
        fit = run.fit
        mixture = run.mixture or self._shards.mixture
        config = ShardsConfig(
            mixture,
            self._shards.root,
            run.task_shares,
            model.config.clip_frames,
            augment=run.augment,
            max_skipped_share=self._shards.max_skipped_share,
            skipped_log=self._shards.skipped_log,
        )
        batches = self._batches(config, model, fit, fit.seed, fit.parts(self._ranks))
        validation: list[dict[str, Tensor]] = []
        if self._shards.aside:
            aside = self._aside(model, fit, fit.seed + 1, 1)
            validation = [aside[step] for step in range(VALIDATION_BATCHES)]
        return EmbedData(batches, validation)

    def decode(self, run: YDecoderRun, model: VLJepa) -> ShardBatches:
        """Samples that the predictor was not trained on; its own where none were kept aside."""
        fit = run.fit
        return self._aside(model, fit, fit.seed + 2, fit.parts(self._ranks))

    def _aside(self, model: VLJepa, fit: FitConfig, seed: int, parts: int) -> ShardBatches:
        mixture = self._shards.aside or self._shards.mixture
        config = ShardsConfig(
            mixture,
            self._shards.root,
            frames=model.config.clip_frames,
            max_skipped_share=self._shards.max_skipped_share,
            skipped_log=self._shards.skipped_log,
        )
        return self._batches(config, model, fit, seed, parts)

    def _batches(
        self, config: ShardsConfig, model: VLJepa, fit: FitConfig, seed: int, parts: int
    ) -> ShardBatches:
        return ShardBatches(config, self._tokenizer, model.config, fit.batch_size, seed, parts)
