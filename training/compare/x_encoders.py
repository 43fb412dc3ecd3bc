"""X-encoders that came about in several ways, and what a predictor learns on the tokens of each.

An X-encoder learns from the dense labels of one renderer's pictures, from texts alone, or from
texts after labels; or it is taken as it is. On its tokens, frozen, new predictors learn (`base` of
training/compare/ablations.py), and all are asked about the same moments of the same test streams,
drawn by either renderer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from training.compare import ask, tasks
from training.compare.bootstrap import Answers, estimate
from training.compare.claims import BLIND, MEASURES
from training.compare.retrained import MODEL, retrained
from training.compare.runner import Runner, finished, origin
from training.compare.settings import FIRST_SEED, Comparison, ablations
from training.embed import EmbedSettings
from training.fit import FitConfig
from training.runs import DataConfig, EmbedRun, Recipe, XEncoderRun
from training.tabletop.render import RendererName
from training.tabletop.world import WORLD_VERSION
from vljepa_ros import provenance
from vljepa_ros.config import ConfigError
from vljepa_ros.model import checkpoint
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

LEARNER, PREDICTOR, SCORES = "base", "predictor", "scores.json"
Say = Callable[[str], None]
Said = dict[str, object]


@dataclass(frozen=True)
class Way:
    """How an X-encoder comes about: by labels, then by texts, or as it is where there is neither.

    Texts teach it through a predictor of its own, which is thrown away.
    """

    renderer: RendererName = "painter"
    """Whose pictures are learnt from, by X-encoder and predictors."""
    start: str = ""
    """Checkpoint whose X-encoder it starts from; empty = from nothing."""
    labels: XEncoderRun | None = None
    texts: EmbedRun | None = None


def by_labels() -> XEncoderRun:
    return XEncoderRun(FitConfig(steps=1000, batch_size=128, lr=1e-3, warmup_steps=100))


def by_texts(steps: int = 1000, x_lr_share: float = 1.0) -> EmbedRun:
    """From the texts of the comparison, no label of the simulator beside them.

    Tokens are new in every step, so none of their values are dropped.
    """
    learn = EmbedSettings(x_lr_share=x_lr_share, token_dropout=0.0, grounding=False)
    fit = FitConfig(steps=steps, batch_size=64, lr=5e-4, warmup_steps=steps // 10)
    return EmbedRun(fit, learn, mix=ablations().mix)


def ways() -> dict[str, Way]:
    """Labels of either renderer; of the painter's pictures also texts, alone and after labels."""
    labels = by_labels()
    return {
        "painter": Way(labels=labels),
        "mujoco": Way("mujoco", labels=labels),
        "texts": Way(texts=by_texts()),
        "labels_then_texts": Way(labels=labels, texts=by_texts(steps=300, x_lr_share=0.1)),
    }


@dataclass(frozen=True)
class XEncoders:
    """What is trained, and asked."""

    ways: Mapping[str, Way] = field(default_factory=ways)
    asked: tuple[RendererName, ...] = ("painter", "mujoco")
    """Whose pictures of the test streams."""
    data: DataConfig = field(
        default_factory=lambda: DataConfig("runs/x-encoders", FIRST_SEED, episodes=400)
    )
    """Streams; a renderer's are cached in a folder of its own, `<cache>-<renderer>`."""
    seed: int = 0
    """Of new weights."""
    comparison: Comparison = field(default_factory=ablations)
    """Of the predictors, all its seeds on each X-encoder; `data` and `learners` are not read, and
    `fit.threads` is everybody's."""

    def data_of(self, way: Way) -> DataConfig:
        name = way.renderer
        return replace(self.data, cache=f"{self.data.cache}-{name}", renderer=name)


def measure(config: XEncoders, out: Path, say: Say = print) -> None:
    """Train and ask, as far as that is not done; `<out>/<way>/scores.json` keeps what came out.

    Raises:
        ConfigError: a way was finished with other settings.
    """
    for name, way in config.ways.items():
        file = out / name / SCORES
        asked: Said = {"way": asdict(way), "seed": config.comparison.items.seed}
        asked |= {"predictor_seeds": config.comparison.seeds}
        asked = json.loads(json.dumps(asked))  # as the file has it: no tuples
        if file.exists():
            there = json.loads(file.read_text())
            if any(there[key] != wanted for key, wanted in asked.items()):
                raise ConfigError(f"{file} is of other settings; give another --out")
            continue
        scores = _way(config, way, out / name, say)
        said = asked | _origin(config, out / name) | {"scores": scores}
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(said, indent=2) + "\n")
        partial.replace(file)


def _origin(config: XEncoders, out: Path) -> Said:
    """Commits that trained X-encoder and predictors, and the weights whose targets they learnt."""
    predictors = origin(out / PREDICTOR, finished(out / PREDICTOR))["trained_at"]
    encoder = checkpoint.describe(out / MODEL).meta["commit"]
    weights = checkpoint.describe(config.comparison.model).sha256[checkpoint.WEIGHTS]
    return {"trained_at": sorted({encoder, *predictors}), "sha256": weights}


def report(out: Path, results: Path) -> Said:
    """Write one JSON file of all ways that are finished.

    Raises:
        ConfigError: there is none.
    """
    files = {file.parent.name: file for file in sorted(out.glob(f"*/{SCORES}"))}
    if not files:
        raise ConfigError(f"no finished way in {out}; run python -m training.compare x_encoders")
    names = [*(name for name in ways() if name in files), *(n for n in files if n not in ways())]
    found = {name: json.loads(files[name].read_text()) for name in names}
    first = next(iter(found.values()))
    said = provenance.facts(provenance.command()) | {
        "trained_at": sorted({commit for one in found.values() for commit in one["trained_at"]}),
        "sha256": ", ".join(sorted({one["sha256"] for one in found.values()})),
        "seed": first["seed"],
        "seeds": first["predictor_seeds"],
        "world_version": WORLD_VERSION,
        "ways": found,
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(said, indent=2) + "\n")
    return said


def table(said: Said) -> str:
    """What each way scores on whose pictures."""
    ways = said["ways"]
    assert isinstance(ways, dict)
    lines = []
    for name, way in ways.items():
        for renderer, scores in way["scores"].items():
            values = (f"{measure} {score['value']:.3f}" for measure, score in scores.items())
            lines.append(f"{name} asked about {renderer}: {', '.join(values)}")
    return "\n".join(lines)


def _way(config: XEncoders, way: Way, out: Path, say: Say) -> dict[str, object]:
    """Scores by whose pictures are asked about."""
    say(f"way {out.name}")
    model = _model(config, way, out)
    comparison = replace(
        config.comparison, model=str(model), learners=(LEARNER,), data=config.data_of(way)
    )
    runner = Runner(comparison, out / PREDICTOR, say)
    runner.run()
    learners = [runner.trained(LEARNER, seed) for seed in comparison.seeds]
    found: dict[str, object] = {}
    for renderer in config.asked:
        items = comparison.items
        asked = tasks.make(runner.frozen, items, items.seed, renderer)
        found[renderer] = _scores(asked, [ask.ask(one, asked, last=True) for one in learners])
        say(f"{out.name}, asked about {renderer}: {found[renderer]}")
    return found


def _model(config: XEncoders, way: Way, out: Path) -> Path:
    """A checkpoint with the X-encoder of this way; Y-encoder and tokenizer are the comparison's."""

    def begin() -> tuple[VLJepa, Tokenizer]:
        model, tokenizer = checkpoint.load(config.comparison.model)
        torch.manual_seed(config.seed)
        new = VLJepa(model.config)
        # The comparison's predictor knows the tokens of its own X-encoder: none learns from it.
        model.predictor, model.x_encoder = new.predictor, new.x_encoder
        if way.start:
            model.x_encoder = checkpoint.load(way.start)[0].x_encoder
        return model, tokenizer

    return retrained(out, begin, _recipe(config, way))


def _recipe(config: XEncoders, way: Way) -> Recipe:
    """What a way's X-encoder learns."""
    recipe = Recipe("x_encoders", runs=(), data=config.data_of(way))
    threads = config.comparison.fit.threads
    if way.labels is not None:
        fit = replace(way.labels.fit, threads=threads)
        recipe = replace(recipe, runs=("x_encoder",), x_encoder=replace(way.labels, fit=fit))
    if way.texts is not None:
        fit = replace(way.texts.fit, threads=threads)
        runs = (*recipe.runs, "pretrain")
        recipe = replace(recipe, runs=runs, pretrain=replace(way.texts, fit=fit))
    return recipe


def _scores(asked: tasks.Tasks, worths: list[ask.Worth]) -> dict[str, object]:
    """Estimates over streams and the predictors' seeds."""
    found: dict[str, object] = {}
    pools = {f"{name}_r1": some for name, some in asked.pools.items()}
    choices = asked.choices | pools
    for name, measure_of in (MEASURES | BLIND).items():
        if measure_of.worth in worths[0] and measure_of.task in choices:
            some = choices[measure_of.task]
            kinds = some.kind_R if measure_of.by_kind else None
            worth_SR = np.stack([worth[measure_of.worth] for worth in worths])
            found[name] = asdict(estimate(Answers(worth_SR, some.episode_R, kinds)))
    return found
