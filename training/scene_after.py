"""What the scene query will answer after an action, learnt so that nobody has to ask once more.

Of still moments that the predictor was not trained on, the simulator draws the scene as it is and
as an action leaves it, both through the stream's own camera. How the answers to the scene query
differ between the two is what a small network learns to tell from the pass that imagines the action
(docs/decisions/0065).

Shapes: R rows (an action at a moment), S still scenes, I inputs, W predictor width, E embedding
width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from training.small_network import NetworkRun, aside_streams, fit
from training.tabletop.batches import MAX_TEXT_TOKENS
from training.tabletop.cached_windows import Before, Windows
from training.tabletop.effects import by_effect
from training.tabletop.language import action_instruction
from training.tabletop.state import SceneState
from vljepa_ros.model.preprocessing import normalise
from vljepa_ros.model.reliability import SceneAfter
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

HELD_SHARE = 0.1
"""Streams by which is told how well it was learnt."""
BATCH = 128


@dataclass(frozen=True)
class SceneAfterRun:
    """From how much it is learnt, and how."""

    moments: int = 8000
    actions: int = 6
    """Of a moment, half of them changing something where there are so many."""
    network: NetworkRun = field(default_factory=lambda: NetworkRun(steps=3000, dropout=0.1))
    """Eight times as many hidden units hardly tell more."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known of R actions before, and what the scene query answers then and after."""

    pooled_RW: Tensor
    before_RE: Tensor
    """Of the clip."""
    step_RE: Tensor
    """From the answer of the still scene before to that of the one after."""
    stream_R: Tensor


def measure(
    model: VLJepa,
    tokenizer: Tokenizer,
    aside: Windows,
    run: SceneAfterRun,
    seed: int,
    say: Callable[[str], None] = print,
) -> SceneAfter:
    """Learn it on streams kept aside; `say` tells how near it comes on a tenth of them."""
    rng = np.random.default_rng([seed, 1])
    torch.manual_seed(seed)
    drawn = [
        (moment, *acted)
        for moment in (aside.draw_before(rng) for _ in range(run.moments))
        for acted in _drawn(moment, run.actions, rng)
    ]
    parts = [
        _rows(model, tokenizer, aside, drawn[at : at + BATCH], rng)
        for at in range(0, len(drawn), BATCH)
    ]
    names = ("pooled_RW", "before_RE", "step_RE", "stream_R")
    rows = Rows(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
    held_R = aside_streams(rows.stream_R, HELD_SHARE)
    found = learn(rows, ~held_R, run.network)
    after_RE = F.normalize(rows.before_RE + rows.step_RE, dim=1)[held_R]
    told_RE = found(rows.pooled_RW[held_R], rows.before_RE[held_R])
    cosine = float((told_RE * after_RE).sum(dim=1).mean())
    held = int(held_R.sum())
    say(f"{len(held_R)} scenes after actions; cosine with the {held} kept aside {cosine:.3f}")
    return found


def _drawn(moment: Before, actions: int, rng: np.random.Generator) -> list[tuple[str, SceneState]]:
    """Instructions at a moment, and the scenes they lead to."""
    return [
        (action_instruction(group[at][0], rng), group[at][1])
        for group in by_effect(moment.state).values()
        for at in rng.permutation(len(group))[: actions // 2]
    ]


@torch.no_grad()
def _rows(
    model: VLJepa,
    tokenizer: Tokenizer,
    aside: Windows,
    drawn: Sequence[tuple[Before, str, SceneState]],
    rng: np.random.Generator,
) -> Rows:
    tokens_RTND = torch.from_numpy(np.stack([moment.clip_T for moment, _, _ in drawn])).float()
    found = model.predictor.imagine(
        tokens_RTND, *tokenizer.encode_batch([text for _, text, _ in drawn], MAX_TEXT_TOKENS)
    )
    # One noise for both: where nothing changes, both pictures are the same.
    noises = rng.integers(2**32, size=len(drawn))

    def pictures(scenes: Sequence[SceneState]) -> list[npt.NDArray[np.uint8]]:
        return [
            aside.scene(scene, moment.stream, np.random.default_rng(noise)).pixels_FCHW
            for scene, (moment, _, _), noise in zip(scenes, drawn, noises, strict=True)
        ]

    still = pictures([m.state for m, _, _ in drawn]) + pictures([after for _, _, after in drawn])
    tokens_SND = torch.cat(
        [
            model.x_encoder(normalise(torch.from_numpy(np.stack(still[at : at + BATCH]))))[:, 0]
            for at in range(0, len(still), BATCH)
        ]
    )
    first_RE, last_RE = _answers(model, tokenizer, model.predictor.still(tokens_SND)).chunk(2)
    return Rows(
        found.pooled_BD.float(),
        _answers(model, tokenizer, tokens_RTND),
        last_RE - first_RE,
        torch.tensor([moment.stream for moment, _, _ in drawn]),
    )


def _answers(model: VLJepa, tokenizer: Tokenizer, tokens_RTND: Tensor) -> Tensor:
    """What the scene query answers of each clip (R, E)."""
    ids_1L, mask_1L = tokenizer.encode_batch([model.config.scene_query], MAX_TEXT_TOKENS)
    return torch.cat(
        [
            model.predictor(some, ids_1L.expand(len(some), -1), mask_1L.expand(len(some), -1))
            for some in tokens_RTND.split(BATCH)
        ]
    )


def learn(rows: Rows, seen_R: Tensor, run: NetworkRun) -> SceneAfter:
    """Fit to the rows `seen_R`."""
    input_RI = torch.cat([rows.pooled_RW, rows.before_RE], dim=1)

    def loss_of(step_BE: Tensor, some: Tensor) -> Tensor:
        return (step_BE - rows.step_RE[some]).square().sum(dim=1).mean()

    # From zero: before it has learnt better, nothing changes.
    found = fit(input_RI, rows.step_RE.shape[1], seen_R, run, loss_of, from_zero=True)
    return SceneAfter(found.first.weight, found.first.bias, found.last.weight, found.last.bias)
