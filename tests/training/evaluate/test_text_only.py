"""A blind model that finds what is to be found, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.evaluate.blind_choices import Blind
from training.evaluate.choices import Item
from training.evaluate.text_only import TextOnly, in_roles

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("cube", "ball", "cylinder", "cone")


def items(seed: int, count: int, shortcut: str) -> list[Item]:
    """Which object does the sentence speak of? By `shortcut` the query or the wording tells."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        order = rng.permutation(16)[:4]
        names = [f"{COLOURS[i // 4]} {SHAPES[i % 4]}" for i in order]
        answer = int(rng.integers(4))
        named = names[answer] if shortcut == "query" else "thing"
        texts = [f"the robot pushes the {name}" for name in names]
        if shortcut == "wording":
            texts[answer] += " away"
        found.append(Item("push", f"push the {named}", tuple(texts), answer))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("shortcut", ["query", "wording"])
def test_it_finds_a_planted_shortcut(shortcut: str) -> None:
    model = TextOnly(items(0, 600, shortcut), items(1, 100, shortcut), steps=600)
    assert model.right(items(2, 200, shortcut)).mean() > 0.95


@pytest.mark.slow
def test_it_guesses_where_words_tell_nothing() -> None:
    model = TextOnly(items(0, 600, ""), items(1, 100, ""), steps=600)
    assert model.right(items(2, 600, "")).mean() == pytest.approx(0.25, abs=0.07)


@pytest.mark.slow
def test_it_hears_what_was_done_before() -> None:
    def asked(seed: int, count: int) -> list[Item]:
        rng = np.random.default_rng(seed)
        holds = rng.integers(2, size=count)
        return [
            Item("put", "put it down", ("it is put down", "nothing is held"), 1 - int(held),
                 ("go home", "pick up the red cube")[held])
            for held in holds
        ]  # fmt: skip

    model = TextOnly(asked(0, 300), asked(1, 50), steps=400)
    assert model.right(asked(2, 100)).all()


@pytest.mark.slow
def test_it_is_the_same_for_a_seed_and_leaves_torchs_numbers_alone() -> None:
    fit, check, test = items(0, 100, ""), items(1, 50, ""), items(2, 200, "")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (TextOnly(fit, check, seed=3, steps=100).right(test) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    torch.testing.assert_close(torch.rand(3), expected)


@pytest.mark.slow
def test_candidates_may_differ_in_number() -> None:
    fit = [*items(0, 300, "query"), Item("drawer", "is it open?", ("yes", "no"), 0)] * 2
    model = TextOnly(fit, fit, steps=300)
    assert model.right([Item("drawer", "is it open?", ("yes", "no"), 0)]).all()


def test_without_items_there_is_no_model() -> None:
    with pytest.raises(ValueError, match="items"):
        TextOnly([], items(0, 10, ""))


def test_objects_are_told_by_the_parts_they_play() -> None:
    item = Item(
        "push",
        "Push the turquoise block away",
        ("the cyan cube hits the red ball", "the red ball hits the white tube"),
        0,
        "pick up the black cone",
    )
    told = in_roles(item)
    assert told.query == "push the named2 cube away"
    assert told.earlier == "pick up the named1 cone"
    assert told.candidates == (
        "the named2 cube hits the other1 ball",
        "the other1 ball hits the other2 cylinder",
    )


def test_the_best_of_the_blind_is_taken_under_the_score_asked_for() -> None:
    bools = [np.array(x, dtype=np.bool_) for x in ([1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1])]
    found = Blind(*bools)
    assert found.best() == 0.5
    assert found.best(lambda right_R: float(right_R[3])) == 1.0
    assert found.of(np.array([True, False, False, True])).best() == 0.5
    assert Blind(bools[0], bools[0], None).best() == 0.25
