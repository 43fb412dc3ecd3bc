from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.model.text import TextError
from vljepa_ros.world.world_model import WorldModel

ACTIONS = ["push the red cube left", "open the drawer", "what"]


def test_each_action_is_answered_in_order(engine: Engine, tokens: Tokens) -> None:
    world = WorldModel(engine)
    goal_E = engine.encode_texts(["the drawer is open"])[0]
    found = world.transitions(tokens, ACTIONS, goal_E=goal_E)
    imagined = engine.imagine(tokens, ACTIONS)
    for transition, embedding_E in zip(found, imagined.embeddings, strict=True):
        np.testing.assert_array_equal(transition.embedding_E, embedding_E)
        assert transition.goal_similarity == pytest.approx(float(embedding_E @ goal_E), abs=1e-5)


def test_change_compares_both_scenes_under_the_scene_query(engine: Engine, tokens: Tokens) -> None:
    scene = engine.config.scene_query
    before_E = engine.predict(tokens, [scene])[0]
    after = engine.imagine(tokens, ACTIONS).tokens
    found = WorldModel(engine).transitions(tokens, ACTIONS)
    for transition, clip in zip(found, after, strict=True):
        after_E = engine.predict(clip[None], [scene])[0]
        assert transition.change == pytest.approx(1 - float(before_E @ after_E), abs=1e-4)


def test_the_scene_before_is_asked_once_and_never_that_of_another_state(
    engine: Engine, clips: tuple[Tokens, Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    predict = engine.predict

    def counting(tokens: Tokens, queries: list[str]) -> Any:
        asked.append(len(queries))
        return predict(tokens, queries)

    fresh = [WorldModel(engine).transitions(clip, ACTIONS) for clip in clips]
    monkeypatch.setattr(engine, "predict", counting)
    world = WorldModel(engine)
    for clip, wanted in ((clips[0], fresh[0]), (clips[0], fresh[0]), (clips[1], fresh[1])):
        found = world.transitions(clip, ACTIONS)
        assert [t.change for t in found] == pytest.approx([t.change for t in wanted], abs=1e-5)
    assert asked == [1, 3, 3, 1, 3]


def test_without_a_goal_or_captions_none_are_made_up(engine: Engine, tokens: Tokens) -> None:
    (found,) = WorldModel(engine).transitions(tokens, ACTIONS[:1])
    assert math.isnan(found.goal_similarity) and found.caption == ""
    (said,) = WorldModel(engine).transitions(tokens, ACTIONS[:1], captions=True)
    assert said.caption == engine.decode(said.embedding_E[None])[0]


def test_an_explanation_asks_the_inverse_query_of_both_states(
    engine: Engine, tokens: Tokens
) -> None:
    after = engine.imagine(tokens, ACTIONS[:1]).tokens
    scores = WorldModel(engine).explain(tokens, after, ACTIONS)
    joined = engine.join_states(tokens, after)
    wanted = engine.score_labels(engine.predict(joined, [engine.config.inverse_query])[0], ACTIONS)
    assert scores == wanted
    assert sum(s.probability for s in scores) == pytest.approx(1.0)


def test_an_empty_question_asks_for_the_scene(engine: Engine, tokens: Tokens) -> None:
    world = WorldModel(engine)
    labels = ["a red cube", "an open drawer"]
    assert world.answer(tokens, "", labels) == world.answer(
        tokens, engine.config.scene_query, labels
    )
    assert world.answer(tokens, "What is it?", labels) != world.answer(tokens, "", labels)


def test_unusable_texts_are_refused(engine: Engine, tokens: Tokens) -> None:
    world = WorldModel(engine)
    for text in (" ", "a\0b", "x" * 5000):
        with pytest.raises(TextError):
            world.check_action(text)
        with pytest.raises(TextError):
            world.transitions(tokens, [text])
