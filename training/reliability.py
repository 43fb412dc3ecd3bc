"""Run `reliability`: how far the finished model's predictions can be trusted.

On streams kept aside from the predictor, every possible action of every still moment is imagined
and held against its candidates. A small network learns which predictions are wrong, one scale and
one shift calibrate it on other streams, and the scenes' and instructions' usual looks are noted
(docs/decisions/0052).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.tabletop import language
from training.tabletop.actions import DURATIONS_S, Action, possible_actions
from training.tabletop.batches import MAX_TEXT_TOKENS
from training.tabletop.cached_windows import Before, Windows
from training.tabletop.names import ALL_OBJECTS
from training.tabletop.transitions import Transition, balanced
from vljepa_ros.model.reliability import Reliability, token_pairs
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

HIDDEN = 64
DIRECTIONS = 48
CALIBRATION_SHARE = 0.4
KNOWN_SHARE = 0.995
"""So many known scenes stay below the limit."""
WORDINGS = 400
"""Instructions drawn for each skill, object and colour of wording."""
BATCH = 128


@dataclass(frozen=True)
class ReliabilityRun:
    """How much is measured and how the small network learns."""

    moments: int = 4000
    steps: int = 600
    batch_size: int = 512
    lr: float = 2e-3
    weight_decay: float = 0.1
    dropout: float = 0.3
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Judged:
    """Predictions of M transitions: what they were read from, whether wrong, of which stream."""

    pooled_MW: Tensor
    wrong_M: Tensor
    stream_M: Tensor


def measure(
    model: VLJepa,
    tokenizer: Tokenizer,
    aside: Windows,
    config: ReliabilityRun,
    say: Callable[[str], None] = print,
) -> Reliability:
    """Fit on the streams kept aside."""
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    model.eval()
    moments = [aside.draw_before(rng) for _ in range(config.moments)]
    judged = _judge(model, tokenizer, moments, rng)
    network = _learn(judged, config, say)
    scenes = _scenes(torch.stack([torch.from_numpy(m.tokens_TND[-1]) for m in moments]))
    return Reliability(**network, **scenes, pairs_P=_known_pairs(tokenizer, rng))


@torch.no_grad()
def _judge(
    model: VLJepa, tokenizer: Tokenizer, moments: Sequence[Before], rng: np.random.Generator
) -> _Judged:
    moment_of = {id(m.state): index for index, m in enumerate(moments)}
    happened = [(m.state, action) for m in moments for action in possible_actions(m.state)]
    items = balanced(happened, rng)
    texts = sorted({text for item in items for text in item.candidates}, key=len)
    row_of = {text: row for row, text in enumerate(texts)}
    text_UE = torch.cat(
        [
            model.y_encoder(*tokenizer.encode_batch(texts[at : at + BATCH], MAX_TEXT_TOKENS))
            for at in range(0, len(texts), BATCH)
        ]
    )
    pooled, wrong = [], []
    for at in range(0, len(items), BATCH):
        some = items[at : at + BATCH]
        clips = [moments[moment_of[id(item.before)]].tokens_TND for item in some]
        found = model.predictor.imagine(
            torch.from_numpy(np.stack(clips)).float(),
            *tokenizer.encode_batch([item.query for item in some], MAX_TEXT_TOKENS),
        )
        pooled.append(found.pooled_BD.float())
        wrong += [
            _is_wrong(item, embedding_E, text_UE, row_of)
            for item, embedding_E in zip(some, found.embedding_BE, strict=True)
        ]
    streams = [moments[moment_of[id(item.before)]].stream for item in items]
    return _Judged(torch.cat(pooled), torch.tensor(wrong).float(), torch.tensor(streams))


def _is_wrong(
    item: Transition, embedding_E: Tensor, text_UE: Tensor, row_of: dict[str, int]
) -> bool:
    rows = [row_of[text] for text in item.candidates]
    return int((text_UE[rows] @ embedding_E).argmax()) != item.answer


def _learn(
    judged: _Judged, config: ReliabilityRun, say: Callable[[str], None]
) -> dict[str, Tensor]:
    """The network, its last layer scaled and shifted to be calibrated on streams of its own."""
    streams = judged.stream_M.unique()
    held = streams[torch.randperm(len(streams))[: round(len(streams) * CALIBRATION_SHARE)]]
    calibration_M = torch.isin(judged.stream_M, held)
    network = _fit(judged.pooled_MW[~calibration_M], judged.wrong_M[~calibration_M], config)
    first, last = network[0], network[3]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    with torch.no_grad():
        doubt_M = network(judged.pooled_MW[calibration_M])[:, 0]
    scale, shift = _calibrate(doubt_M, judged.wrong_M[calibration_M])
    say(
        f"{len(judged.wrong_M)} transitions, {float(judged.wrong_M.mean()):.3f} predicted wrongly; "
        f"{int(calibration_M.sum())} for calibration: scale {scale:.3f}, shift {shift:.3f}"
    )
    return {
        "hidden_HW": first.weight.detach(),
        "hidden_bias_H": first.bias.detach(),
        "doubt_H": last.weight.detach()[0] * scale,
        "doubt_bias": last.bias.detach() * scale + shift,
    }


def _fit(pooled_MW: Tensor, wrong_M: Tensor, config: ReliabilityRun) -> nn.Sequential:
    network = nn.Sequential(
        nn.Linear(pooled_MW.shape[1], HIDDEN),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(HIDDEN, 1),
    )
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.lr * (1 - step / config.steps)
        rows = torch.randint(len(wrong_M), (config.batch_size,))
        loss = F.binary_cross_entropy_with_logits(network(pooled_MW[rows])[:, 0], wrong_M[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def _calibrate(doubt_M: Tensor, wrong_M: Tensor) -> tuple[float, float]:
    """Scale and shift of the log odds with the least cross-entropy (Platt)."""
    values = torch.tensor([1.0, 0.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([values], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = F.binary_cross_entropy_with_logits(values[0] * doubt_M + values[1], wrong_M)
        found.backward()
        return found

    optimiser.step(loss)
    return float(values[0].detach()), float(values[1].detach())


def _scenes(tokens_MND: Tensor) -> dict[str, Tensor]:
    """Mean, main directions and spread of the scenes' mean tokens, and how far known ones lie."""
    mean_MD = tokens_MND.float().mean(dim=1)
    offset_MD = mean_MD - mean_MD.mean(dim=0)
    kept = min(DIRECTIONS, offset_MD.shape[1], len(offset_MD))
    _, spread, directions = torch.linalg.svd(offset_MD, full_matrices=False)
    directions_KD = directions[:kept].contiguous()
    beside_MD = offset_MD - offset_MD @ directions_KD.T @ directions_KD
    scenes = {
        "mean_D": mean_MD.mean(dim=0),
        "directions_KD": directions_KD,
        "deviation_K": (spread[:kept] / len(offset_MD) ** 0.5).clamp(min=1e-6),
        "residual": beside_MD.square().sum(1).mean().sqrt().clamp(min=1e-6)[None],
    }
    nothing = {"hidden_HW": mean_MD, "hidden_bias_H": mean_MD, "doubt_H": mean_MD}
    measured = Reliability(
        **nothing,
        **scenes,
        doubt_bias=mean_MD,
        scene_limit=torch.ones(1),
        pairs_P=torch.zeros(0, dtype=torch.int64),
    )
    distance_M = measured.scene_distance(tokens_MND)
    return scenes | {"scene_limit": distance_M.quantile(KNOWN_SHARE)[None]}


def _known_pairs(tokenizer: Tokenizer, rng: np.random.Generator) -> Tensor:
    """Neighbouring tokens of the instructions of every skill, in their wordings."""
    texts = {
        language.action_instruction(
            Action(name, ALL_OBJECTS[int(rng.integers(len(ALL_OBJECTS)))]), rng
        )
        for name in DURATIONS_S
        for _ in range(WORDINGS)
    }
    ids_BL, mask_BL = tokenizer.encode_batch(sorted(texts), MAX_TEXT_TOKENS)
    known: Tensor = token_pairs(ids_BL, mask_BL).unique()
    return known
