"""Batches of ⟨clip, query, target⟩ from shards.

Shapes: B rows of a part, T frames, C colours, H x W pixels; of texts see `texts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.data.augment import Augmentation
from training.data.catalogue import Place, strata
from training.data.decode import clip
from training.data.errors import DataError, SampleError
from training.data.mixture import Mixture
from training.data.samples import MediaSample
from training.data.shards import read_sample
from training.data.tally import Tally
from training.data.texts import sample_tensors
from vljepa_ros.config import ModelConfig
from vljepa_ros.model.text import Tokenizer

AUGMENTATIONS = 3
"""What random numbers are for, beside those of `mixture`."""


@dataclass(frozen=True)
class ShardsConfig:
    """Which shards a run reads, and how."""

    mixture: Mapping[str, float] = field(default_factory=dict)
    """Folder of shards below `root`, or an absolute path → weight, relative to the others'."""
    root: str = "."
    task_shares: Mapping[str, float] = field(default_factory=dict)
    """Task → share within every folder; empty = as often as there are samples of it."""
    frames: int = 0
    """Frames of a clip; 0 = the model's."""
    augment: bool = False
    mirror: bool = False
    """Augmentation mirrors half of the clips: only where no text says left or right."""
    max_skipped_share: float = 0.01
    """Broken samples are skipped up to this share of those drawn, or of the first 1,000."""
    skipped_log: str = ""
    """File that names every skipped sample, a JSON object a line; empty = none."""


class Clips:
    """Media of samples as clips that a model takes, whichever loader reads them."""

    def __init__(self, config: ShardsConfig, model: ModelConfig) -> None:
        """
        Raises:
            DataError: the frames are no whole number of tubelets.
        """
        self._frames = config.frames or model.clip_frames
        if self._frames < 1 or self._frames % model.x_encoder.tubelet_frames:
            raise DataError(
                f"{self._frames} frames are no whole number of tubelets; use a multiple of "
                f"{model.x_encoder.tubelet_frames}"
            )
        self._crop_px = model.x_encoder.crop_px
        self._resize_px = model.x_encoder.resize_px
        self._augment = Augmentation(self._crop_px, config.mirror) if config.augment else None

    def read(self, media: bytes, extension: str, sample: MediaSample) -> Tensor:
        """(T, 3, crop, crop) uint8.

        Raises:
            SampleError: it cannot be decoded.
        """
        return clip(
            media,
            extension,
            self._frames,
            self._crop_px,
            sample.start_s,
            sample.end_s,
            self._resize_px,
        )

    def augmented(self, pixels_TCHW: Tensor, seed: int) -> Tensor:
        """The clip as the config wants it augmented, if at all; the same for the same seed."""
        return pixels_TCHW if self._augment is None else self._augment(pixels_TCHW, seed)


def described(place: str, sample: MediaSample) -> dict[str, str]:
    """A sample for people who look into a lost loss."""
    return {
        "sample": place,
        "source": sample.source,
        "query": sample.query,
        "target": sample.target,
    }


class Row(NamedTuple):
    """A sample of a batch with its clip."""

    place: Place
    sample: MediaSample
    pixels_TCHW: Tensor


class ShardBatches(Dataset[dict[str, Tensor]]):
    """The batch of a step, a pure function of (seed, step), cut into equal parts.

    Item i is part i % parts of the batch of step i // parts; its rows are every parts-th. So the
    batch is the same whatever the number of processes, and a run goes on with another number.
    """

    def __init__(
        self,
        config: ShardsConfig,
        tokenizer: Tokenizer,
        model: ModelConfig,
        batch_size: int,
        seed: int,
        parts: int = 1,
    ) -> None:
        """
        Args:
            batch_size: rows of all parts together.
            parts: over all ranks.

        Raises:
            DataError: sizes that do not fit, or shards that cannot be used; see `strata`.
        """
        if batch_size < 1 or parts < 1 or batch_size % parts:
            raise DataError(
                f"batch_size {batch_size} cannot be cut into {parts} equal parts; use a "
                f"multiple of {parts}, as {-(-max(batch_size, 1) // max(parts, 1)) * max(parts, 1)}"
            )
        self.tally = Tally(
            config.max_skipped_share, Path(config.skipped_log) if config.skipped_log else None
        )
        found = strata(Path(config.root), config.mixture, config.task_shares)
        self._mixture = Mixture(found, seed)
        self._seed = seed
        self._tokenizer = tokenizer
        self._clips = Clips(config, model)
        self._batch_size, self._parts = batch_size, parts

    @property
    def samples(self) -> int:
        """In all shards of the mixture."""
        return sum(len(stratum) for stratum in self._mixture.strata)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """A part's rows: `pixels_BTCHW` uint8, and the texts as `sample_tensors` names them.

        Raises:
            SkippedTooManyError: more samples than allowed cannot be read.
        """
        rows = self.rows(index)
        batch = {"pixels_BTCHW": torch.stack([row.pixels_TCHW for row in rows])}
        samples = [row.sample for row in rows]
        return batch | sample_tensors(self._tokenizer, samples, self.tally)

    def described(self, index: int) -> list[dict[str, str]]:
        """Which samples the rows of part `index` are, for people who look into a lost loss."""
        return [described(str(row.place), row.sample) for row in self.rows(index)]

    def counts(self) -> dict[str, float]:
        """See `Tally.counts`."""
        return self.tally.counts()

    def rows(self, index: int) -> list[Row]:
        """The rows of part `index` % parts of the batch of step `index` // parts."""
        step, part = divmod(index, self._parts)
        first = step * self._batch_size
        numbers = range(first + part, first + self._batch_size, self._parts)
        return [self._row(number) for number in numbers]

    def _row(self, number: int) -> Row:
        draw = self._mixture.draw(number)
        self.tally.count_drawn()
        for ahead in range(len(self._mixture.strata[draw.stratum])):
            place = self._mixture.strata[draw.stratum].place(self._mixture.index(draw, ahead))
            try:
                sample, media = read_sample(place.tar, place.json_span, place.media_span)
                pixels_TCHW = self._clips.read(media, place.extension, sample)
            except SampleError as error:
                self.tally.skip(str(place), str(error))
                continue
            words = np.random.SeedSequence([self._seed, AUGMENTATIONS, number]).generate_state(1)
            return Row(place, sample, self._clips.augmented(pixels_TCHW, int(words[0])))
        raise self.tally.too_many()
