"""Train a named recipe: `python -m training.train tabletop-small --out runs/small`.

A recipe is a chain of runs and then the export; the export measures how far the model can be
trusted. Each run saves its state, so the same command continues an interrupted chain where it
stopped. Under torchrun the same command trains on several processes:

    torchrun --nproc-per-node 8 -m training.train one_gpu --set shards.root=/data/shards
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import yaml
from jsonargparse import ArgumentParser
from torch.distributed.elastic.multiprocessing.errors import record
from torch.distributed.tensor import DTensor

from training import reliability
from training.data.errors import DataError, SkippedTooManyError
from training.data.run_data import ShardData
from training.distributed import ALONE, Ranks, ranks
from training.embed import EmbedStage, ParaphraseStage
from training.fit import FitConfig, fit
from training.loss import Temperature
from training.overrides import overridden
from training.parallel import Stage
from training.precision import attention
from training.runs import EMBED_RUNS, RECIPES, RUNS, EmbedRun, Recipe
from training.state import StateError, progress_of
from training.stop import LossError
from training.tabletop import language
from training.tabletop.batches import ParaphraseBatches, WindowBatches
from training.tabletop.data import TabletopData
from training.tabletop.world import WORLD_VERSION
from training.y_decoder import YDecoderStage
from vljepa_ros.config import ConfigError, ModelConfig, to_dict
from vljepa_ros.model import backbones, checkpoint
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.reliability import Reliability
from vljepa_ros.model.text import TextError, Tokenizer, ignore_case, train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

ROOT = Path(__file__).resolve().parents[1]
TOKENIZER_FILE = "tokenizer.json"
EXPECTED = (
    ConfigError,
    CheckpointError,
    DataError,
    LossError,
    SkippedTooManyError,
    StateError,
    TextError,
)
"""What a user can mend: said in one line."""

UNWRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR),
)
"""Of disks and folders that take no files."""


class Chain:
    """One recipe in one folder: what is trained so far lies in `<out>/<run>/states`."""

    def __init__(self, recipe: Recipe, out: Path, ranks: Ranks = ALONE) -> None:
        self.ranks = ranks
        self.out = out
        if recipe.model is None:
            recipe = replace(recipe, model=checkpoint.describe(started_from(recipe.start)).config)
        self.recipe = recipe
        out.mkdir(parents=True, exist_ok=True)
        if ranks.first:
            (out / "recipe.json").write_text(json.dumps(to_dict(recipe), indent=2))
        self.model, self.tokenizer, temperature = self._started() if recipe.start else self._new()
        self.temperature = Temperature(temperature)
        self.shards: ShardData | None = None
        if recipe.shards is not None:
            self.shards = ShardData(recipe, self.tokenizer, ranks, out)
        self.tabletop = TabletopData(recipe, self.tokenizer, ranks)

    @property
    def config(self) -> ModelConfig:
        """The model that is trained."""
        assert self.recipe.model is not None
        return self.recipe.model

    def _new(self) -> tuple[VLJepa, Tokenizer, float]:
        tokenizer = self._tokenizer()
        torch.manual_seed(self.recipe.x_encoder.fit.seed)
        model = VLJepa(self.config, attention(self.recipe.sft.fit.device))
        filled = self.recipe.backbones
        if filled.x_encoder:
            backbones.fill_x_encoder(model.x_encoder, filled.x_encoder)
        if filled.predictor:
            backbones.fill_predictor(model.predictor, filled.predictor)
        if filled.y_encoder:
            backbones.fill_y_encoder(model.y_encoder, filled.y_encoder)
        return model, tokenizer, 0.07

    def _started(self) -> tuple[VLJepa, Tokenizer, float]:
        """A checkpoint's weights; what the recipe's model has besides starts as if new."""
        start = started_from(self.recipe.start)
        described = checkpoint.describe(start)
        if not _grows_from(self.config, described.config):
            raise ConfigError(f"the recipe's model is not that of {start}; start from nothing")
        old, tokenizer = checkpoint.load(start)
        torch.manual_seed(self.recipe.sft.fit.seed)
        model = VLJepa(self.config, attention(self.recipe.sft.fit.device))
        model.load_state_dict(model.state_dict() | old.state_dict())
        if self.recipe.shards is None:
            tokenizer = ignore_case(tokenizer)
        return model, tokenizer, float(described.meta.get("temperature", 0.07))

    def _tokenizer(self) -> Tokenizer:
        filled = self.recipe.backbones
        if self.recipe.shards is not None:
            if not filled.predictor or not filled.y_encoder:
                raise ConfigError(
                    "a new model on shards needs tokenizers; set backbones.predictor and "
                    "backbones.y_encoder to local Hugging Face folders, or `start` to a checkpoint"
                )
            target = Tokenizer.from_file(Path(filled.y_encoder) / TOKENIZER_FILE)
            text = (Path(filled.predictor) / TOKENIZER_FILE).read_text(encoding="utf-8")
            return Tokenizer.from_json(text, target)
        path = self.out / TOKENIZER_FILE
        if self.ranks.first and not path.exists():
            rng = np.random.default_rng(self.recipe.data.first_seed)
            corpus = language.corpus(rng, self.recipe.data.tokenizer_sentences)
            vocab_size = self.config.predictor.vocab_size
            tokenizer = ignore_case(train_tokenizer(corpus, vocab_size))
            path.write_text(tokenizer.to_json())
        self.ranks.wait()
        return Tokenizer.from_file(path)

    def run(self, last: str = RUNS[-1]) -> None:
        """Train up to the run `last`, resuming each run from its state.

        Raises:
            ConfigError, DataError: a run, also a later one, could not begin.
        """
        names = [n for n in RUNS[: RUNS.index(last) + 1] if n in self.recipe.runs]
        self._check(names)
        for name in names:
            self.say(f"run {name}")
            config: FitConfig = getattr(self.recipe, name).fit
            fit(self._stage(name), config, self.out / name, self.say, self.ranks)
            self.model, self.temperature = whole(self.model, self.temperature)

    def _check(self, names: Sequence[str]) -> None:
        """What the last run lacks is to be known now, not after weeks."""
        for name in names:
            config: FitConfig = getattr(self.recipe, name).fit
            config.parts(self.ranks)
            self.ranks.device(config.device)
        if self.shards is not None:
            if "x_encoder" in names:
                raise ConfigError(
                    "x_encoder needs the simulated world's labels; leave it out of runs"
                )
            if self.ranks.first:
                fits = [getattr(self.recipe, name).fit for name in names]
                embedding = [getattr(self.recipe, n) for n in names if n in EMBED_RUNS]
                self.shards.check(embedding, fits)

    def say(self, line: str) -> None:
        """One rank speaks for all."""
        if self.ranks.first:
            print(line, flush=True)

    def _stage(self, name: str) -> Stage:
        if name in EMBED_RUNS:
            return self._embed(getattr(self.recipe, name))
        stages = {
            "x_encoder": self._x_encoder,
            "y_encoder": self._y_encoder,
            "y_decoder": self._y_decoder,
        }
        return stages[name]()

    def _x_encoder(self) -> Stage:
        return self.tabletop.x_encoder(self.recipe.x_encoder, self.model)

    def _y_encoder(self) -> Stage:
        config = self.recipe.y_encoder.fit
        parts = config.parts(self.ranks)
        batches = ParaphraseBatches(self.tokenizer, config.batch_size, config.seed, parts)
        return ParaphraseStage(self.model, batches, self.ranks)

    def _embed(self, run: EmbedRun) -> Stage:
        self._see(run.frames or self.config.clip_frames)
        data = (self.shards or self.tabletop).embed(run, self.model)
        return EmbedStage(self.model, self.temperature, data, run.learn, self.ranks)

    def _y_decoder(self) -> Stage:
        run = self.recipe.y_decoder
        self._see(self.config.clip_frames)
        batches = (self.shards or self.tabletop).decode(run, self.model)
        return YDecoderStage(self.model, batches, run.predicted_share, run.noise)

    def _see(self, frames: int) -> None:
        """The same weights in a model for clips of so many frames."""
        if frames != self.model.config.clip_frames:
            config = with_frames(self.config, frames)
            self.model = copied(self.model, VLJepa(config, attention(self.recipe.sft.fit.device)))

    def export(self, folder: Path) -> None:
        """Write the checkpoint folder that the robot loads; the first rank does it."""
        if not self.ranks.first:
            return
        self._see(self.config.clip_frames)
        seconds = {name: progress_of(self.out / name).seconds for name in self.recipe.runs}
        meta = {
            "recipe": self.recipe.name,
            "world_version": WORLD_VERSION,
            "trained_seconds": seconds,
            "temperature": float(1 / self.temperature().detach()),
        }
        measured = self._reliability()
        checkpoint.save(self.model, self.tokenizer, folder, meta, reliability=measured)

    def _reliability(self) -> Reliability | None:
        """Measured anew for every export: it belongs to exactly these weights."""
        self.say("run reliability")
        if self.shards is not None:
            return self._reliability_from_shards()
        # Alone: the other ranks have nothing more to do, and must not be waited for.
        tabletop = TabletopData(self.recipe, self.tokenizer, ALONE)
        _, aside = tabletop.windows(self.model, self.recipe.sft.fit.device)
        self.model.to("cpu")
        config, run = self.recipe.reliability, self.recipe.y_decoder
        asked = WindowBatches(
            aside, self.tokenizer, self.config, run.mix, run.fit.batch_size, config.seed
        )
        temperature = float(1 / self.temperature().detach())
        return reliability.measure(self.model, self.tokenizer, aside, asked, config, temperature)

    def _reliability_from_shards(self) -> Reliability | None:
        """Of scenes and words alone; None where too little was kept aside to tell."""
        config, run = self.recipe.reliability, self.recipe.y_decoder
        if not (self.recipe.shards and self.recipe.shards.aside):
            self.say("not measured: nothing was kept aside, and of its own samples it is too sure")
            return None
        asked = ShardData(self.recipe, self.tokenizer, ALONE, self.out).aside(run, self.model)
        if asked.samples < config.fewest_samples:
            self.say(
                f"not measured: {asked.samples} samples kept aside are fewer than "
                f"{config.fewest_samples}; without it nothing is known of strange scenes"
            )
            return None
        self.model.to(ALONE.device(run.fit.device))
        return reliability.measure_from_clips(self.model, self.tokenizer, asked, config)


def started_from(name: str) -> Path:
    """The checkpoint folder `name`, which may be one of this repository from elsewhere too.

    Raises:
        ConfigError: neither.
    """
    folder = Path(name)
    for found in (folder, ROOT / folder):
        if found.is_dir():
            return found
    raise ConfigError(f"start: {folder} is no folder; set `start` to a checkpoint folder")


def with_frames(config: ModelConfig, frames: int) -> ModelConfig:
    """The model for clips of another length.

    Raises:
        ConfigError: it has weights for every frame of its clips.
    """
    if config.predictor.merge_frames or config.predictor.learned_positions:
        raise ConfigError(
            f"this model sees clips of {config.clip_frames} frames; set `frames` to 0"
        )
    x_encoder = replace(config.x_encoder, frames_per_pass=frames)
    return replace(config, clip_frames=frames, x_encoder=x_encoder)


def copied(old: VLJepa, new: VLJepa) -> VLJepa:
    """`new` with the weights of `old`, which may be sharded over the ranks, on the CPU."""
    state = {name: _whole(tensor) for name, tensor in old.state_dict().items()}
    new.load_state_dict(state)
    return new


def whole(model: VLJepa, temperature: Temperature) -> tuple[VLJepa, Temperature]:
    """What a run has trained, as if it had not been sharded over the ranks."""
    parts = (model, temperature)
    if not any(isinstance(p, DTensor) for part in parts for p in part.parameters()):
        return parts
    attention_kind = model.predictor.backbone.config._attn_implementation
    fresh = Temperature(float(1 / _whole(temperature.log_scale).exp()))
    return copied(model, VLJepa(model.config, attention_kind)), fresh


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu()


def _grows_from(model: ModelConfig, older: ModelConfig) -> bool:
    """Whether `model` has every part of `older`, and at most imagined scenes besides."""
    old, new = older.predictor, model.predictor
    predictor = replace(old, next_tokens=new.next_tokens)
    return old.next_tokens <= new.next_tokens and replace(older, predictor=predictor) == model


def main(arguments: list[str] | None = None) -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--out", default="", help="folder of the runs; empty = runs/RECIPE")
    parser.add_argument("--config", default="", help="YAML file of settings to override")
    parser.add_argument(
        "--set", nargs="*", action="extend", default=[], help="settings, as sft.fit.steps=100"
    )
    parser.add_argument("--print", action="store_true", help="print the recipe and do nothing")
    parser.add_argument("--last", default=RUNS[-1], choices=RUNS, help="stop after this run")
    parser.add_argument("--export", default="", help="checkpoint folder; empty = OUT/checkpoint")
    given = parser.parse_args(arguments)
    try:
        recipe = overridden(RECIPES[given.recipe](), given.config, given.set)
        if given.print:
            print(yaml.safe_dump(to_dict(recipe), sort_keys=False), end="")
            return
        _train(recipe, Path(given.out or f"runs/{recipe.name}"), given.last, given.export)
    except EXPECTED as error:
        sys.exit(f"training.train: {reason(error)}")
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        sys.exit(
            f"training.train: {error}; make room, or choose another --out; states that were saved "
            "are whole, and the same command goes on from them"
        )


def reason(error: Exception) -> str:
    """An error's message; of one in a loader's process, without that process's traceback."""
    text = str(error)
    if not text.startswith("Caught "):
        return text
    return text.rpartition(f"\n{type(error).__module__}.{type(error).__qualname__}: ")[2].strip()


@record
def _train(recipe: Recipe, out: Path, last: str, export: str) -> None:
    with ranks(recipe.sft.fit.device) as these:
        chain = Chain(recipe, out, these)
        chain.run(last)
        if last == RUNS[-1]:
            folder = Path(export or out / "checkpoint")
            chain.export(folder)
            chain.say(f"checkpoint: {folder}")


if __name__ == "__main__":
    main()
