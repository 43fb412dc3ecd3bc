"""In the split of new wordings every word that can be said otherwise is, and means the same."""

import numpy as np
import pytest

from training.evaluate.choices import Item
from training.evaluate.questions import items_of
from training.evaluate.rewording import HELDOUT, rewording
from training.evaluate.transitions import still_states, transitions_of
from training.tabletop import language, questions
from training.tabletop.actions import Action
from training.tabletop.names import ACTIONS, ObjectName
from training.tabletop.splits import TEST_SEEDS
from training.tabletop.windows import still_truth
from training.tabletop.world import Episode

SEED = TEST_SEEDS[900]


def test_instructions_and_outcomes_mean_the_same_in_words_never_trained_on() -> None:
    asked = transitions_of(still_states([Episode.generate(SEED, "test")]), np.random.default_rng(0))
    for plain in (Item(t.outcome, t.query, t.candidates, t.answer) for t in asked):
        item = rewording(HELDOUT, SEED)(plain)
        assert item.query != plain.query
        assert language.parse(item.query) == language.parse(plain.query)
        assert list(map(language.parse, item.candidates)) == list(
            map(language.parse, plain.candidates)
        )
        assert item.candidates != plain.candidates and item.answer == plain.answer


def test_training_never_says_an_instruction_so() -> None:
    rng = np.random.default_rng(1)
    cube = ObjectName("red", "cube")
    for name in ACTIONS:
        target = cube if name.startswith(("pick", "push", "tip", "stack")) else None
        trained = {language.action_instruction(Action(name, target), rng) for _ in range(200)}
        plain = Item("", language.action_instruction(Action(name, target)), (), 0)
        anew = {rewording(HELDOUT, seed)(plain).query for seed in range(20)}
        assert len(anew) >= 2 and not anew & trained


def test_questions_ask_the_same_in_words_never_trained_on() -> None:
    about = [still_truth(state) for state in still_states([Episode.generate(SEED, "test")])]
    rng = np.random.default_rng(2)
    trained = set(questions.example_questions())
    for plain in (item for one in about for item in items_of(one, rng)):
        item = rewording(HELDOUT, SEED)(plain)
        assert questions.read(item.query) == questions.read(plain.query)
        assert item.query not in trained and item.candidates == plain.candidates


@pytest.mark.parametrize("split", ["test", "heldout_camera"])
def test_elsewhere_nothing_changes(split: str) -> None:
    item = Item("", "lift the red cube", ("nothing moves", "yes"), 1)
    assert rewording(split, SEED)(item) is item
    assert rewording(HELDOUT, SEED)(item).candidates[1] == "yes"
