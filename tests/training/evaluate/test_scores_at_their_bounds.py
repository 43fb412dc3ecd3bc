"""Who knows the world scores 1 in everything, who does not look scores as guessing does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import cast

import numpy as np
import pytest
from knowing_engine import BlindEngine, KnowingEngine, Pair

from training.evaluate import blind_choices, inverse, rollouts, tabletop, transitions
from training.evaluate.questions import score_questions
from training.evaluate.text_only import TextOnly
from training.tabletop import language
from training.tabletop.meaning import Meaning
from training.tabletop.splits import TEST_SEEDS
from training.tabletop.windows import WindowTruth
from training.tabletop.world import Episode
from vljepa_ros.model.engine import Engine

SEED = TEST_SEEDS[700]
SCORES = (
    "action_caption_r1_of_100", "action_caption_r1_of_100_random", "scene_caption_r1_of_100",
    "scene_caption_r1_of_100_random", "action_accuracy", "caption_match", "scene_match",
    "transition_accuracy", "transition_macro", "inverse_accuracy", "vqa_macro",
    "rollout_accuracy_1", "rollout_accuracy_2", "rollout_accuracy_3",
)  # fmt: skip
MOST_BY_GUESSING = {"vqa_macro": 0.4, "transition": 0.4,
                    "rollout": 0.4, "inverse": 0.35, "action_accuracy": 0.25}  # fmt: skip
"""By the start of the name; else .1. As few items as here scatter by so much about chance."""


@pytest.fixture(scope="module")
def worlds() -> list[Episode]:
    return [Episode.generate(SEED + i, "test") for i in range(4)]


@pytest.fixture(autouse=True)
def few_fitted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blind models are tested elsewhere."""
    monkeypatch.setattr(blind_choices, "TextOnly", partial(TextOnly, steps=2))
    monkeypatch.setattr(blind_choices, "FIT_EPISODES", 2)
    monkeypatch.setattr(blind_choices, "CHECK_EPISODES", 1)
    blind_choices.fit_worlds.cache_clear()
    yield
    blind_choices.fit_worlds.cache_clear()


def scores_of(knowing: KnowingEngine, worlds: list[Episode]) -> dict[str, float]:
    """Everything with a bound."""
    engine = cast("Engine", knowing)
    still, acting = knowing.observed(worlds, still=True), knowing.observed(worlds, still=False)
    actions = [window for window in acting if window.truth.decided]
    scores = tabletop._score_retrieval(engine, [*actions, *still], actions, SEED, "test")
    scores |= tabletop._score_actions(engine, actions, SEED)
    scores |= tabletop._score_captions(engine, actions, SEED)
    scores |= tabletop._score_scene_captions(engine, still, SEED)
    scores |= transitions.score_transitions(engine, still, SEED)
    scores |= inverse.score_inverse(engine, still, actions, worlds, SEED)
    scores |= score_questions(engine, still, actions, SEED)
    return scores | rollouts.score_rollouts(engine, still, SEED)


@pytest.mark.slow
def test_who_knows_the_world_scores_one(worlds: list[Episode]) -> None:
    scores = scores_of(KnowingEngine(), worlds)
    assert {name: scores[name] for name in SCORES} == pytest.approx(dict.fromkeys(SCORES, 1.0))


@pytest.mark.slow
def test_who_does_not_look_guesses(worlds: list[Episode]) -> None:
    scores = scores_of(BlindEngine(), worlds)
    for name in SCORES:
        most = next((m for start, m in MOST_BY_GUESSING.items() if name.startswith(start)), 0.1)
        assert scores[name] < most, name
    chance = scores["transition_chance"]
    deviation = np.sqrt(chance * (1 - chance) / scores["transition_items"])
    assert scores["transition_accuracy"] == pytest.approx(chance, abs=4 * deviation)


class NamingEngine(KnowingEngine):
    """Sees in a clip which action it is, in the words of an instruction."""

    def answer(self, shown: WindowTruth | Pair, query: str) -> Meaning | str:
        if isinstance(shown, WindowTruth) and shown.segment.action is not None:
            return language.parse(language.action_instruction(shown.segment.action)) or ""
        return super().answer(shown, query)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least", "most"), [(NamingEngine, 1, 1), (BlindEngine, 0, 0.5)])
def test_the_clip_that_lies_between_is_found(
    kind: type[KnowingEngine], least: float, most: float, worlds: list[Episode]
) -> None:
    knowing = kind()
    still, acting = knowing.observed(worlds, still=True), knowing.observed(worlds, still=False)
    scores = inverse.score_inverse(cast("Engine", knowing), still, acting, worlds, SEED)
    assert least <= scores["inverse_clips_accuracy"] <= most
