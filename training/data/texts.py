"""The texts of a batch as tensors, by the names that the tabletop's batches gave them.

Shapes: B rows, L text tokens, K wrong candidates of a row, U distinct texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from training.data.samples import MediaSample, same_meaning
from training.data.tally import Tally
from training.tabletop.batches import MAX_TEXT_TOKENS, target_tensors, text_tensors
from training.tabletop.tasks import Sample
from vljepa_ros.model.text import MAX_CHARACTERS, Tokenizer


def sample_tensors(
    tokenizer: Tokenizer, samples: Sequence[MediaSample], tally: Tally
) -> dict[str, Tensor]:
    """Queries, targets with candidates and keys, and what the Y-decoder is to say.

    `query_*` and `canonical_*` (the target with EOS) are the predictor's and Y-decoder's tokens,
    `text_*` (the U distinct targets and candidates) the Y-encoder's. Texts longer than
    `MAX_TEXT_TOKENS` are cut and counted.
    """
    asked = [_asked(sample) for sample in samples]
    queries, targets = [a.query for a in asked], [a.target for a in asked]
    batch = text_tensors(tokenizer, "query", queries)
    batch |= target_tensors(tokenizer.target, asked)
    batch |= text_tensors(tokenizer, "canonical", targets, eos=True)
    distinct = list({text for a in asked for text in (a.target, *a.candidates)})
    tally.count_cut(_cut(tokenizer, queries, batch["query_mask_BL"]))
    tally.count_cut(_cut(tokenizer.target, distinct, batch["text_mask_BL"]))
    return batch


def _asked(sample: MediaSample) -> Sample:
    """As the tabletop asks; its key is made of `canonical`, here of what the target says."""
    return Sample(
        query=sample.query[:MAX_CHARACTERS],
        target=sample.target[:MAX_CHARACTERS],
        canonical=same_meaning(sample.target),
        candidates=tuple(text[:MAX_CHARACTERS] for text in sample.candidates),
    )


def _cut(tokenizer: Tokenizer, texts: Sequence[str], mask_BL: Tensor) -> int:
    """How many of the texts that a mask is of lost tokens; most batches have none that could."""
    if mask_BL.shape[1] < MAX_TEXT_TOKENS:
        return 0
    _, longer_BL = tokenizer.encode_batch(texts, MAX_TEXT_TOKENS + 1)
    return int((longer_BL.sum(dim=1) > MAX_TEXT_TOKENS).sum())
