"""Shards as what runs learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from torch import Tensor

from training.data.batches import ShardBatches, ShardsConfig
from training.data.catalogue import strata
from training.data.errors import DataError
from training.distributed import Ranks
from training.embed import EmbedData
from training.fit import FitConfig
from training.runs import VALIDATION_BATCHES, EmbedRun, Recipe, YDecoderRun
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

if TYPE_CHECKING:
    from training.data.energon import EnergonBatches

VALIDATION_ROWS = 64
"""Most rows of a validation batch on one rank: all of them lie in memory while a run lasts."""
SKIPPED_FOLDER = "skipped"


class ShardData:
    """Samples of the runs' mixtures, and a mixture kept aside."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, ranks: Ranks, out: Path) -> None:
        """
        Args:
            out: folder that names the skipped samples where the recipe has no other place for it.
        """
        assert recipe.shards is not None
        self._shards = recipe.shards
        self._skipped_log = recipe.shards.skipped_log
        if not self._skipped_log:
            # One for each rank: lines that two machines append to one file can be lost.
            (out / SKIPPED_FOLDER).mkdir(parents=True, exist_ok=True)
            self._skipped_log = str(out / SKIPPED_FOLDER / f"rank-{ranks.rank}.jsonl")
        self._tokenizer, self._ranks = tokenizer, ranks

    def check(self, runs: Sequence[EmbedRun], fits: Sequence[FitConfig]) -> None:
        """Whether every run finds its shards, and its loader can begin.

        Args:
            runs: those that embed.
            fits: of all runs.

        Raises:
            DataError: one does not.
        """
        root = Path(self._shards.root)
        for run in runs:
            strata(root, run.mixture or self._shards.mixture, run.task_shares)
        if self._shards.aside:
            self._check_aside(root)
        if self._shards.loader == "energon":
            mixtures = [run.mixture or self._shards.mixture for run in runs]
            _energon().check(root, *mixtures, self._shards.aside)
            if any(fit.workers < 1 for fit in fits):
                raise DataError(
                    "energon reads in processes of its own; set the run's fit.workers to 1"
                )

    def _check_aside(self, root: Path) -> None:
        try:
            strata(root, self._shards.aside, {})
        except DataError as error:
            raise DataError(
                f"kept aside: {error}; where nothing is, train without measuring: "
                "--set 'shards.aside={}'"
            ) from error

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
            skipped_log=self._skipped_log,
        )
        batches = self._read(config, model, fit, fit.seed)
        validation = self._validation(model, fit) if self._shards.aside else []
        return EmbedData(batches, validation)

    def _validation(self, model: VLJepa, fit: FitConfig) -> list[dict[str, Tensor]]:
        """This rank's share of batches that are kept aside."""
        ranks = self._ranks
        rows = min(fit.batch_size // ranks.world, VALIDATION_ROWS) * ranks.world
        aside = self._aside_at_random(model, rows, fit.seed + 1, ranks.world)
        return [aside[step * ranks.world + ranks.rank] for step in range(VALIDATION_BATCHES)]

    def decode(self, run: YDecoderRun, model: VLJepa) -> ShardBatches | EnergonBatches:
        """Samples that the predictor was not trained on; its own where none were kept aside."""
        return self._read(self._of_aside(model), model, run.fit, run.fit.seed + 2)

    def aside(self, run: YDecoderRun, model: VLJepa) -> ShardBatches:
        """The same samples, read at random whatever the loader."""
        fit = run.fit
        return self._aside_at_random(model, fit.batch_size, fit.seed + 2, fit.parts(self._ranks))

    def _aside_at_random(
        self, model: VLJepa, batch_size: int, seed: int, parts: int
    ) -> ShardBatches:
        config = self._of_aside(model)
        return ShardBatches(config, self._tokenizer, model.config, batch_size, seed, parts)

    def _of_aside(self, model: VLJepa) -> ShardsConfig:
        return ShardsConfig(
            self._shards.aside or self._shards.mixture,
            self._shards.root,
            frames=model.config.clip_frames,
            max_skipped_share=self._shards.max_skipped_share,
            skipped_log=self._skipped_log,
        )

    def _read(
        self, config: ShardsConfig, model: VLJepa, fit: FitConfig, seed: int
    ) -> ShardBatches | EnergonBatches:
        """By the recipe's loader.

        Raises:
            DataError: it is not installed, or finds no shards.
        """
        ranks, parts = self._ranks, fit.parts(self._ranks)
        of_run = (config, self._tokenizer, model.config, fit.batch_size, seed, parts)
        if self._shards.loader == "plain":
            return ShardBatches(*of_run)
        streamed: EnergonBatches = _energon().EnergonBatches(
            *of_run, ranks.rank, ranks.world, fit.workers
        )
        return streamed


def _energon() -> ModuleType:
    try:
        from training.data import energon
    except ImportError as error:
        raise DataError(str(error)) from error
    return energon
