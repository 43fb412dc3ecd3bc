"""Streams of the tabletop in the forms in which methods of selective decoding are compared.

* exact: each step's own embedding.
* pooled: the mean of the last POOL_STEPS embeddings, which is what a causal method can pool without
  waiting; both to find changes and to decode from.
* gated: exact, with an idle gate: where "nothing moves" is the nearest of the actions' labels,
  idle is published without a decode.

Everything that the model says of a stream is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.evaluate.selective import Bools, StreamRecord, number_meanings
from training.evaluate.selective_methods import Embeddings, Speak
from training.evaluate.streams import as_record, decode, look
from training.tabletop import language
from training.tabletop.world import Episode
from vljepa_ros.model.engine import Engine, EngineError

POOL_STEPS = 2
"""Half a second; an action takes about two."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One stream in all its forms."""

    exact: StreamRecord
    pooled: StreamRecord
    gated: StreamRecord
    speak: Speak
    """What other embeddings of this stream say."""


def samples(
    engine: Engine, seed: int, streams: int, split: str, idle_fraction: float, actions: int
) -> list[Sample]:
    """Streams with that share of idle time, of `streams` seeds from `seed` on.

    Raises:
        EngineError: the model has no Y-decoder.
        ValueError: an unknown split, or a number out of range.
    """
    if not engine.has_decoder:
        raise EngineError(
            "this model has no Y-decoder, so there is nothing to select; give another"
        )
    episodes = (
        Episode.generate(each, split, idle_fraction, actions)
        for each in range(seed, seed + streams)
    )
    return [sample(engine, episode) for episode in episodes]


def sample(engine: Engine, episode: Episode) -> Sample:
    """Run the model on an episode."""
    looked = look(engine, episode)
    truth = [segment.meaning for segment in episode.segments]
    exact = as_record(engine, episode, looked)
    pooled_SE = trailing_means(looked.embeddings_SE)
    pooled = replace(looked, embeddings_SE=pooled_SE, texts_S=decode(engine, pooled_SE))
    idle = number_meanings([language.idle_meaning()], truth)[0][0]
    return Sample(
        exact=exact,
        pooled=as_record(engine, episode, pooled),
        gated=with_gate(exact, looks_idle(engine, looked.embeddings_SE), int(idle)),
        speak=lambda embeddings: number_meanings(
            [language.parse(text) for text in decode(engine, embeddings)], truth
        )[0],
    )


def trailing_means(embeddings_SE: Embeddings, steps: int = POOL_STEPS) -> Embeddings:
    """The mean (S, E) of each embedding and those before it, `steps` in all, unit norm."""
    sums_SE = embeddings_SE.copy()
    for back in range(1, steps):
        sums_SE[back:] += embeddings_SE[:-back]
    means_SE: Embeddings = sums_SE / np.linalg.norm(sums_SE, axis=1, keepdims=True)
    return means_SE


def with_gate(stream: StreamRecord, idle_S: Bools, idle: int) -> StreamRecord:
    """The stream with a gate that says the meaning `idle` at the steps `idle_S`."""
    return replace(stream, decoded_S=np.where(idle_S, idle, stream.decoded_S), gate_S=idle_S)


def looks_idle(engine: Engine, embeddings_SE: Embeddings) -> Bools:
    """The steps to which "nothing moves" is nearer than the label of any action."""
    labels = language.action_labels()
    nearest_S = np.argmax(embeddings_SE @ engine.encode_texts(labels).T, axis=1)
    idle_S: Bools = nearest_S == labels.index(language.action_label("idle"))
    return idle_S
