"""How probable the words will be that are found for an embedding, learnt without any truth.

What is asked of clips that the predictor was not trained on is answered and put into words, and the
Y-decoder says how probable it finds its own words. A small network learns to tell that from the
embedding alone, so that a stream need not look for words that would be a guess
(docs/decisions/0050).

Shapes: A answers, B rows of a batch, E embedding width, L tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.odds import learn
from training.small_network import NetworkRun
from vljepa_ros.model.reliability import Clarity
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.y_decoder import YDecoder

CALIBRATION_SHARE = 0.2
BATCH = 128


def measure(
    decoder: YDecoder,
    tokenizer: Tokenizer,
    embedding_AE: Tensor,
    run: NetworkRun,
    say: Callable[[str], None] = print,
) -> Clarity:
    """Learn it from answers; their last fifth only calibrates."""
    probability_A = torch.cat(
        [own_probability(decoder, tokenizer, some_BE) for some_BE in embedding_AE.split(BATCH)]
    ).cpu()
    input_AE = embedding_AE.cpu()
    held_A = torch.arange(len(input_AE)) >= len(input_AE) * (1 - CALIBRATION_SHARE)
    found = learn(input_AE, probability_A, held_A, run)
    say(
        f"{len(probability_A)} answers, their words {float(probability_A.mean()):.3f} probable; "
        f"{int(held_A.sum())} for calibration: scale {found.scale:.3f}, shift {found.shift:.3f}"
    )
    return Clarity(found.hidden_HW, found.hidden_bias_H, found.last_H, found.last_bias)


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
