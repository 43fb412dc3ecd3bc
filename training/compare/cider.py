"""CIDEr-D (arXiv 1411.5726): how far a caption's n-grams are those of several references.

As the captioning challenges compute it, and as pycocoevalcap does (tests/training/compare): n-grams
of 1 to 4 words, weighted by how few items have them, counts clipped to the reference's, a Gaussian
penalty on the difference in length, times 10. The library itself brings 100 MB of Java tools for
its tokenizer, which captions of a closed grammar do not need.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.tabletop.templates import normalise

LONGEST = 4
SIGMA = 6.0
"""Words of difference in length at which the penalty is exp(-1/2)."""
SCALE = 10.0

Grams = Counter[tuple[str, ...]]
Vector = dict[tuple[str, ...], float]


def cider(captions: Sequence[str], references: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
    """CIDEr-D of each caption (R,) against its own references; the mean is the corpus's score.

    How rare an n-gram is, is counted over all items' references: fewer than two items score 0.

    Raises:
        ValueError: not one list of references for each caption, or an empty one.
    """
    if len(captions) != len(references) or not all(references):
        raise ValueError("each caption needs its list of references, with at least one in it")
    referred = [[_grams(text) for text in some] for some in references]
    items_with: Grams = Counter()
    for some in referred:
        items_with.update({gram for grams in some for gram in grams})
    items = math.log(max(len(captions), 1))
    scores = []
    for text, some in zip(captions, referred, strict=True):
        ours = _grams(text)
        each = [_similarity(ours, theirs, items_with, items) for theirs in some]
        scores.append(SCALE * sum(each) / len(each))
    return np.array(scores)


def _grams(text: str) -> Grams:
    words = normalise(text).split()
    spans = (words[at : at + n] for n in range(1, LONGEST + 1) for at in range(len(words) - n + 1))
    return Counter(tuple(span) for span in spans)


def _similarity(ours: Grams, theirs: Grams, items_with: Grams, items: float) -> float:
    """Mean over n of the clipped cosine of n-grams weighted by their rarity."""
    a, b = (_weighted(grams, items_with, items) for grams in (ours, theirs))
    longer = _pairs(ours) - _pairs(theirs)
    penalty = math.exp(-(longer**2) / (2 * SIGMA**2))
    total = 0.0
    for n in range(1, LONGEST + 1):
        some_a, some_b = _of_length(a, n), _of_length(b, n)
        norm = _norm(some_a) * _norm(some_b)
        if norm:
            shared = sum(
                min(w, some_b.get(gram, 0.0)) * some_b.get(gram, 0.0) for gram, w in some_a.items()
            )
            total += penalty * shared / norm
    return total / LONGEST


def _weighted(grams: Grams, items_with: Grams, items: float) -> Vector:
    return {g: n * (items - math.log(max(1, items_with[g]))) for g, n in grams.items()}


def _pairs(grams: Grams) -> int:
    """The length that the penalty compares: as the reference implementation, in pairs of words."""
    return sum(n for gram, n in grams.items() if len(gram) == 2)


def _of_length(vector: Vector, n: int) -> Vector:
    return {gram: weight for gram, weight in vector.items() if len(gram) == n}


def _norm(vector: Vector) -> float:
    return math.sqrt(sum(weight**2 for weight in vector.values()))
