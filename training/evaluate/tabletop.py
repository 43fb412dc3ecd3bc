"""Score a model on the tabletop world; the last line is one JSON object.

    python -m training.evaluate.tabletop --model models/tabletop --seed 1 --episodes 200

Definitions: docs/evaluation.md. Deterministic for a seed. `--footage video.mp4` is real footage
that the model was not trained on, for `ood_far_auroc`. `--renderer mujoco` shows the same streams
as MuJoCo draws them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jsonargparse import auto_cli

from training.evaluate.blind import shuffled_rows
from training.evaluate.change import score_change
from training.evaluate.inverse import score_inverse
from training.evaluate.measures import macro_accuracy
from training.evaluate.novelty import score_novelty
from training.evaluate.observe import Observed, observe, observe_still, predict
from training.evaluate.questions import score_questions
from training.evaluate.retrieval import score_both_pools
from training.evaluate.rewording import HELDOUT
from training.evaluate.rollouts import score_rollouts
from training.evaluate.streams import score_streams
from training.evaluate.transitions import score_transitions
from training.tabletop import language
from training.tabletop.names import ACTIONS, IDLE
from training.tabletop.render import RendererName
from training.tabletop.tasks import LABEL_QUERY
from training.tabletop.world import WORLD_VERSION, Episode
from vljepa_ros.model.engine import Engine

STREAMS = 20
BANK_SENTENCES = 20_000
RETRIEVAL_ITEMS = 400


@dataclass(frozen=True)
class Parts:
    """Which scores to take; all of them by default."""

    retrieval: bool = True
    actions: bool = True
    captions: bool = True
    streams: bool = True
    transitions: bool = True
    inverse: bool = True
    questions: bool = True
    rollouts: bool = True
    novelty: bool = True

    @property
    def still(self) -> bool:
        """Whether anything is asked of still moments."""
        return any((self.transitions, self.inverse, self.questions, self.rollouts, self.novelty))


def evaluate(
    model: str = "models/tabletop",
    seed: int = 1,
    episodes: int = 200,
    split: str = "test",
    streams: int = STREAMS,
    threads: int = 0,
    parts: Parts = Parts(),
    footage: str = "",
    renderer: RendererName = "painter",
    dtype: str = "float32",
) -> dict[str, float | int | str]:
    """All scores of a model on `episodes` streams that begin at `seed`.

    Args:
        renderer: who draws the streams; what happens in them stays the same.
        dtype: number type of the model, as the node's parameter; scores are compared in float32.
    """
    engine = Engine.load(model, device="cpu", dtype=dtype, threads=threads)
    worlds = [Episode.generate(seed + index, split, renderer=renderer) for index in range(episodes)]
    wording = split if split == HELDOUT else "test"
    scores: dict[str, float | int | str] = {
        "world_version": WORLD_VERSION,
        "seed": seed,
        "episodes": episodes,
        "split": split,
        "renderer": renderer,
        "dtype": engine.dtype,
        "sha256": engine.sha256,
    }
    seen = observe(engine, worlds, seed)
    actions = [o for o in seen if o.truth.segment.action is not None and o.truth.decided]
    scores |= {"action_windows": len(actions), "windows": len(seen)}
    if parts.actions:
        scores |= _score_actions(engine, actions, seed)
    if parts.captions and engine.has_decoder:
        scores |= _score_captions(engine, actions, seed)
        scores |= _score_scene_captions(engine, seen, seed)
    if parts.retrieval:
        scores |= _score_retrieval(engine, seen, actions, seed, wording)
    if parts.streams and engine.has_decoder:
        scores |= score_streams(engine, seed, streams, split, renderer=renderer)
    if parts.still:
        scores |= _score_still(engine, worlds, actions, seed, split, parts, footage, renderer)
    return scores


def _score_still(
    engine: Engine,
    worlds: list[Episode],
    actions: list[Observed],
    seed: int,
    split: str,
    parts: Parts,
    footage: str,
    renderer: RendererName,
) -> dict[str, float]:
    """What is asked of still moments: what would happen, what happened, what is true."""
    moments = observe_still(engine, worlds, seed)
    scores: dict[str, float] = {"still_moments": len(moments)}
    if parts.transitions:
        scores |= score_transitions(engine, moments, seed, split)
        scores |= score_change(engine, moments, seed)
    if parts.inverse:
        scores |= score_inverse(engine, moments, actions, worlds, seed, split)
    if parts.questions:
        scores |= score_questions(engine, moments, actions, seed, split)
    if parts.rollouts:
        scores |= score_rollouts(engine, moments, seed)
    if parts.novelty:
        scores |= score_novelty(engine, moments, seed, footage, renderer)
    return scores


def _score_retrieval(
    engine: Engine, seen: list[Observed], actions: list[Observed], seed: int, wording: str
) -> dict[str, float]:
    config = engine.config
    rng = np.random.default_rng([seed, 4])
    scenes = [o for o in seen if o.truth.scene_meaning is not None]
    return score_both_pools(
        engine,
        _some(actions, rng),
        lambda o: o.truth.action_meaning,
        config.caption_query,
        "action_caption",
        seed,
        wording,
    ) | score_both_pools(
        engine,
        _some(scenes, rng),
        lambda o: o.truth.scene_meaning,
        config.scene_query,
        "scene_caption",
        seed,
        wording,
    )


def _some(items: list[Observed], rng: np.random.Generator) -> list[Observed]:
    picks = rng.permutation(len(items))[:RETRIEVAL_ITEMS]
    return [items[i] for i in sorted(picks)]


def _score_actions(engine: Engine, actions: list[Observed], seed: int) -> dict[str, float]:
    """Macro accuracy over the 14 actions by nearest label, and with videos shuffled."""
    labels = [language.action_label(name) for name in ACTIONS]
    similarity_RC = predict(engine, actions, LABEL_QUERY) @ engine.encode_texts(labels).T
    chosen_R = similarity_RC.argmax(axis=1)
    truth_R = np.array([ACTIONS.index(_action_name(o)) for o in actions])
    rng = np.random.default_rng([seed, 5])
    blind_R = chosen_R[shuffled_rows(rng, [o.episode for o in actions])]
    return {
        "action_accuracy": macro_accuracy(chosen_R == truth_R, truth_R),
        "action_accuracy_blind": max(macro_accuracy(blind_R == truth_R, truth_R), 1 / len(labels)),
    }


def _action_name(seen: Observed) -> str:
    action = seen.truth.segment.action
    return action.name if action is not None else IDLE


def _score_captions(engine: Engine, actions: list[Observed], seed: int) -> dict[str, float]:
    """Decoded captions against the truth's meaning, and the nearest sentence of a training bank."""
    predicted_RE = predict(engine, actions, engine.config.caption_query)
    truths = [o.truth.action_meaning for o in actions]
    decoded = [language.parse(text) for text in engine.decode(predicted_RE)]
    rng = np.random.default_rng([seed, 6])
    rows = shuffled_rows(rng, [o.episode for o in actions])
    bank = _bank_meanings()
    bank_BE = engine.encode_texts([language.canonical(m) for m in bank])
    nearest = [bank[i] for i in (predicted_RE @ bank_BE.T).argmax(axis=1)]
    return {
        "caption_match": _share(decoded, truths),
        "caption_match_blind": _share([decoded[r] for r in rows], truths),
        "bank_match": _share(nearest, truths),
        "bank_match_blind": _share([nearest[r] for r in rows], truths),
        "caption_parses": float(np.mean([m is not None for m in decoded])),
    }


def _score_scene_captions(engine: Engine, seen: list[Observed], seed: int) -> dict[str, float]:
    """Decoded captions of scenes in which nothing moves; a caption tells them whole or is wrong."""
    scenes = [o for o in seen if o.truth.scene_meaning is not None]
    predicted_RE = predict(engine, scenes, engine.config.scene_query)
    decoded = [language.parse(text) for text in engine.decode(predicted_RE)]
    truths = [o.truth.scene_meaning for o in scenes]
    rows = shuffled_rows(np.random.default_rng([seed, 7]), [o.episode for o in scenes])
    return {
        "scene_match": _share(decoded, truths),
        "scene_match_blind": _share([decoded[r] for r in rows], truths),
    }


def _bank_meanings() -> list[language.Meaning]:
    """Distinct captions of the training split: what a bank built from training data holds."""
    rng = np.random.default_rng(7)
    drawn = (language.sample_meaning("action", rng, "train") for _ in range(BANK_SENTENCES))
    return list(dict.fromkeys(drawn))


def _share(
    found: Sequence[language.Meaning | None], truths: Sequence[language.Meaning | None]
) -> float:
    return float(np.mean([f is not None and f == t for f, t in zip(found, truths, strict=True)]))


def main(
    model: str = "models/tabletop",
    seed: int = 1,
    episodes: int = 200,
    split: str = "test",
    streams: int = STREAMS,
    threads: int = 0,
    parts: Parts = Parts(),
    footage: str = "",
    renderer: RendererName = "painter",
    dtype: str = "float32",
) -> None:
    """Print the scores, the last line as JSON."""
    torch.manual_seed(0)
    scores = evaluate(
        model, seed, episodes, split, streams, threads, parts, footage, renderer, dtype
    )
    for name, value in scores.items():
        print(f"{name:48} {value:.3f}" if isinstance(value, float) else f"{name:48} {value}")
    print(json.dumps({name: _or_null(value) for name, value in scores.items()}))


def _or_null(value: float | int | str) -> float | int | str | None:
    """JSON knows no NaN: what was not measured is null."""
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
