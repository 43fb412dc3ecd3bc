"""When was that seen? Searching the memory of one long recording; the last line is one JSON object.

    python -m training.evaluate.memory --model models/tabletop --seed 1 --streams 20

Test streams, one after the other as one recording, go through the perceiver and into a memory, as
in the running node. Each action is then looked for in words. Definitions: docs/evaluation.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jsonargparse import auto_cli

from training.evaluate.streams import ACTIONS_A_STREAM, PACES, SIZE_HW, START_NS, STEPS_HZ
from training.tabletop import language
from training.tabletop.meaning import Meaning
from training.tabletop.world import Episode
from vljepa_ros.config import MemoryConfig, PerceptionConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.stream.clip_buffer import NS_PER_S
from vljepa_ros.stream.perceiver import Perceiver
from vljepa_ros.types import EmbeddingE, Frame, Step
from vljepa_ros.world.memory import Memory

FOUND = 5


@dataclass(frozen=True)
class Happening:
    """The moments of the recording whose clips show one action, or its end."""

    meaning: Meaning
    first_s: float
    last_s: float

    def away_s(self, at_s: float) -> float:
        """How far a time lies outside."""
        return max(self.first_s - at_s, at_s - self.last_s, 0.0)


def evaluate(
    model: str = "models/tabletop",
    seed: int = 1,
    streams: int = 20,
    split: str = "test",
    pace: str = "busy",
    threads: int = 0,
) -> dict[str, float | int | str]:
    """Scores of searching by embedding, by the captions' text alone, and of blind guesses."""
    engine = Engine.load(model, device="cpu", dtype="float32", threads=threads)
    seen, said = (Memory(MemoryConfig(), engine.space_id, engine.embedding_width) for _ in range(2))
    clip_s = engine.config.clip_frames / engine.config.clip_rate_hz
    happenings: list[Happening] = []
    perceiver = Perceiver(engine, PerceptionConfig())
    begin_s = START_NS / NS_PER_S
    for each in range(seed, seed + streams):
        episode = Episode.generate(each, split, PACES[pace], ACTIONS_A_STREAM)
        perceiver.reset()
        for step in _steps(perceiver, episode, begin_s):
            seen.note(step)
            if step.event is not None:
                said.note(_as_text(engine, step))
        happenings += _happenings(episode, begin_s, clip_s)
        begin_s += episode.duration_s
    rng = np.random.default_rng([seed, 31])
    texts = [language.caption(h.meaning, rng, "test") for h in happenings]
    wanted_QE = engine.encode_texts(texts)
    return {
        "sha256": engine.sha256,
        "seed": seed,
        "streams": streams,
        "recording_s": begin_s - START_NS / NS_PER_S,
        "queries": len(texts),
        "entries": len(seen),
        **_scores("memory", seen, list(wanted_QE), happenings),
        **_scores("captions_only", said, list(wanted_QE), happenings),
        **_scores("blind", seen, list(wanted_QE[rng.permutation(len(texts))]), happenings),
    }


def _steps(perceiver: Perceiver, episode: Episode, begin_s: float) -> Iterator[Step]:
    rng = np.random.default_rng([episode.seed, 11])
    times_s = np.arange(rng.uniform(0.0, 1.0 / STEPS_HZ), episode.duration_s, 1.0 / STEPS_HZ)
    for image_HWC, time_s in zip(episode.frames(times_s, SIZE_HW, rng), times_s, strict=True):
        stamp_ns = round((begin_s + float(time_s)) * NS_PER_S)
        step = perceiver.step(Frame(stamp_ns, image_HWC))
        if step is not None:
            yield step


def _as_text(engine: Engine, step: Step) -> Step:
    """The event as who only has its caption would search it."""
    assert step.event is not None
    caption_E: EmbeddingE = engine.encode_texts([step.event.caption or "nothing"])[0]
    return replace(step, state=replace(step.state, embedding_E=caption_E))


def _happenings(episode: Episode, begin_s: float, clip_s: float) -> Iterator[Happening]:
    """Every action whose outcome is clear."""
    for segment in episode.segments:
        if segment.action is not None and not segment.ambiguous:
            first_s, last_s = begin_s + segment.onset_s, begin_s + segment.end_s + clip_s
            yield Happening(segment.meaning, first_s, last_s)


def _scores(
    name: str, memory: Memory, wanted_QE: Sequence[EmbeddingE], happenings: Sequence[Happening]
) -> dict[str, float]:
    """R@1, R@5, and how far the first answer lies from the nearest true time."""
    first: list[bool] = []
    in_five: list[bool] = []
    away_s: list[float] = []
    for wanted_E, happening in zip(wanted_QE, happenings, strict=True):
        true = [h for h in happenings if h.meaning == happening.meaning]
        found = memory.find(wanted_E, k=FOUND)
        apart_s = [min(h.away_s(s.stamp_ns / NS_PER_S) for h in true) for s in found]
        first.append(apart_s[0] == 0.0)
        in_five.append(min(apart_s) == 0.0)
        away_s.append(apart_s[0])
    return {
        f"{name}_r1": float(np.mean(first)),
        f"{name}_r5": float(np.mean(in_five)),
        f"{name}_time_error_s": float(np.mean(away_s)),
        f"{name}_time_error_s_p50": float(np.median(away_s)),
    }


if __name__ == "__main__":
    print(json.dumps(auto_cli(evaluate, as_positional=False)))
