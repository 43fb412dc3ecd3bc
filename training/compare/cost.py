"""What learners cost, side by side in one run: a step of training, an answer, a caption.

Learners take turns within each round, so that other work on the machine meets all of them; medians
of the rounds. An answer is one of a question's candidates, whose embeddings `jepa` and `dual` have
kept from before, as a robot has its labels; a caption is a free one of the scene. All from visual
tokens on: the X-encoder is the same for everybody, and is measured by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import numpy as np
import torch

from training.compare.embedding_learners import JepaLearner
from training.compare.frozen import Frozen
from training.compare.learner import Learner
from training.compare.tasks import VQA, Tasks
from training.optim import param_groups
from training.parallel import Batch
from training.precision import autocast

Costs = dict[str, dict[str, float]]


def measure(
    frozen: Frozen,
    learners: Mapping[str, Learner],
    tasks: Tasks,
    threads: int,
    rounds: int,
    say: Callable[[str], None] = print,
) -> Costs:
    """Seconds of a step, milliseconds of an answer and a caption, by learner.

    Trains the learners on: ask them before. `jepa_silent` is `jepa` without its Y-decoder.
    """
    asked = {name: _asking(frozen, learner, tasks) for name, learner in learners.items()}
    torch.set_num_threads(1)
    found = _in_turns({n: calls["answer"] for n, calls in asked.items()}, rounds)
    costs: Costs = {name: {"answer_ms": 1e3 * s} for name, s in found.items()}
    speakers = {
        n: calls["caption"]
        for n, calls in asked.items()
        if learners[n].speaks(frozen.config.scene_query)
    }
    for name, seconds in _in_turns(speakers, rounds).items():
        costs[name]["caption_ms"] = 1e3 * seconds
    seen = _in_turns({"x_encoder": _seeing(frozen)}, rounds)
    costs["x_encoder"] = {"clip_ms": 1e3 * seen["x_encoder"]}
    torch.set_num_threads(threads)
    trained = dict(learners)
    if "jepa" in learners:
        trained["jepa_silent"] = JepaLearner(frozen, learners["jepa"].batches(), words=False)
    batches = {name: learner.batches()[0] for name, learner in trained.items()}
    steps = {name: _training(trained[name], batches[name], frozen.device) for name in trained}
    for name, seconds in _in_turns(steps, max(3, rounds // 6)).items():
        costs.setdefault(name, {})["step_s"] = seconds
    for name, learner in trained.items():
        started = time.perf_counter()
        learner.batches()[1]
        costs[name]["batch_s"] = time.perf_counter() - started
    say(f"costs: {costs}")
    return costs


def _asking(frozen: Frozen, learner: Learner, tasks: Tasks) -> dict[str, Callable[[], object]]:
    questions, scenes = tasks.choices[VQA], tasks.captions["scene_caption"]
    rng = np.random.default_rng(42)

    def answer() -> object:
        row = int(rng.integers(len(questions.items)))
        return list(learner.scores([questions.seen[row].tokens_TND], [questions.items[row]]))

    def caption() -> object:
        row = int(rng.integers(len(scenes.seen)))
        return learner.captions([scenes.seen[row].tokens_TND], [scenes.query])

    frozen.engine.encode_texts(sorted({t for item in questions.items for t in item.candidates}))
    return {"answer": answer, "caption": caption}


def _seeing(frozen: Frozen) -> Callable[[], object]:
    config = frozen.config
    crop = config.x_encoder.crop_px
    clip = np.zeros((1, config.clip_frames, crop, crop, 3), np.uint8)
    return lambda: frozen.engine.encode_clips(clip)


def _training(learner: Learner, batch: Batch, device: str) -> Callable[[], object]:
    module = learner.module().to(device).train()
    optimiser = torch.optim.AdamW(param_groups(learner.parts(), 0.05), lr=1e-5)
    there = {name: value.to(device) for name, value in batch.items()}

    def step() -> None:
        module.train()
        optimiser.zero_grad(set_to_none=True)
        with autocast(device):
            loss, _ = learner.loss(there)
        loss.backward()
        optimiser.step()

    return step


def _in_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; the first round does not count."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - started)
    return {name: median(some[1:]) for name, some in taken.items()}
