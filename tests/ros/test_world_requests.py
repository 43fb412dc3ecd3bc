"""Requests to the world state without nodes: batches, ages, and models that lack a part."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from world_harness import OUTCOME, candidate, candidates, save_dreamer, seconds, sequences

from vljepa_ros import action, msg, srv
from vljepa_ros.config import MemoryConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.ros.requests import RequestError, Work
from vljepa_ros.ros.world_requests import BATCH, WorldRequests
from vljepa_ros.world.history import History, Moment
from vljepa_ros.world.memory import Memory

NOW_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine.load(save_dreamer(tmp_path_factory.mktemp("dreamer")), device="cpu")


def requests_of(engine: Engine, *ages_s: float, action_types: Any = ("text",)) -> WorldRequests:
    """States 1, 2 … of these ages."""
    history = History(["eye"], 10)
    crop_px = engine.config.x_encoder.crop_px
    shape = (1, engine.config.clip_frames, crop_px, crop_px, 3)
    for state_id, age_s in enumerate(ages_s, start=1):
        images = np.random.default_rng(state_id).integers(0, 256, shape, np.uint8)
        stamp_ns = NOW_NS - round(age_s * SECOND_NS)
        moment = Moment(state_id, stamp_ns, "lens", engine.encode_clips(images))
        history.put("eye", moment, history.era)
    memory = Memory(MemoryConfig(), engine.space_id, engine.embedding_width)
    return WorldRequests(engine, history, memory, action_types, lambda: NOW_NS)


def done(work: Work[Any, Any]) -> tuple[Any, list[Any]]:
    """The answer, and what was told after each batch."""
    told = []
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            return end.value, told


def code(asking: Callable[[], Any]) -> int:
    with pytest.raises(RequestError) as caught:
        asking()
    assert str(caught.value)
    return caught.value.error_code


def transitions(*actions: msg.CandidateAction, **fields: Any) -> srv.QueryTransitions.Request:
    return srv.QueryTransitions.Request(actions=list(actions or [candidate()]), **fields)


def test_no_batch_is_larger_than_it_may_be(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = requests_of(engine, 1.0)
    sizes: list[int] = []
    imagine, encode = engine.imagine, engine.encode_texts

    def counted_imagine(tokens_BTND: Any, actions: Any) -> Any:
        sizes.append(len(actions))
        return imagine(tokens_BTND, actions)

    def counted_encode(texts: Any) -> Any:
        sizes.append(len([t for t in texts if t not in known]))
        known.update(texts)
        return encode(texts)

    known: set[str] = set()
    monkeypatch.setattr(engine, "imagine", counted_imagine)
    monkeypatch.setattr(engine, "encode_texts", counted_encode)
    asked = transitions(*candidates(200), return_captions=True)
    answer, told = done(requests.query_transitions(asked))
    assert len(answer.predictions) == 200 and len(told) == 7 + 13  # passes, captions
    cups = [f"{n} cups" for n in range(200)]
    answer, told = done(requests.query_world_state(srv.QueryWorldState.Request(candidates=cups)))
    assert [s.label for s in answer.scores] == cups and len(told) == 3
    goal = action.RolloutTransitions.Goal(sequences=sequences(100, 2), goal_text=OUTCOME)
    search, work = requests.rollout_transitions(goal)
    _, told = done(work)
    assert [found.evaluated for found in told] == [0, 0, 64, 100]
    assert len(search.result().ranked) == 100
    assert max(sizes) <= BATCH


def test_ages_are_now_minus_stamp(engine: Engine) -> None:
    requests = requests_of(engine, 3.0, 1.0, -5.0)

    def ask(state_id: int, max_age_s: float) -> Any:
        asked = transitions(state_id=state_id, max_state_age=seconds(max_age_s))
        return done(requests.query_transitions(asked))[0]

    assert ask(1, 3.0).state_id == 1 and ask(2, 0.0).state_id == 2
    assert ask(0, 0.001).state_id == 3  # a clock that runs ahead
    assert ask(1, 0.0).state_header.stamp.sec == NOW_NS // SECOND_NS - 3
    assert code(lambda: ask(1, 2.999)) == msg.Status.STALE_STATE
    assert code(lambda: ask(9, 0.0)) == msg.Status.NO_STATE


def test_a_model_that_cannot_imagine_says_so_and_answers_questions(tiny_model: Path) -> None:
    engine = Engine.load(tiny_model, device="cpu")
    requests = requests_of(engine, 1.0, action_types=())
    unsupported = msg.Status.UNSUPPORTED_ACTION
    assert code(lambda: requests.query_transitions(transitions())) == unsupported
    explain = srv.ExplainTransition.Request(actions=[candidate()])
    assert code(lambda: requests.explain_transition(explain)) == unsupported
    goal = action.RolloutTransitions.Goal(sequences=sequences(1, 1), goal_text=OUTCOME)
    assert code(lambda: requests.rollout_transitions(goal)) == unsupported
    asked = srv.QueryWorldState.Request(candidates=["a cup", "a robot"])
    assert len(done(requests.query_world_state(asked))[0].scores) == 2


def test_a_model_without_words_decodes_nothing(tmp_path: Path) -> None:
    requests = requests_of(Engine.load(save_dreamer(tmp_path, y_decoder=None), device="cpu"))
    answer, _ = done(requests.encode_text(srv.EncodeText.Request(texts=["a"])))
    asked = srv.DecodeEmbedding.Request(embeddings=answer.embeddings)
    assert code(lambda: requests.decode_embedding(asked)) == msg.Status.INVALID_REQUEST


def test_texts_that_no_message_can_carry_are_refused_too(engine: Engine) -> None:
    requests = requests_of(engine, 1.0)
    invalid = msg.Status.INVALID_REQUEST
    for text in ("\x00", "why\x00not", "\ud800"):
        asked = dataclasses.make_dataclass("Asked", ["texts"])([text])
        assert code(lambda asked=asked: requests.encode_text(asked)) == invalid
