"""What is compared, and on what: every default of the comparison written once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from training.compare.ablations import ABLATIONS
from training.fit import FitConfig
from training.runs import DataConfig, YEncoderRun
from training.tabletop.splits import TEST_SEEDS, TUNE_SEEDS
from training.tabletop.tasks import TaskMix

FIRST_SEED = 10_000
"""Of the streams that are learnt from: on these the shipped X-encoder was last trained."""
LEARNERS = ("jepa", "token", "dual", "symbolic")
"""The four that are compared."""
VARIANTS = {"jepa_own": "jepa", "token_deep": "token"}
"""Asked for by name, tuned as the learner behind it: InfoNCE with a row's own wrong candidates as
further negatives; a token model as large as VL-JEPA with its Y-decoder."""
BRIEF = {"token_brief": "token", "jepa_brief": "jepa"}
"""As the learner behind it, with a schedule of its own that ends after fewer steps."""


@dataclass(frozen=True)
class ItemsConfig:
    """What every learner is asked."""

    seed: int = TEST_SEEDS[0]
    tune_seed: int = TUNE_SEEDS[0]
    """First streams of the items by which learning rates are chosen."""
    episodes: int = 40
    most: int = 300
    """Items of a task."""
    pools: int = 60
    """Pools of 100 captions of each kind; only the end of a run is asked."""
    references: int = 5
    """Wordings of the truth that a free caption is held against."""


@dataclass(frozen=True)
class Comparison:
    """One comparison. All learners see the same rows of the same batches in the same order."""

    model: str = "models/tabletop"
    """Checkpoint whose X-encoder, tokenizer and sizes are everybody's."""
    y_encoder: FitConfig | None = field(
        default_factory=lambda: replace(YEncoderRun().fit, threads=1)
    )
    """How the text targets come about, from texts alone; None = the checkpoint's, which have
    learnt from images too."""
    learners: tuple[str, ...] = (*LEARNERS, *BRIEF)
    seeds: tuple[int, ...] = (1, 2, 3)
    tuning_seed: int = 0
    lrs: tuple[float, ...] = (2.5e-4, 5e-4, 1e-3, 2e-3)
    rates: Mapping[str, float] = field(
        default_factory=lambda: {"jepa": 1e-3, "token": 1e-3, "dual": 2.5e-4, "symbolic": 2e-3}
    )
    """Learning rates that are known already, here the best of `lrs` with the shipped targets;
    without a learner's, it is tuned."""
    brief_steps: Mapping[str, int] = field(
        default_factory=lambda: {"token_brief": 314, "jepa_brief": 176}
    )
    """`token` as long as 400 steps of `jepa` take, `jepa` as long as 400 of `dual`: by the costs
    of the comparison before."""
    data: DataConfig = field(
        default_factory=lambda: DataConfig("runs/compare-cache", FIRST_SEED, episodes=400)
    )
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(steps=400, batch_size=64, warmup_steps=40)
    )
    """`lr` and `seed` are set for each run. The dearest of the four, `token`, then takes five
    minutes of one core that multiplies bfloat16, and as much again to be asked."""
    mix: TaskMix = field(
        default_factory=lambda: TaskMix(
            action_caption=0.27, scene_caption=0.2, label=0.08, question=0.25, transition=0.2
        )
    )
    milestones: int = 6
    """Points of a curve: after all steps, half of them, a quarter …"""
    items: ItemsConfig = field(default_factory=ItemsConfig)
    cost_rounds: int = 30
    """Turns in which costs are measured; medians over them."""

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps at which the learners are asked, ascending."""
        halved = {max(1, round(self.fit.steps / 2**k)) for k in range(self.milestones)}
        return tuple(sorted(halved))

    def steps_of(self, name: str) -> tuple[int, ...]:
        """Steps at which this learner is asked; a brief one at its end alone."""
        return (self.brief_steps[name],) if name in BRIEF else self.steps


def ablations() -> Comparison:
    """The runs of `training.compare.ablations`, each shorter than one of the comparison.

    One learning rate for all: the best for `jepa` when the comparison was first run. Text targets
    are those of the model, which its Y-encoder has learnt with images.
    """
    found = Comparison(lrs=(5e-4,), rates={}, milestones=1, y_encoder=None)
    return replace(found, learners=tuple(ABLATIONS), fit=replace(found.fit, steps=300))
