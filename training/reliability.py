"""Run `reliability`: how far the finished model can be trusted.

On streams kept aside from the predictor, every possible action of every still moment is imagined
and held against its candidates. A small network learns which predictions are wrong, one scale and
one shift calibrate it on other streams, and the scenes' and instructions' usual looks are noted
(docs/decisions/0052). From shards, where nobody knows what actions lead to, scenes and the clarity
of words (training/clarity.py) are measured alone.

Shapes: M moments or transitions, A answers, B rows, T tubelets, N tokens, D token width, W
predictor width, E embedding width, C candidates, U texts, L tokens of a text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training import clarity, scene_after
from training.odds import learn
from training.scene_after import SceneAfterRun
from training.small_network import NetworkRun, aside_streams
from training.tabletop import language
from training.tabletop.actions import DURATIONS_S, Action, possible_actions
from training.tabletop.batches import MAX_TEXT_TOKENS
from training.tabletop.cached_windows import Before, Windows
from training.tabletop.names import ALL_OBJECTS
from training.tabletop.transitions import balanced
from vljepa_ros.model.preprocessing import normalise
from vljepa_ros.model.reliability import Actions, Clarity, Reliability, Scenes, token_pairs
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

DIRECTIONS = 48
CALIBRATION_SHARE = 0.4
KNOWN_SHARE = 0.995
"""So many known scenes stay below the limit."""
WORDINGS = 400
"""Instructions drawn for each skill, object and colour of wording."""
BATCH = 128

Batches = Dataset[dict[str, Tensor]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class ReliabilityRun:
    """How much is measured and how the small networks learn."""

    moments: int = 6000
    doubt: NetworkRun = field(default_factory=lambda: NetworkRun(hidden=128, steps=1500))
    batches: int = 80
    """Of answers whose words are found, for the clarity."""
    clarity: NetworkRun = field(
        default_factory=lambda: NetworkRun(hidden=128, steps=1500, weight_decay=0.05, dropout=0.2)
    )
    fewest_samples: int = 200
    """Shards kept aside with fewer say too little of what is known."""
    scene_after: SceneAfterRun = field(default_factory=SceneAfterRun)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Judged:
    """Predictions of M transitions: what they were read from, whether wrong, of which stream."""

    pooled_MW: Tensor
    wrong_M: Tensor
    doubt_M: Tensor
    """Probability of the wrong candidates together: how nearly it was wrong or right."""
    outcome_M: Tensor
    """Which kind of outcome is the true one, int64."""
    stream_M: Tensor


def measure(
    model: VLJepa,
    tokenizer: Tokenizer,
    aside: Windows,
    asked: Batches,
    config: ReliabilityRun,
    temperature: float,
    say: Say = print,
) -> Reliability:
    """Of the simulated world, on streams kept aside.

    Args:
        asked: what is asked of these streams.
        temperature: that of the model's loss.
    """
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    model.eval()
    moments = [aside.draw_before(rng) for _ in range(config.moments)]
    judged = _judge(model, tokenizer, moments, temperature, rng)
    return Reliability(
        actions=_actions(judged, _known_pairs(tokenizer, rng), config, say),
        scenes=scenes(torch.stack([torch.from_numpy(m.clip_T[-1]) for m in moments])),
        clarity=_clarity(model, tokenizer, answers(model, asked, config.batches)[0], config, say),
        scene_after=scene_after.measure(
            model, tokenizer, aside, config.scene_after, config.seed, say
        ),
    )


def measure_from_clips(
    model: VLJepa, tokenizer: Tokenizer, asked: Batches, config: ReliabilityRun, say: Say = print
) -> Reliability:
    """Of clips and queries alone, such as shards have."""
    torch.manual_seed(config.seed)
    model.eval()
    embedding_AE, tokens_AND = answers(model, asked, config.batches)
    return Reliability(
        scenes=scenes(tokens_AND),
        clarity=_clarity(model, tokenizer, embedding_AE, config, say),
    )


@torch.no_grad()
def answers(model: VLJepa, asked: Batches, batches: int) -> tuple[Tensor, Tensor]:
    """Embeddings (A, E), and the tokens (A, N, D) of each clip's last tubelet; of batches' clips.

    What a batch asks of scenes that it imagines is left out.
    """
    device = next(model.parameters()).device
    embeddings, tokens = [], []
    for step in range(batches):
        batch = {name: value.to(device) for name, value in asked[step].items()}
        if "tokens_BTND" in batch:
            tokens_BTND = batch["tokens_BTND"].float()
        else:
            tokens_BTND = model.x_encoder(normalise(batch["pixels_BTCHW"]))
        rows = len(tokens_BTND)
        query = batch["query_ids_BL"][:rows], batch["query_mask_BL"][:rows]
        embeddings.append(model.predictor(tokens_BTND, *query))
        tokens.append(tokens_BTND[:, -1])
    return torch.cat(embeddings), torch.cat(tokens)


def _clarity(
    model: VLJepa, tokenizer: Tokenizer, embedding_AE: Tensor, config: ReliabilityRun, say: Say
) -> Clarity | None:
    if model.y_decoder is None:
        return None
    return clarity.measure(model.y_decoder, tokenizer, embedding_AE, config.clarity, say)


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
        clips = [moments[moment_of[id(item.before)]].clip_T for item in some]
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
    outcomes = sorted({item.outcome for item in items})
    outcome_M = torch.tensor([outcomes.index(item.outcome) for item in items])
    return _Judged(torch.cat(pooled), wrong_M, doubt_M, outcome_M, torch.tensor(streams))


def _actions(judged: _Judged, pairs_P: Tensor, config: ReliabilityRun, say: Say) -> Actions:
    """The network, calibrated on streams of its own."""
    held_M = aside_streams(judged.stream_M, CALIBRATION_SHARE)
    found = learn(
        judged.pooled_MW, judged.doubt_M, held_M, config.doubt, judged.wrong_M, judged.outcome_M
    )
    say(
        f"{len(judged.wrong_M)} transitions, {float(judged.wrong_M.mean()):.3f} predicted wrongly; "
        f"{int(held_M.sum())} for calibration: scale {found.scale:.3f}, shift {found.shift:.3f}"
    )
    hidden, doubt = (found.hidden_HW, found.hidden_bias_H), (found.last_H, found.last_bias)
    outcomes = found.kinds_KH, found.kinds_bias_K, found.undecided
    return Actions(*hidden, *doubt, *outcomes, pairs_P)


def scenes(tokens_MND: Tensor) -> Scenes:
    """Mean, main directions and spread of the scenes' mean tokens, and how far known ones lie."""
    mean_MD = tokens_MND.float().mean(dim=1)
    offset_MD = mean_MD - mean_MD.mean(dim=0)
    kept = min(DIRECTIONS, offset_MD.shape[1], len(offset_MD))
    _, spread, directions = torch.linalg.svd(offset_MD, full_matrices=False)
    directions_KD = directions[:kept].contiguous()
    beside_MD = offset_MD - offset_MD @ directions_KD.T @ directions_KD
    found = Scenes(
        mean_D=mean_MD.mean(dim=0),
        directions_KD=directions_KD,
        deviation_K=(spread[:kept] / len(offset_MD) ** 0.5).clamp(min=1e-6),
        residual=beside_MD.square().sum(1).mean().sqrt().clamp(min=1e-6)[None],
        limit=torch.ones(1, device=mean_MD.device),
    )
    limit = found.distance(tokens_MND).quantile(KNOWN_SHARE)[None]
    return Scenes.from_tensors(found.tensors() | {"limit": limit})


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
