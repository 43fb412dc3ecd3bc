"""Run `reliability`: how far the finished model's predictions can be trusted.

On streams kept aside from the predictor, every possible action of every still moment is imagined
and held against its candidates. A small network learns which predictions are wrong, one scale and
one shift calibrate it on other streams, and the scenes' and instructions' usual looks are noted
(docs/decisions/0052).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import Tensor

from training.odds import OddsRun, aside_streams, learn
from training.tabletop import language
from training.tabletop.actions import DURATIONS_S, Action, possible_actions
from training.tabletop.batches import MAX_TEXT_TOKENS
from training.tabletop.cached_windows import Before, Windows
from training.tabletop.names import ALL_OBJECTS
from training.tabletop.transitions import balanced
from vljepa_ros.model.reliability import Reliability, token_pairs
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

DIRECTIONS = 48
CALIBRATION_SHARE = 0.4
KNOWN_SHARE = 0.995
"""So many known scenes stay below the limit."""
WORDINGS = 400
"""Instructions drawn for each skill, object and colour of wording."""
BATCH = 128


@dataclass(frozen=True)
class ReliabilityRun:
    """How much is measured and how the small networks learn."""

    moments: int = 6000
    doubt: OddsRun = field(default_factory=OddsRun)
    answers: int = 80
    """Batches of answers whose words are found, for the clarity (training/clarity.py)."""
    clarity: OddsRun = field(
        default_factory=lambda: OddsRun(hidden=128, steps=1500, weight_decay=0.05, dropout=0.2)
    )
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Judged:
    """Predictions of M transitions: what they were read from, whether wrong, of which stream."""

    pooled_MW: Tensor
    wrong_M: Tensor
    doubt_M: Tensor
    """Probability of the wrong candidates together: how nearly it was wrong or right."""
    stream_M: Tensor


def measure(
    model: VLJepa,
    tokenizer: Tokenizer,
    aside: Windows,
    config: ReliabilityRun,
    temperature: float,
    say: Callable[[str], None] = print,
) -> Reliability:
    """Fit on the streams kept aside; `temperature` is that of the model's loss."""
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    model.eval()
    moments = [aside.draw_before(rng) for _ in range(config.moments)]
    judged = _judge(model, tokenizer, moments, temperature, rng)
    network = _learn(judged, config, say)
    scenes = _scenes(torch.stack([torch.from_numpy(m.tokens_TND[-1]) for m in moments]))
    pairs = {"pairs_P": _known_pairs(tokenizer, rng)}
    return Reliability.from_tensors(network | scenes | pairs)


@torch.no_grad()
def _judge(
    model: VLJepa,
    tokenizer: Tokenizer,
    moments: Sequence[Before],
    temperature: float,
    rng: np.random.Generator,
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
    pooled, right = [], []
    for at in range(0, len(items), BATCH):
        some = items[at : at + BATCH]
        clips = [moments[moment_of[id(item.before)]].tokens_TND for item in some]
        found = model.predictor.imagine(
            torch.from_numpy(np.stack(clips)).float(),
            *tokenizer.encode_batch([item.query for item in some], MAX_TEXT_TOKENS),
        )
        pooled.append(found.pooled_BD.float())
        for item, embedding_E in zip(some, found.embedding_BE, strict=True):
            text_CE = text_UE[[row_of[text] for text in item.candidates]]
            share_C = (text_CE @ embedding_E / temperature).softmax(dim=0)
            right.append((int(share_C.argmax()) == item.answer, float(share_C[item.answer])))
    streams = [moments[moment_of[id(item.before)]].stream for item in items]
    wrong_M, doubt_M = 1.0 - torch.tensor(right, dtype=torch.float32).T
    return _Judged(torch.cat(pooled), wrong_M, doubt_M, torch.tensor(streams))


def _learn(
    judged: _Judged, config: ReliabilityRun, say: Callable[[str], None]
) -> dict[str, Tensor]:
    """The network, calibrated on streams of its own."""
    held_M = aside_streams(judged.stream_M, CALIBRATION_SHARE)
    found = learn(judged.pooled_MW, judged.doubt_M, held_M, config.doubt, judged.wrong_M)
    say(
        f"{len(judged.wrong_M)} transitions, {float(judged.wrong_M.mean()):.3f} predicted wrongly; "
        f"{int(held_M.sum())} for calibration: scale {found.scale:.3f}, shift {found.shift:.3f}"
    )
    return {
        "hidden_HW": found.hidden_HW,
        "hidden_bias_H": found.hidden_bias_H,
        "doubt_H": found.last_H,
        "doubt_bias": found.last_bias,
    }


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
    others = {f.name for f in fields(Reliability)} - set(scenes) - {"clarity"}
    measured = Reliability.from_tensors(
        dict.fromkeys(others, torch.zeros(0)) | scenes | {"scene_limit": torch.ones(1)}
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
