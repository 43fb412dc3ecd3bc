"""How probable the words will be that are found for an embedding, learnt without any truth.

Of windows that the predictor was not trained on: what is asked is answered, put into words, and the
Y-decoder says how probable it finds its own words. A small network learns to tell that from the
embedding alone, so that a stream need not look for words that would be a guess
(docs/decisions/0050).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from training.odds import OddsRun, aside_streams, learn
from training.tabletop.batches import MAX_TEXT_TOKENS, Row, WindowBatches
from vljepa_ros.model.reliability import Clarity
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.model.y_decoder import YDecoder

CALIBRATION_SHARE = 0.2


def measure(
    model: VLJepa,
    tokenizer: Tokenizer,
    aside: WindowBatches,
    batches: int,
    run: OddsRun,
    say: Callable[[str], None] = print,
) -> Clarity | None:
    """Learn it from so many batches of windows kept aside; None without a Y-decoder."""
    if model.y_decoder is None:
        return None
    model.eval()
    embeddings, probabilities, streams = [], [], list[int]()
    for step in range(batches):
        rows = aside.rows(step)
        embedding_BE = _answers(model, tokenizer, rows)
        embeddings.append(embedding_BE)
        probabilities.append(own_probability(model.y_decoder, tokenizer, embedding_BE))
        streams += [row.stream for row in rows]
    embedding_RE, probability_R = torch.cat(embeddings), torch.cat(probabilities)
    # A unit vector's parts are small; the network learns from parts of about unit size.
    unit = embedding_RE.shape[1] ** 0.5
    held_R = aside_streams(torch.tensor(streams), CALIBRATION_SHARE)
    found = learn(embedding_RE * unit, probability_R, held_R, run)
    say(
        f"{len(probability_R)} answers, their words {float(probability_R.mean()):.3f} probable; "
        f"{int(held_R.sum())} for calibration: scale {found.scale:.3f}, shift {found.shift:.3f}"
    )
    return Clarity(found.hidden_HW * unit, found.hidden_bias_H, found.last_H, found.last_bias)


@torch.no_grad()
def _answers(model: VLJepa, tokenizer: Tokenizer, rows: Sequence[Row]) -> Tensor:
    tokens_BTND = torch.from_numpy(np.stack([row.tokens_TND for row in rows])).float()
    query = tokenizer.encode_batch([row.asked.query for row in rows], MAX_TEXT_TOKENS)
    embedding_BE: Tensor = model.predictor(tokens_BTND, *query)
    return embedding_BE


@torch.no_grad()
def own_probability(decoder: YDecoder, tokenizer: Tokenizer, embedding_BE: Tensor) -> Tensor:
    """Probability (B,) of the words that the Y-decoder finds for each embedding, end included."""
    ids_BL = decoder.generate(embedding_BE, eos_id=tokenizer.eos_id, pad_id=tokenizer.pad_id)
    ended_BL = (ids_BL == tokenizer.eos_id).cumsum(dim=1)
    # The first end itself counts, what follows it does not.
    mask_BL = ((ended_BL == 0) | ((ended_BL == 1) & (ids_BL == tokenizer.eos_id))).long()
    log_BLV = decoder(embedding_BE, ids_BL, mask_BL).float().log_softmax(dim=-1)
    log_BL = log_BLV.gather(-1, ids_BL[..., None])[..., 0]
    probability_B: Tensor = (log_BL * mask_BL).sum(dim=1).exp()
    return probability_B
