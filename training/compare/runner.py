"""Train and ask every learner with every seed: each is a run of its own that can go on later.

`<out>/<learner>/lr-…-seed-…` holds a run's states, its milestones and what its answers were worth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from training import milestones
from training.compare import ask, learners, tasks
from training.compare.ablations import ABLATIONS
from training.compare.bootstrap import Answers
from training.compare.frozen import Frozen
from training.compare.learner import Learner
from training.compare.settings import BRIEF, LEARNERS, VARIANTS, Comparison, ItemsConfig
from training.compare.text_targets import with_text_targets
from training.fit import fit
from vljepa_ros import provenance
from vljepa_ros.config import ConfigError, to_dict
from vljepa_ros.model import checkpoint

COMPARISON, RUN, ITEMS, TARGETS = "comparison.json", "run.json", "items.npz", "targets"
MAY_DIFFER = ("learners", "seeds")
"""A comparison can be widened in the same folder."""


@dataclass(frozen=True)
class Run:
    """One learner with one seed and one learning rate."""

    learner: str
    seed: int
    lr: float

    def folder(self, out: Path) -> Path:
        return out / self.learner / f"lr-{self.lr:g}-seed-{self.seed}"


class Runner:
    """One comparison in one folder."""

    def __init__(
        self, comparison: Comparison, out: Path, say: Callable[[str], None] = print
    ) -> None:
        """
        Raises:
            ConfigError: the folder holds another comparison.
            CheckpointError: the model cannot be used.
        """
        self.comparison, self.out, self._say = comparison, out, say
        _claim(out, comparison)
        self.frozen = Frozen(self._checkpoint(), comparison.fit.device)

    def _checkpoint(self) -> str | Path:
        """Whose X-encoder, tokenizer, sizes and text targets all learners get."""
        config = self.comparison
        if config.y_encoder is None:
            return config.model
        return with_text_targets(config.model, config.y_encoder, self.out / TARGETS)

    @cached_property
    def streams(self) -> learners.Streams:
        return learners.Streams(self.frozen, self.comparison, self._say)

    @cached_property
    def test(self) -> tasks.Tasks:
        """What finished learners are asked."""
        config = self.comparison.items
        made = tasks.make(self.frozen, config, config.seed)
        _save_items(self.out / ITEMS, made)
        return made

    @cached_property
    def tune(self) -> tasks.Tasks:
        """What learning rates are chosen by: no stream of the test, and no pools."""
        config: ItemsConfig = replace(self.comparison.items, pools=0)
        return tasks.make(self.frozen, config, config.tune_seed)

    def run(self) -> None:
        """All that is still to do."""
        rates = {name: self.learning_rate(name) for name in self.comparison.learners}
        for seed in self.comparison.seeds:
            for name, lr in rates.items():
                self.complete(
                    Run(name, seed, lr), self.comparison.steps_of(name), lambda: self.test
                )

    def learning_rate(self, name: str) -> float:
        """The best of the grid by the tuning seed and the tuning streams."""
        name = (VARIANTS | BRIEF).get(name, name)
        if name in self.comparison.rates:
            return self.comparison.rates[name]
        comparison, last = self.comparison, self.comparison.steps[-1]
        if len(comparison.lrs) == 1:
            return comparison.lrs[0]
        found = {}
        for lr in comparison.lrs:
            run = Run(name, comparison.tuning_seed, lr)
            self.complete(run, (last,), lambda: self.tune)
            found[lr] = tuning_score(ask.load(_worth(run.folder(self.out), last)))
        best = max(found, key=lambda lr: found[lr])
        listed = ", ".join(f"{lr:g}: {score:.4f}" for lr, score in found.items())
        self._say(f"{name}: learning rate {best:g} of {listed}")
        return best

    def complete(self, run: Run, steps: Sequence[int], asked: Callable[[], tasks.Tasks]) -> None:
        """Train a run to its end and ask it at `steps`, as far as that is not done."""
        folder = run.folder(self.out)
        todo = [step for step in steps if not _worth(folder, step).exists()]
        if not todo:
            return
        self._say(f"run {folder.relative_to(self.out)}")
        config = replace(
            self.comparison.fit, steps=steps[-1], lr=run.lr, seed=run.seed, keep_at=tuple(steps)
        )
        torch.manual_seed(run.seed)
        learner = learners.make(run.learner, self.frozen, self.streams, run.seed)
        fit(learner, config, folder, self._say)
        for step in todo:
            milestones.restore(folder, step, learner.module())
            worth = ask.ask(learner, asked(), last=step == steps[-1])
            ask.save(_worth(folder, step), worth)
        _describe(folder, run, steps, learner, self.comparison.model)

    def trained(self, name: str, seed: int | None = None) -> Learner:
        """A learner as a seed left it, without one the first."""
        seed = self.comparison.seeds[0] if seed is None else seed
        run = Run(name, seed, self.learning_rate(name))
        learner = learners.make(name, self.frozen, self.streams, run.seed)
        milestones.restore(run.folder(self.out), self.comparison.steps[-1], learner.module())
        return learner


def tuning_score(worth: ask.Worth) -> float:
    """Mean of what a learner was asked: the same for all, so that none is tuned for one score."""
    names = (tasks.ACTION, tasks.VQA, tasks.TRANSITION, *(f"{n}_match" for n in tasks.CAPTIONS))
    return float(np.mean([worth[name].mean() for name in names if name in worth]))


def answers(
    out: Path, runs: Sequence[Run], step: int, worth: str, task: str, by_kind: bool
) -> Answers | None:
    """What runs of one learner answered to a task after some steps; None where it never answers.

    Args:
        worth: name of the measure, as `ask.ask` calls it.
    """
    found = [ask.load(_worth(run.folder(out), step)) for run in runs]
    answered = worth + ask.ANSWERED
    if any(worth not in one or not one.get(answered, np.ones(1)).any() for one in found):
        return None
    items = ask.load(out / ITEMS)
    return Answers(
        np.stack([one[worth] for one in found]),
        items[f"{task}.episode"].astype(np.int64),
        items[f"{task}.kind"].astype(np.str_) if by_kind else None,
    )


def finished(out: Path) -> dict[str, list[Run]]:
    """Runs of the test by learner, in the order of the settings and of their seeds."""
    comparison = json.loads((out / COMPARISON).read_text())
    found: dict[str, list[Run]] = {}
    for path in sorted(out.glob(f"*/*/{RUN}")):
        said = json.loads(path.read_text())
        if said["seed"] != comparison["tuning_seed"]:
            found.setdefault(said["learner"], []).append(
                Run(said["learner"], said["seed"], said["lr"])
            )
    names = [name for name in (*LEARNERS, *VARIANTS, *BRIEF, *ABLATIONS) if name in found]
    return {name: sorted(found[name], key=lambda run: run.seed) for name in names}


def origin(out: Path, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Commits of the source that trained these runs, and digest of the weights they began with."""
    files = (run.folder(out) / RUN for some in runs.values() for run in some)
    said = [json.loads(file.read_text()) for file in files]
    return {
        "trained_at": sorted({one["commit"] for one in said}),
        "sha256": ", ".join(sorted({one["sha256"] for one in said})),
    }


def _worth(folder: Path, step: int) -> Path:
    return folder / f"worth-{step:08d}.npz"


def _describe(folder: Path, run: Run, steps: Sequence[int], learner: Learner, model: str) -> None:
    seconds = {step: milestones.restore(folder, step, learner.module()).seconds for step in steps}
    said = {"learner": run.learner, "seed": run.seed, "lr": run.lr}
    said |= {"parameters": learner.parameters(), "trained_seconds": seconds}
    sha256 = checkpoint.describe(model).sha256[checkpoint.WEIGHTS]
    said |= {"commit": provenance.commit(), "sha256": sha256}
    (folder / RUN).write_text(json.dumps(said, indent=2) + "\n")


def _claim(out: Path, comparison: Comparison) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / COMPARISON
    wanted = json.loads(json.dumps(to_dict(comparison)))
    if path.exists():
        there = json.loads(path.read_text())
        changed = sorted(k for k in wanted if k not in MAY_DIFFER and there.get(k) != wanted[k])
        if changed:
            raise ConfigError(
                f"{out} holds a comparison with other {', '.join(changed)}; give another --out"
            )
    path.write_text(json.dumps(wanted, indent=2) + "\n")


def _save_items(path: Path, made: tasks.Tasks) -> None:
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    pools = {f"{name}_r1": some for name, some in made.pools.items()}
    for name, choices in (made.choices | pools).items():
        arrays[f"{name}.episode"], arrays[f"{name}.kind"] = choices.episode_R, choices.kind_R
        arrays[f"{name}.chance"] = np.array([1 / len(item.candidates) for item in choices.items])
    for name, captions in made.captions.items():
        arrays[f"{name}.episode"] = captions.episode_R
    ask.save(path, arrays)  # type: ignore[arg-type]
