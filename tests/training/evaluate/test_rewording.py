"""In the split of new wordings every word that can be said otherwise is, and means the same."""

import numpy as np
import pytest

from training.evaluate.choices import Item, imagined
from training.evaluate.observe import observe_still
from training.evaluate.questions import items_of
from training.evaluate.rewording import HELDOUT, rewording
from training.evaluate.transitions import (
    asked_of,
    imagining,
    still_states,
    transitions_of,
)
from training.tabletop import language, questions
from training.tabletop.actions import Action
from training.tabletop.names import ACTIONS, ObjectName
from training.tabletop.splits import TEST_SEEDS, TUNE_SEEDS
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


@pytest.mark.slow
def test_the_shipped_model_tells_that_it_does_not_know_the_words() -> None:
    engine = imagining("models/tabletop", threads=1)
    moments = observe_still(engine, [Episode.generate(TUNE_SEEDS[600_000], "test")], SEED)
    items, seen = asked_of(moments, SEED)
    clips = [moment.tokens_TND for moment in seen[:100]]

    def strange(split: str) -> float:
        queries = [rewording(split, SEED)(item).query for item in items[:100]]
        found = imagined(engine, clips, queries)
        return float(np.concatenate([one.out_of_distribution for one in found]).mean())

    assert strange("test") == 0.0
    assert strange(HELDOUT) > 0.9
