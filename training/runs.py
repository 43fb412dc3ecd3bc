"""Named runs: every default of training written once.

A recipe is the chain `x_encoder → y_encoder → pretrain → sft → y_decoder`; `tabletop` makes a
model from nothing, `tabletop-longer` trains the default model on, `tabletop-small` is the chain in
minutes, `tabletop-tiny` in seconds for tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from training.fit import FitConfig
from training.reliability import ReliabilityRun
from training.tabletop.tasks import TaskMix
from vljepa_ros.config import (
    ModelConfig,
    PredictorConfig,
    XEncoderConfig,
    YDecoderConfig,
    YEncoderConfig,
)
from vljepa_ros.model import presets

SFT_MIX = TaskMix(
    action_caption=0.24,
    scene_caption=0.22,
    label=0.05,
    question=0.2,
    transition=0.2,
    inverse=0.09,
    rollout=0.2,
)


@dataclass(frozen=True)
class DataConfig:
    """The cached streams of the simulated world."""

    cache: str = "runs/cache"
    first_seed: int = 0
    episodes: int = 2000
    aside_every: int = 8
    """Every n-th episode is kept from X-encoder and predictor: to validate, for the Y-decoder and
    for the reliability."""
    render_workers: int = 2
    tokenizer_sentences: int = 60_000


@dataclass(frozen=True)
class XEncoderRun:
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(steps=2200, batch_size=128, lr=1e-3, warmup_steps=150)
    )


@dataclass(frozen=True)
class YEncoderRun:
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(steps=170, batch_size=96, lr=1e-3, warmup_steps=30)
    )


@dataclass(frozen=True)
class EmbedRun:
    """`pretrain` and `sft`."""

    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=300, batch_size=160, lr=1e-3, warmup_steps=100, schedule="constant"
        )
    )
    mix: TaskMix = field(default_factory=TaskMix)
    y_lr_share: float = 0.0
    """The paper trains the Y-encoder at ×0.05; 0 keeps it as `y_encoder` made it."""
    token_dropout: float = 0.1
    """Cached tokens are the same in every pass; dropping some of their values keeps the predictor
    from learning them by heart."""


@dataclass(frozen=True)
class YDecoderRun:
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(steps=520, batch_size=128, lr=1.5e-3, warmup_steps=100)
    )
    mix: TaskMix = field(
        default_factory=lambda: TaskMix(
            action_caption=0.5, scene_caption=0.25, label=0.03, question=0.06, transition=0.16
        )
    )
    predicted_share: float = 0.6
    noise: float = 0.6


RUNS = ("x_encoder", "y_encoder", "pretrain", "sft", "y_decoder")


@dataclass(frozen=True)
class Recipe:
    """One chain of runs and the model it makes."""

    name: str = "tabletop"
    start: str = ""
    """Checkpoint folder whose weights and tokenizer the chain starts from; empty = from nothing."""
    runs: tuple[str, ...] = RUNS
    """Which runs of the chain, in its order; the others' parts stay as they are at the start."""
    model: ModelConfig = field(default_factory=presets.tabletop)
    data: DataConfig = field(default_factory=DataConfig)
    x_encoder: XEncoderRun = field(default_factory=XEncoderRun)
    y_encoder: YEncoderRun = field(default_factory=YEncoderRun)
    pretrain: EmbedRun = field(default_factory=EmbedRun)
    sft: EmbedRun = field(
        default_factory=lambda: EmbedRun(
            fit=FitConfig(steps=1200, batch_size=160, lr=1e-3, warmup_steps=50),
            mix=SFT_MIX,
        )
    )
    y_decoder: YDecoderRun = field(default_factory=YDecoderRun)
    reliability: ReliabilityRun = field(default_factory=ReliabilityRun)


def _short(steps: int, batch_size: int) -> FitConfig:
    return FitConfig(steps=steps, batch_size=batch_size, lr=1e-3, warmup_steps=steps // 10)


def tabletop() -> Recipe:
    return Recipe()


def tabletop_longer() -> Recipe:
    """Sharper eyes for `models/tabletop`, then `sft` and its Y-decoder again, on other streams."""
    return Recipe(
        name="tabletop-longer",
        start="models/tabletop",
        runs=("x_encoder", "sft", "y_decoder"),
        data=DataConfig(first_seed=3500, episodes=1700),
        x_encoder=XEncoderRun(FitConfig(steps=600, batch_size=128, lr=7e-4, warmup_steps=30)),
        sft=EmbedRun(
            fit=FitConfig(steps=750, batch_size=128, lr=8e-4, warmup_steps=40),
            mix=SFT_MIX,
        ),
        y_decoder=YDecoderRun(
            fit=FitConfig(steps=300, batch_size=128, lr=6e-4, warmup_steps=20),
        ),
    )


def tabletop_small() -> Recipe:
    """The same chain, small enough to try on two cores in minutes."""
    return Recipe(
        name="tabletop-small",
        data=DataConfig(cache="runs/cache-small", episodes=100, tokenizer_sentences=10_000),
        x_encoder=XEncoderRun(fit=_short(200, 64)),
        y_encoder=YEncoderRun(fit=_short(60, 96)),
        pretrain=EmbedRun(fit=_short(60, 96)),
        sft=EmbedRun(fit=_short(120, 96), mix=SFT_MIX),
        y_decoder=YDecoderRun(fit=_short(100, 96)),
        reliability=ReliabilityRun(moments=500, steps=200),
    )


def tabletop_tiny() -> Recipe:
    """Every run of the chain in seconds, for tests."""
    fit = FitConfig(steps=3, batch_size=8, lr=1e-3, warmup_steps=1, workers=0, threads=1)
    embed = EmbedRun(fit=fit, mix=SFT_MIX)
    return Recipe(
        name="tabletop-tiny",
        model=_tiny_model(),
        data=DataConfig(
            cache="runs/cache-tiny",
            episodes=4,
            render_workers=1,
            tokenizer_sentences=500,
            aside_every=2,
        ),
        x_encoder=XEncoderRun(fit),
        y_encoder=YEncoderRun(fit),
        pretrain=embed,
        sft=embed,
        y_decoder=YDecoderRun(fit=fit),
        reliability=ReliabilityRun(moments=150, steps=5, batch_size=8),
    )


def _tiny_model() -> ModelConfig:
    return ModelConfig(
        name="tabletop-tiny",
        embedding_width=32,
        x_encoder=XEncoderConfig(width=32, layers=1, heads=2),
        predictor=PredictorConfig(
            width=32,
            layers=1,
            heads=2,
            kv_heads=2,
            mlp_width=64,
            next_tokens=True,
        ),
        y_encoder=YEncoderConfig(
            width=32, layers=1, heads=2, kv_heads=2, head_width=16, mlp_width=64
        ),
        y_decoder=YDecoderConfig(width=32, layers=1, heads=2, kv_heads=2, mlp_width=64),
    )


RECIPES = {
    "tabletop": tabletop,
    "tabletop-longer": tabletop_longer,
    "tabletop-small": tabletop_small,
    "tabletop-tiny": tabletop_tiny,
}
