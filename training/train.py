"""Train a named recipe: `python -m training.train tabletop-small --out runs/small`.

The chain is `x_encoder → y_encoder → pretrain → sft → y_decoder → export`, or the runs of it that
the recipe names; the export measures how far the model can be trusted. Each run saves its state, so
the same command continues an interrupted chain where it stopped.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml
from jsonargparse import ArgumentParser

from training.distributed import ALONE, Ranks, ranks
from training.embed import EmbedStage, ParaphraseStage
from training.fit import FitConfig, fit
from training.grounding import GroundingHeads
from training.loss import Temperature
from training.parallel import Stage
from training.precision import attention
from training.reliability import measure
from training.runs import RECIPES, RUNS, EmbedRun, Recipe
from training.state import progress_of
from training.tabletop import cache as tabletop_cache
from training.tabletop import language
from training.tabletop.batches import ParaphraseBatches, WindowBatches
from training.tabletop.cache import FrameCache
from training.tabletop.cached_windows import Windows
from training.tabletop.tokens import encode_cache
from training.tabletop.world import WORLD_VERSION
from training.x_encoder import XEncoderStage
from training.y_decoder import YDecoderStage
from vljepa_ros.config import ConfigError, ModelConfig, from_dict, to_dict
from vljepa_ros.model import checkpoint
from vljepa_ros.model.reliability import Reliability
from vljepa_ros.model.text import Tokenizer, ignore_case, train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

VALIDATION_BATCHES = 4
TOKENIZER_FILE = "tokenizer.json"


class Chain:
    """One recipe in one folder: what is trained so far lies in `<out>/<run>/states`."""

    def __init__(self, recipe: Recipe, out: Path, ranks: Ranks = ALONE) -> None:
        self.recipe = recipe
        self.ranks = ranks
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        if ranks.first:
            (out / "recipe.json").write_text(json.dumps(to_dict(recipe), indent=2))
        self.model, self.tokenizer, temperature = self._started() if recipe.start else self._new()
        self.temperature = Temperature(temperature)

    def _new(self) -> tuple[VLJepa, Tokenizer, float]:
        recipe = self.recipe
        tokenizer = self._tokenizer()
        torch.manual_seed(recipe.x_encoder.fit.seed)
        return VLJepa(recipe.model, attention(recipe.sft.fit.device)), tokenizer, 0.07

    def _started(self) -> tuple[VLJepa, Tokenizer, float]:
        """A checkpoint's weights; what the recipe's model has besides starts as if new."""
        start = Path(self.recipe.start)
        described = checkpoint.describe(start)
        if not _grows_from(self.recipe.model, described.config):
            raise ConfigError(f"the recipe's model is not that of {start}; start from nothing")
        old, tokenizer = checkpoint.load(start)
        torch.manual_seed(self.recipe.sft.fit.seed)
        model = VLJepa(self.recipe.model, attention(self.recipe.sft.fit.device))
        model.load_state_dict(model.state_dict() | old.state_dict())
        return model, ignore_case(tokenizer), float(described.meta["temperature"])

    def _tokenizer(self) -> Tokenizer:
        path = self.out / TOKENIZER_FILE
        if self.ranks.first and not path.exists():
            rng = np.random.default_rng(self.recipe.data.first_seed)
            corpus = language.corpus(rng, self.recipe.data.tokenizer_sentences)
            vocab_size = self.recipe.model.predictor.vocab_size
            tokenizer = ignore_case(train_tokenizer(corpus, vocab_size))
            path.write_text(tokenizer.to_json())
        self.ranks.wait()
        return Tokenizer.from_file(path)

    def run(self, last: str = RUNS[-1]) -> None:
        """Train up to the run `last`, resuming each run from its state."""
        for name in RUNS[: RUNS.index(last) + 1]:
            if name not in self.recipe.runs:
                continue
            self.say(f"run {name}")
            config: FitConfig = getattr(self.recipe, name).fit
            fit(getattr(self, f"_{name}")(), config, self.out / name, self.say, self.ranks)

    def say(self, line: str) -> None:
        """One rank speaks for all."""
        if self.ranks.first:
            print(line, flush=True)

    def _frames(self) -> FrameCache:
        data = self.recipe.data
        folder = Path(data.cache)
        if self.ranks.first:
            workers = data.render_workers
            tabletop_cache.build(folder, data.first_seed, data.episodes, workers=workers)
        self.ranks.wait()
        return FrameCache(folder)

    def _x_encoder(self) -> Stage:
        config = self.recipe.x_encoder.fit
        frames = self._frames()
        # What is kept aside must be new to every part: it tells how sure the model may be.
        seen, _ = frames.split(self.recipe.data.aside_every)
        parts = config.parts(self.ranks)
        return XEncoderStage(self.model, frames, seen, config.batch_size, config.seed, parts)

    def _y_encoder(self) -> Stage:
        config = self.recipe.y_encoder.fit
        parts = config.parts(self.ranks)
        batches = ParaphraseBatches(self.tokenizer, config.batch_size, config.seed, parts)
        return ParaphraseStage(self.model, batches, self.ranks)

    def _pretrain(self) -> Stage:
        return self._embed(self.recipe.pretrain)

    def _sft(self) -> Stage:
        return self._embed(self.recipe.sft)

    def _embed(self, run: EmbedRun) -> Stage:
        seen, aside = self._windows(run.fit.device)
        size, seed, parts = run.fit.batch_size, run.fit.seed, run.fit.parts(self.ranks)
        config = self.recipe.model
        validation = WindowBatches(aside, self.tokenizer, config, run.mix, size, seed + 1)
        return EmbedStage(
            self.model,
            self.temperature,
            WindowBatches(seen, self.tokenizer, config, run.mix, size, seed, parts),
            run.y_lr_share,
            run.token_dropout,
            [validation[step] for step in range(VALIDATION_BATCHES)],
            GroundingHeads(self.model.predictor, seen.grid),
            self.ranks,
        )

    def _y_decoder(self) -> Stage:
        run = self.recipe.y_decoder
        _, aside = self._windows(run.fit.device)
        batches = WindowBatches(
            aside,
            self.tokenizer,
            self.recipe.model,
            run.mix,
            run.fit.batch_size,
            run.fit.seed + 2,
            run.fit.parts(self.ranks),
        )
        return YDecoderStage(self.model, batches, run.predicted_share, run.noise)

    def _windows(self, device: str) -> tuple[Windows, Windows]:
        """Windows for the predictor, and those kept aside from it."""
        frames = self._frames()
        self.model.x_encoder.eval()
        if self.ranks.first:
            encode_cache(self.model, frames, self.ranks.device(device))
        self.ranks.wait()
        model = self.recipe.model
        tubelets = model.clip_frames // model.x_encoder.tubelet_frames
        seen, aside = frames.split(self.recipe.data.aside_every)
        return Windows(frames, seen, tubelets), Windows(frames, aside, tubelets)

    def export(self, folder: Path) -> None:
        """Write the checkpoint folder that the robot loads; the first rank does it."""
        if not self.ranks.first:
            return
        seconds = {name: self._seconds(name) for name in self.recipe.runs}
        meta = {
            "recipe": self.recipe.name,
            "world_version": WORLD_VERSION,
            "trained_seconds": seconds,
            "temperature": float(1 / self.temperature().detach()),
        }
        checkpoint.save(self.model, self.tokenizer, folder, meta, reliability=self._reliability())

    def _reliability(self) -> Reliability:
        """Measured anew for every export: it belongs to exactly these weights."""
        print("run reliability", flush=True)
        _, aside = self._windows(self.recipe.sft.fit.device)
        self.model.to("cpu")
        return measure(self.model, self.tokenizer, aside, self.recipe.reliability)

    def _seconds(self, name: str) -> float:
        return progress_of(self.out / name).seconds


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--out", default="", help="folder of the runs; empty = runs/RECIPE")
    parser.add_argument("--config", default="", help="YAML file of settings to override")
    parser.add_argument("--last", default=RUNS[-1], choices=RUNS, help="stop after this run")
    parser.add_argument("--export", default="", help="checkpoint folder; empty = OUT/checkpoint")
    given = parser.parse_args(arguments)
    recipe = RECIPES[given.recipe]()
    if given.config:
        recipe = override(recipe, yaml.safe_load(Path(given.config).read_text()))
    out = Path(given.out or f"runs/{recipe.name}")
    with ranks(recipe.sft.fit.device) as these:
        chain = Chain(recipe, out, these)
        chain.run(given.last)
        if given.last == RUNS[-1]:
            folder = Path(given.export or out / "checkpoint")
            chain.export(folder)
            chain.say(f"checkpoint: {folder}")


def _grows_from(model: ModelConfig, older: ModelConfig) -> bool:
    """Whether `model` has every part of `older`, and at most imagined scenes besides."""
    old, new = older.predictor, model.predictor
    predictor = replace(old, next_tokens=new.next_tokens)
    return old.next_tokens <= new.next_tokens and replace(older, predictor=predictor) == model


def override(recipe: Recipe, changes: dict[str, object]) -> Recipe:
    """The recipe with some settings replaced; an unknown one is a ConfigError."""
    return from_dict(Recipe, _merged(to_dict(recipe), changes))


def _merged(old: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    merged = dict(old)
    for key, value in new.items():
        inner = merged.get(key)
        both = isinstance(inner, dict) and isinstance(value, dict)
        merged[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]
    return merged


if __name__ == "__main__":
    main()
