"""The simulated world as what runs learn from: cached streams, rendered and encoded once."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from training.distributed import Ranks
from training.embed import EmbedData
from training.runs import VALIDATION_BATCHES, EmbedRun, Recipe, XEncoderRun, YDecoderRun
from training.tabletop import cache as tabletop_cache
from training.tabletop.batches import WindowBatches
from training.tabletop.cache import FrameCache
from training.tabletop.cached_windows import Windows
from training.tabletop.tokens import encode_cache
from training.x_encoder import XEncoderStage
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa


class TabletopData:
    """Streams seen, and every n-th kept aside."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, ranks: Ranks) -> None:
        self._recipe, self._tokenizer, self._ranks = recipe, tokenizer, ranks

    def _frames(self) -> FrameCache:
        data = self._recipe.data
        folder = Path(data.cache)
        if self._ranks.first:
            tabletop_cache.build(
                folder,
                data.first_seed,
                data.episodes,
                workers=data.render_workers,
                renderer=data.renderer,
            )
        self._ranks.wait()
        return FrameCache(folder)

    def x_encoder(self, run: XEncoderRun, model: VLJepa) -> XEncoderStage:
        """Single tubelets of the streams seen."""
        frames, fit = self._frames(), run.fit
        # What is kept aside must be new to every part: it tells how sure the model may be.
        seen, _ = frames.split(self._recipe.data.aside_every)
        return XEncoderStage(model, frames, seen, fit.batch_size, fit.seed, fit.parts(self._ranks))

    def windows(self, model: VLJepa, device: str, pixels: bool = False) -> tuple[Windows, Windows]:
        """Windows for the predictor, and those kept aside from it: tokens of theirs, or pixels."""
        frames = self._frames()
        # On every rank: rollouts are encoded while the predictor learns.
        model.x_encoder.to(self._ranks.device(device)).eval()
        if self._ranks.first and not pixels:
            encode_cache(model, frames, self._ranks.device(device))
        self._ranks.wait()
        config = model.config
        tubelets = config.clip_frames // config.x_encoder.tubelet_frames
        seen, aside = frames.split(self._recipe.data.aside_every)
        return Windows(frames, seen, tubelets, pixels), Windows(frames, aside, tubelets, pixels)

    def embed(self, run: EmbedRun, model: VLJepa) -> EmbedData:
        """What `run` asks of windows, and the same of windows kept aside."""
        pixels = run.learn.x_lr_share > 0
        seen, aside = self.windows(model, run.fit.device, pixels)
        fit, parts = run.fit, run.fit.parts(self._ranks)
        args = (self._tokenizer, model.config, run.mix, fit.batch_size)
        validation = WindowBatches(aside, *args, fit.seed + 1)
        return EmbedData(
            WindowBatches(seen, *args, fit.seed, parts),
            [validation[step] for step in range(VALIDATION_BATCHES)],
            pixels=pixels,
            grid=seen.grid if run.learn.grounding else None,
        )

    def decode(self, run: YDecoderRun, model: VLJepa) -> Dataset[dict[str, Tensor]]:
        """What is asked of windows that the predictor was not trained on."""
        _, aside = self.windows(model, run.fit.device)
        fit = run.fit
        args = (self._tokenizer, model.config, run.mix, fit.batch_size, fit.seed + 2)
        return WindowBatches(aside, *args, fit.parts(self._ranks))
