"""Named runs: every default of training written once.

A recipe is a chain of runs in the order of `RUNS`. Of the simulated world: `tabletop` makes a model
from nothing, `tabletop-longer` trains the default model on, `tabletop-small` is the chain in
minutes, `tabletop-tiny` in seconds for tests. Of shards: `paper` is the paper's model on a cluster,
`one_gpu` trains a checkpoint on with own data, `tiny` walks all of it on two processes of a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from training.embed import EmbedSettings
from training.fit import EngineConfig, FitConfig
from training.optim import Schedule
from training.reliability import ReliabilityRun
from training.scene_after import SceneAfterRun
from training.small_network import NetworkRun
from training.tabletop.render import RendererName
from training.tabletop.splits import TEST_SEEDS
from training.tabletop.tasks import TaskMix
from vljepa_ros.config import (
    ConfigError,
    ModelConfig,
    PredictorConfig,
    XEncoderConfig,
    YDecoderConfig,
    YEncoderConfig,
)
from vljepa_ros.model import presets

SFT_MIX = TaskMix(
    action_caption=0.2,
    scene_caption=0.27,
    label=0.04,
    question=0.2,
    transition=0.08,
    inverse=0.08,
    rollout=0.28,
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
    renderer: RendererName = "painter"
    """Of streams that are not in the cache yet; another one wants another `cache`."""
    tokenizer_sentences: int = 60_000

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigError: the streams are kept for tests.
        """
        end = self.first_seed + self.episodes
        if end > TEST_SEEDS.start:
            raise ConfigError(
                f"streams {self.first_seed} to {end - 1} are not for training: those from "
                f"{TEST_SEEDS.start} on are asked about; choose a smaller first_seed"
            )


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
    """`pretrain_image`, `pretrain`, `pretrain_long` and `sft`."""

    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=300, batch_size=160, lr=1e-3, warmup_steps=100, schedule="constant"
        )
    )
    learn: EmbedSettings = field(default_factory=EmbedSettings)
    mix: TaskMix = field(default_factory=TaskMix)
    """Tasks that are asked of the simulated world."""
    mixture: Mapping[str, float] = field(default_factory=dict)
    """Folder of shards → weight; empty = the recipe's."""
    task_shares: Mapping[str, float] = field(default_factory=dict)
    """Task of shards → share; empty = as often as there are samples of it."""
    frames: int = 0
    """Frames of a clip; 0 = the model's. An image is repeated along time."""
    augment: bool = False


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


RUNS = (
    "x_encoder", "y_encoder", "pretrain_image", "pretrain", "pretrain_long", "sft", "y_decoder"
)  # fmt: skip
EMBED_RUNS = ("pretrain_image", "pretrain", "pretrain_long", "sft")
TABLETOP_RUNS = ("x_encoder", "y_encoder", "pretrain", "sft", "y_decoder")
VALIDATION_BATCHES = 4


@dataclass(frozen=True)
class ShardSources:
    """Folders of shards (docs/training-data.md) instead of the simulated world."""

    root: str = "."
    mixture: Mapping[str, float] = field(default_factory=dict)
    """Folder below `root` → weight."""
    aside: Mapping[str, float] = field(default_factory=dict)
    """The same, for what the predictor never sees: it validates, and teaches the Y-decoder."""
    loader: Literal["plain", "energon"] = "plain"
    """"plain" reads samples at random, "energon" stretches of shards (docs/training-data.md)."""
    max_skipped_share: float = 0.01
    skipped_log: str = ""


@dataclass(frozen=True)
class Backbones:
    """Local Hugging Face folders that fill the parts of a new model; empty = random weights."""

    x_encoder: str = ""
    """V-JEPA 2."""
    predictor: str = ""
    """Llama; its tokenizer is that of queries and captions."""
    y_encoder: str = ""
    """EmbeddingGemma; its tokenizer is that of targets."""


@dataclass(frozen=True)
class Recipe:
    """One chain of runs and the model it makes."""

    name: str = "tabletop"
    start: str = ""
    """Checkpoint folder whose weights and tokenizer the chain starts from; empty = from nothing."""
    runs: tuple[str, ...] = TABLETOP_RUNS
    """Which runs of the chain, in its order; the others' parts stay as they are at the start."""
    model: ModelConfig | None = field(default_factory=presets.tabletop)
    """None = that of `start`."""
    backbones: Backbones = field(default_factory=Backbones)
    data: DataConfig = field(default_factory=DataConfig)
    shards: ShardSources | None = None
    """Instead of `data`."""
    x_encoder: XEncoderRun = field(default_factory=XEncoderRun)
    y_encoder: YEncoderRun = field(default_factory=YEncoderRun)
    pretrain_image: EmbedRun = field(default_factory=EmbedRun)
    pretrain: EmbedRun = field(default_factory=EmbedRun)
    pretrain_long: EmbedRun = field(default_factory=EmbedRun)
    sft: EmbedRun = field(
        default_factory=lambda: EmbedRun(
            fit=FitConfig(steps=1200, batch_size=160, lr=1e-3, warmup_steps=50),
            mix=SFT_MIX,
        )
    )
    y_decoder: YDecoderRun = field(default_factory=YDecoderRun)
    reliability: ReliabilityRun = field(default_factory=ReliabilityRun)

    def __post_init__(self) -> None:
        unknown = [name for name in self.runs if name not in RUNS]
        if unknown:
            raise ConfigError(f"unknown run {unknown[0]}; known: {', '.join(RUNS)}")


def _short(steps: int, batch_size: int) -> FitConfig:
    return FitConfig(steps=steps, batch_size=batch_size, lr=1e-3, warmup_steps=steps // 10)


def tabletop() -> Recipe:
    return Recipe()


def tabletop_longer() -> Recipe:
    """`sft` of `models/tabletop`, Y-encoder and all, and its Y-decoder go on, on more streams."""
    return Recipe(
        name="tabletop-longer",
        start="models/tabletop",
        runs=("sft", "y_decoder"),
        data=DataConfig(first_seed=2000, episodes=3200),
        sft=EmbedRun(
            fit=FitConfig(steps=850, batch_size=128, lr=8e-4, warmup_steps=40),
            learn=EmbedSettings(y_lr_share=0.3, reworded_weight=0.5),
            mix=SFT_MIX,
        ),
        y_decoder=YDecoderRun(
            fit=FitConfig(steps=400, batch_size=128, lr=1e-3, warmup_steps=40),
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
        reliability=ReliabilityRun(
            moments=500,
            doubt=NetworkRun(steps=200),
            batches=8,
            scene_after=SceneAfterRun(moments=500, network=NetworkRun(steps=200)),
        ),
    )


def tabletop_tiny() -> Recipe:
    """Every run of the chain in seconds, for tests."""
    fit = FitConfig(steps=3, batch_size=8, lr=1e-3, warmup_steps=1, workers=0, threads=1)
    embed = EmbedRun(fit=fit, mix=SFT_MIX)
    odds = NetworkRun(steps=5, batch_size=8)
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
        reliability=ReliabilityRun(
            moments=150,
            doubt=odds,
            batches=2,
            clarity=replace(odds, hidden=8),
            scene_after=SceneAfterRun(moments=8, network=replace(odds, hidden=8)),
        ),
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


PAPER_LEARN = EmbedSettings(y_lr_share=0.05, token_dropout=0.0, near_equal=0.98)
"""arXiv 2512.10942: the Y-encoder at a twentieth. Most of Action100M's segments share a text with
another, so near-equal targets are no negatives (the paper is silent)."""


def _paper_fit(
    steps: int, batch_size: int, schedule: Schedule = "constant", engine: EngineConfig | None = None
) -> FitConfig:
    return FitConfig(
        steps=steps,
        batch_size=batch_size,
        lr=5e-5,
        warmup_steps=2000,
        schedule=schedule,
        workers=8,
        threads=8,
        save_every_s=1800.0,
        device="cuda",
        validate_every_steps=1000,
        engine=engine or EngineConfig(compiled=True),
    )


def paper() -> Recipe:
    """The paper's second version (its table of stages), on 24 nodes of 8 GPUs.

    Left open by the paper: weight decay, clipping, warm-up, the learning rate of the later stages.
    """
    long_engine = EngineConfig(parts=4, recompute=True, compiled=True)
    long_learn = replace(PAPER_LEARN, x_lr_share=0.1)
    image = EmbedRun(_paper_fit(100_000, 24_576), PAPER_LEARN, frames=2, augment=True)
    short = EmbedRun(_paper_fit(60_000, 12_288), PAPER_LEARN, frames=8, augment=True)
    long = EmbedRun(_paper_fit(10_000, 12_288, engine=long_engine), long_learn, frames=32)
    return Recipe(
        name="paper",
        runs=(*EMBED_RUNS, "y_decoder"),
        model=presets.paper(),
        shards=ShardSources(
            root="shards", mixture={"images": 0.5, "videos": 0.5}, aside={"aside": 1.0}
        ),
        pretrain_image=replace(image, mixture={"images": 1.0}),
        pretrain=short,
        pretrain_long=replace(long, mixture={"videos": 1.0}),
        sft=EmbedRun(
            _paper_fit(83_000, 3072, "cosine"),
            PAPER_LEARN,
            mixture={"sft": 0.85, "videos": 0.15},
        ),
        y_decoder=YDecoderRun(fit=replace(_paper_fit(20_000, 1024, "cosine"), lr=3e-4)),
    )


def one_gpu() -> Recipe:
    """A checkpoint trained on with own data, on one GPU, or patiently without one."""
    fit = FitConfig(
        steps=1500,
        batch_size=64,
        lr=2e-4,
        warmup_steps=50,
        device="auto",
        workers=4,
        validate_every_steps=250,
    )
    return Recipe(
        name="one_gpu",
        start="models/tabletop",
        runs=("sft", "y_decoder"),
        model=None,
        shards=ShardSources(root="shards", mixture={"train": 1.0}, aside={"aside": 1.0}),
        sft=EmbedRun(fit, EmbedSettings(token_dropout=0.1), augment=True),
        y_decoder=YDecoderRun(fit=replace(fit, steps=500)),
    )


def tiny() -> Recipe:
    """Every run of a cluster's chain in a minute, on two processes of a CPU."""
    engine = EngineConfig(parts=2)
    fit = FitConfig(
        steps=12, batch_size=16, lr=1e-4, warmup_steps=2, workers=0, threads=1, engine=engine
    )
    embed = EmbedRun(fit, EmbedSettings(y_lr_share=0.05))
    return Recipe(
        name="tiny",
        start="models/tabletop",
        runs=("pretrain", "sft", "y_decoder"),
        model=None,
        shards=ShardSources(root="runs/tiny-shards", mixture={"train": 1.0}, aside={"aside": 1.0}),
        pretrain=replace(embed, task_shares={"action_caption": 0.5, "scene_caption": 0.5}),
        sft=embed,
        y_decoder=YDecoderRun(fit=fit),
    )


RECIPES = {
    "paper": paper,
    "one_gpu": one_gpu,
    "tiny": tiny,
    "tabletop": tabletop,
    "tabletop-longer": tabletop_longer,
    "tabletop-small": tabletop_small,
    "tabletop-tiny": tabletop_tiny,
}
