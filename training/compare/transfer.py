"""What is learnt on one renderer's pictures, asked about the other's.

For each renderer an X-encoder is trained from nothing on dense labels of its pictures, or taken as
it is; on its tokens a predictor learns (`base` of training/compare/ablations.py), and both are
asked about the same moments of the same test streams, drawn by either renderer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from training.compare import ask, tasks
from training.compare.bootstrap import Answers, estimate
from training.compare.claims import BLIND, MEASURES
from training.compare.runner import Runner
from training.compare.settings import Comparison, ablations
from training.fit import FitConfig
from training.runs import DataConfig, Recipe, XEncoderRun
from training.tabletop.render import RendererName
from training.tabletop.world import WORLD_VERSION
from training.train import Chain
from vljepa_ros.model import checkpoint
from vljepa_ros.model.vljepa import VLJepa

LEARNER = "base"
RENDERERS: tuple[RendererName, ...] = ("painter", "mujoco")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Way:
    """An X-encoder and the pictures that are learnt from."""

    data: DataConfig
    x_encoder: str = ""
    """Checkpoint whose X-encoder is taken as it is; empty = one is trained on these pictures."""


def _data(renderer: RendererName) -> DataConfig:
    return DataConfig(cache=f"runs/transfer-{renderer}", episodes=400, renderer=renderer)


@dataclass(frozen=True)
class Transfer:
    """What is trained, and asked."""

    ways: Mapping[str, Way] = field(
        default_factory=lambda: {name: Way(_data(name)) for name in RENDERERS}
    )
    asked: tuple[RendererName, ...] = RENDERERS
    """Whose pictures of the test streams."""
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(steps=1200, batch_size=128, lr=1e-3, warmup_steps=100)
    )
    """Of the X-encoders."""
    comparison: Comparison = field(default_factory=ablations)
    """Of the predictors, each with its first seed; `data` and `learners` are the ways' own."""


def measure(transfer: Transfer, out: Path, results: Path, say: Say = print) -> None:
    """Train what is not trained yet, ask all of it, and write one JSON file."""
    scores = {name: _way(transfer, name, way, out, say) for name, way in transfer.ways.items()}
    said = {
        "world_version": WORLD_VERSION,
        "fit": asdict(transfer.fit),
        "ways": {name: asdict(way) for name, way in transfer.ways.items()},
        "seed": transfer.comparison.items.seed,
        "scores": scores,
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(said, indent=2) + "\n")


def _way(transfer: Transfer, name: str, way: Way, out: Path, say: Say) -> dict[str, object]:
    """Scores by whose pictures are asked about."""
    say(f"way {name}")
    model = _model(transfer, way, out / name, say)
    seed = transfer.comparison.seeds[0]
    comparison = replace(
        transfer.comparison, model=str(model), learners=(LEARNER,), seeds=(seed,), data=way.data
    )
    runner = Runner(comparison, out / name / "predictor", say)
    runner.run()
    learner = runner.trained(LEARNER)
    found: dict[str, object] = {}
    for renderer in transfer.asked:
        items = comparison.items
        asked = tasks.make(runner.frozen, items, items.seed, renderer)
        found[renderer] = _scores(asked, ask.ask(learner, asked, last=True))
        say(f"{name}, asked about {renderer}: {found[renderer]}")
    return found


def _model(transfer: Transfer, way: Way, out: Path, say: Say) -> Path:
    """A checkpoint with the X-encoder of this way, all else as the comparison's."""
    made, start = out / "model", out / "start"
    if (made / checkpoint.CONFIG).exists():  # written last
        return made
    model, tokenizer = checkpoint.load(transfer.comparison.model)
    torch.manual_seed(transfer.fit.seed)
    if way.x_encoder:
        model.x_encoder = checkpoint.load(way.x_encoder)[0].x_encoder
        checkpoint.save(model, tokenizer, made, {"recipe": "transfer"})
        return made
    model.x_encoder = VLJepa(model.config).x_encoder
    checkpoint.save(model, tokenizer, start, {"recipe": "transfer"})
    recipe = Recipe(
        name="transfer",
        start=str(start),
        runs=("x_encoder",),
        model=model.config,
        data=way.data,
        x_encoder=XEncoderRun(transfer.fit),
    )
    chain = Chain(recipe, out / "chain")
    chain.run()
    checkpoint.save(chain.model, tokenizer, made, {"recipe": recipe.name})
    return made


def _scores(asked: tasks.Tasks, worth: ask.Worth) -> dict[str, object]:
    found: dict[str, object] = {}
    pools = {f"{name}_r1": some for name, some in asked.pools.items()}
    choices = asked.choices | pools
    for name, measure_of in (MEASURES | BLIND).items():
        if measure_of.worth in worth and measure_of.task in choices:
            some = choices[measure_of.task]
            kinds = some.kind_R if measure_of.by_kind else None
            answers = Answers(worth[measure_of.worth][None], some.episode_R, kinds)
            found[name] = asdict(estimate(answers))
    return found
