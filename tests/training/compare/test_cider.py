"""CIDEr-D against the library that the captioning challenges use."""

import numpy as np
import pytest

from training.compare.cider import cider
from training.tabletop import language
from training.tabletop.templates import normalise

CAPTIONS = (
    "the robot pushes the red cube",
    "a ball rolls",
    "the robot lifts the blue cone and drops it",
)
REFERENCES = (
    ("the robot pushes the red cube left", "the arm pushes a red cube"),
    ("the green ball rolls away",),
    ("the robot lifts the blue cone", "the arm picks up the blue cone"),
)
OF_THE_LIBRARY = (5.693311808768893, 2.20149282902899, 4.302280915878059)
"""pycocoevalcap 1.2, `Cider().compute_score` of the above."""


def test_it_is_the_librarys() -> None:
    assert cider(CAPTIONS, REFERENCES) == pytest.approx(OF_THE_LIBRARY, rel=1e-12)


def test_it_is_the_librarys_on_captions_of_this_world() -> None:
    library = pytest.importorskip("pycocoevalcap.cider.cider")
    rng = np.random.default_rng(3)
    captions, references = [], []
    for index in range(40):
        meaning = language.sample_meaning(("action", "scene")[index % 2], rng)
        edited = language.edits(meaning, rng, 1)[0]
        references.append([language.caption(meaning, rng) for _ in range(4)])
        said = meaning if index % 3 else edited
        captions.append(language.caption(said, rng) if index % 7 else "")
    wanted = library.Cider().compute_score(
        {row: [normalise(text) for text in some] for row, some in enumerate(references)},
        {row: [normalise(text)] for row, text in enumerate(captions)},
    )[1]
    assert cider(captions, references) == pytest.approx(wanted, rel=1e-9)


def test_the_truth_in_another_wording_lies_above_another_truth() -> None:
    rng = np.random.default_rng(4)
    meanings = [language.sample_meaning("action", rng) for _ in range(60)]
    references = [[language.caption(m, rng) for _ in range(5)] for m in meanings]
    right = cider([language.caption(m, rng) for m in meanings], references)
    wrong = cider([language.caption(m, rng) for m in meanings[1:] + meanings[:1]], references)
    assert right.mean() > 3 * wrong.mean()
    assert cider([""] * 60, references).max() == 0


def test_a_caption_without_references_is_refused() -> None:
    with pytest.raises(ValueError, match="references"):
        cider(["a ball rolls"], [[]])
    with pytest.raises(ValueError, match="references"):
        cider(["a ball rolls"], [])
