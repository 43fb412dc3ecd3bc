"""The learners by name, and the batches that all of them see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from training.compare.ablations import ABLATIONS, AblatedLearner
from training.compare.dense_labels import LabelBatches
from training.compare.embedding_learners import DualLearner, JepaLearner
from training.compare.frozen import Frozen
from training.compare.learner import Learner
from training.compare.settings import BRIEF, Comparison
from training.compare.symbolic import SymbolicLearner
from training.compare.token_learner import TokenLearner
from training.tabletop import cache as tabletop_cache
from training.tabletop.batches import WindowBatches
from training.tabletop.cache import FrameCache
from training.tabletop.cached_windows import Windows
from training.tabletop.tokens import encode_cache
from vljepa_ros.config import ConfigError


class Streams:
    """Streams of the simulated world, rendered and encoded once, and what is asked of them."""

    def __init__(
        self, frozen: Frozen, comparison: Comparison, say: Callable[[str], None] = print
    ) -> None:
        self._frozen, self._comparison = frozen, comparison
        data = comparison.data
        folder = Path(data.cache)
        workers, renderer = data.render_workers, data.renderer
        tabletop_cache.build(
            folder, data.first_seed, data.episodes, workers=workers, renderer=renderer
        )
        self._cache = FrameCache(folder)
        encode_cache(frozen.model, self._cache, frozen.device, say)
        wanted = range(data.first_seed, data.first_seed + data.episodes)
        # A cache that holds more than this comparison asks for may be shared.
        self._episodes = [e for e in self._cache.episodes if e.seed in wanted]
        config = frozen.config
        tubelets = config.clip_frames // config.x_encoder.tubelet_frames
        self._windows = Windows(self._cache, self._episodes, tubelets)

    def batches(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Item i is the batch of step i: a function of (seed, i) alone, whoever learns from it."""
        frozen, comparison = self._frozen, self._comparison
        size = comparison.fit.batch_size
        return WindowBatches(
            self._windows, frozen.tokenizer, frozen.config, comparison.mix, size, seed
        )

    def labels(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """As many tubelets of the same streams, with dense labels instead of texts."""
        size = self._comparison.fit.batch_size
        return LabelBatches(self._cache, self._episodes, size, seed)


def make(name: str, frozen: Frozen, streams: Streams, seed: int) -> Learner:
    """A new learner, untrained.

    Raises:
        ConfigError: there is none of this name.
    """
    makers: dict[str, Callable[[], Learner]] = {
        "jepa": lambda: JepaLearner(frozen, streams.batches(seed)),
        "jepa_own": lambda: JepaLearner(frozen, streams.batches(seed), own_candidates=True),
        "token": lambda: TokenLearner(frozen, streams.batches(seed)),
        "token_deep": lambda: TokenLearner(frozen, streams.batches(seed), _deep(frozen)),
        "dual": lambda: DualLearner(frozen, streams.batches(seed)),
        "symbolic": lambda: SymbolicLearner(frozen, streams.labels(seed)),
    }
    name = BRIEF.get(name, name)
    if name in ABLATIONS:
        return AblatedLearner(frozen, streams.batches(seed), ABLATIONS[name])
    if name not in makers:
        known = ", ".join((*makers, *ABLATIONS))
        raise ConfigError(f"unknown learner {name!r}; use some of {known}")
    return makers[name]()


def _deep(frozen: Frozen) -> int:
    """Layers with which a token model comes nearest to predictor and Y-decoder together."""
    predictor = frozen.layers()
    layer: int = sum(p.numel() for p in predictor.backbone.layers[0].parameters())
    decoder = sum(p.numel() for p in frozen.decoder().parameters())
    return frozen.config.predictor.layers + max(1, round(decoder / layer))
