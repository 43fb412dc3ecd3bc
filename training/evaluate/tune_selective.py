"""Choose the segmenter's setting on tuning streams; the last line is one JSON object.

    python -m training.evaluate.tune_selective --model models/tabletop

Tuning streams have seeds of their own (`splits.TUNE_SEEDS`). A setting qualifies at a pace if it
keeps 95 % of the quality *and* of the hits of decoding every step: by time alone, a stream that
mostly idles would be served by saying "idle" once and never again. Of the settings that qualify at
every pace, the best gives away least of what lies between uniform decoding and the oracle; if none
qualifies, the one that falls least short.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jsonargparse import auto_cli

from training.evaluate.selective import (
    Bools,
    StreamRecord,
    decodes_at,
    oracle_decodes,
    right_seconds,
    uniform_curve,
)
from training.evaluate.selective_scores import (
    EQUAL_QUALITY,
    false_changes_per_hour,
    pooled_delays_s,
    segment,
)
from training.evaluate.streams import PACES, STILLS, records, still_records
from training.tabletop.splits import TUNE_SEEDS
from vljepa_ros.config import SelectiveConfig
from vljepa_ros.model.engine import Engine

MARGIN = 1.01
"""Tuned settings keep this much more than asked, for streams that are a little harder."""
GRID: Mapping[str, Sequence[float]] = {
    "threshold": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "settle": (0.0, 0.3),
    "noise_factor": (1.5, 3.0),
    "clarity": (0.0, 0.2, 0.3, 0.4, 0.5),
    "unclear_s": (0.5, 0.75, 1.0, 1.25, 1.5),
}


@dataclass(frozen=True)
class Trial:
    """One setting on the streams of one pace, relative to what it is measured by."""

    cost: float
    """Decodes between the oracle's (0) and uniform's at equal quality (1)."""
    kept: float
    """Quality or hits, whichever is kept less, as a multiple of what equal quality asks."""


class Pace:
    """Streams of one pace and what does not depend on the setting."""

    def __init__(self, streams: Sequence[StreamRecord]) -> None:
        self.streams = streams

    @cached_property
    def target(self) -> float:
        """Seconds in which the caption must be true."""
        every_step = [np.ones(len(stream.times_s_S), dtype=np.bool_) for stream in self.streams]
        return EQUAL_QUALITY * self._right_s(every_step)

    @cached_property
    def target_hits(self) -> float:
        every_step = [np.ones(len(stream.times_s_S), dtype=np.bool_) for stream in self.streams]
        return EQUAL_QUALITY * self._hits(every_step)

    @cached_property
    def uniform(self) -> float:
        """Uniform decodes at equal quality."""
        decodes_K, quality_K = uniform_curve(self.streams).pooled()
        found = decodes_at(decodes_K, quality_K, EQUAL_QUALITY * float(quality_K[0]))
        return float(decodes_K[0]) if found is None else found

    @cached_property
    def oracle(self) -> float:
        return float(sum(oracle_decodes(stream).sum() for stream in self.streams))

    def trial(self, config: SelectiveConfig) -> Trial:
        decodes = [segment(stream, config)[0] for stream in self.streams]
        ours = float(sum(decodes_S.sum() for decodes_S in decodes))
        return Trial(
            cost=(ours - self.oracle) / (self.uniform - self.oracle),
            kept=min(
                self._right_s(decodes) / self.target,
                self._hits(decodes) / self.target_hits,
            ),
        )

    def _right_s(self, decodes: Sequence[Bools]) -> float:
        return sum(right_seconds(s, d) for s, d in zip(self.streams, decodes, strict=True))

    def _hits(self, decodes: Sequence[Bools]) -> float:
        return float(np.isfinite(pooled_delays_s(self.streams, decodes)).mean())


def settings(base: SelectiveConfig) -> Iterable[SelectiveConfig]:
    """Every setting of the grid."""
    for values in itertools.product(*GRID.values()):
        yield dataclasses.replace(base, **dict(zip(GRID, values, strict=True)))


def tune(
    paces: Sequence[Sequence[StreamRecord]], candidates: Iterable[SelectiveConfig]
) -> tuple[SelectiveConfig, list[Trial]]:
    """The best of the candidates over all paces, and its trial at each; see the module's text."""
    tables = [Pace(streams) for streams in paces]

    def loss(trials: Sequence[Trial]) -> tuple[float, float]:
        shortfall = max(0.0, MARGIN - min(trial.kept for trial in trials))
        return shortfall, float(np.mean([trial.cost for trial in trials]))

    tried = [(config, [table.trial(config) for table in tables]) for config in candidates]
    return min(tried, key=lambda pair: loss(pair[1]))


def main(
    model: str = "models/tabletop", streams: int = 16, stills: int = 4, threads: int = 0
) -> None:
    """Tune on `streams` streams of each pace and print the setting."""
    engine = Engine.load(model, device="cpu", dtype="float32", threads=threads)
    first = TUNE_SEEDS.start
    by_pace = {pace: records(engine, first, streams, "train", pace) for pace in PACES}
    best, trials = tune(list(by_pace.values()), settings(SelectiveConfig()))
    for pace, trial in zip(by_pace, trials, strict=True):
        print(f"{pace}: gain {1 - trial.cost:.3f}, keeps {trial.kept:.3f} of equal quality or hits")
    for kind in STILLS:
        still = still_records(engine, first, stills, "train", kind)
        print(f"{kind}: {false_changes_per_hour(still, best):.1f} false changes an hour")
    print(json.dumps(dataclasses.asdict(best)))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
