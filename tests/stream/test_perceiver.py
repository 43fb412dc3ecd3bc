"""Frames become states and events: ids, reasons, queries, resets, and every odd stamp."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.preprocessing import ImageError
from vljepa_ros.model.text import TextError
from vljepa_ros.stream.clip_buffer import NS_PER_S, Added
from vljepa_ros.stream.perceiver import Perceiver
from vljepa_ros.types import EventReason, Frame, Step

START_NS = 50 * NS_PER_S
QUIET = SelectiveConfig(threshold=1.0, distance_threshold=1.0, trust=0.0, max_interval_s=0.0)


def perceiver_of(
    engine: Engine, selective: SelectiveConfig = QUIET, **settings: object
) -> Perceiver:
    return Perceiver(engine, PerceptionConfig(selective=selective, **settings), "wrist")  # type: ignore[arg-type]


def frame(images: np.ndarray, index: int, rate_hz: float = 4.0, offset_s: float = 0.0) -> Frame:
    stamp_ns = START_NS + round((index / rate_hz + offset_s) * NS_PER_S)
    return Frame(stamp_ns, images[index % len(images)], "optical")


def must(step: Step | None) -> Step:
    assert step is not None
    return step


def test_the_first_step_opens_state_one_and_says_so(engine: Engine, images: np.ndarray) -> None:
    step = must(perceiver_of(engine).step(frame(images, 0)))
    assert step.event is not None
    assert step.event.reason is EventReason.FIRST
    assert (step.state.state_id, step.event.previous_state_id) == (1, 0)
    assert step.state.changed
    assert step.state.state_since_ns == step.state.stamp_ns == START_NS
    assert (step.state.camera, step.state.frame_id) == ("wrist", "optical")
    assert step.state.query == engine.config.caption_query
    assert step.event.caption == engine.decode(step.state.embedding_E[None])[0]
    assert step.event.caption_score == engine.caption_score(
        step.event.caption, step.state.embedding_E
    )


def test_embeddings_equal_the_bare_model(engine: Engine, images: np.ndarray) -> None:
    perceiver = perceiver_of(engine)
    for index in range(20):
        state = must(perceiver.step(frame(images, index, 8.0))).state
        # Every second frame of an 8 Hz camera is a frame of the 4 Hz clip; the oldest repeats.
        places = [max(index - 2 * back, 0) for back in range(7, -1, -1)]
        clip = np.stack([engine.prepare(images[place]) for place in places])[None]
        expected_E = engine.predict(engine.encode_clips(clip), [engine.config.caption_query])[0]
        np.testing.assert_allclose(state.embedding_E, expected_E, atol=1e-6)
        assert state.clip_start_ns == START_NS + places[0] * NS_PER_S // 8
        assert math.isclose(float(np.linalg.norm(state.embedding_E)), 1.0, abs_tol=1e-5)


def test_the_newest_steps_tokens_are_those_its_embedding_was_predicted_from(
    engine: Engine, images: np.ndarray
) -> None:
    perceiver = perceiver_of(engine)
    assert perceiver.tokens_BTND is None
    for index in range(3):
        state = must(perceiver.step(frame(images, index))).state
        assert perceiver.tokens_BTND is not None
        again_E = engine.predict(perceiver.tokens_BTND, [state.query])[0]
        np.testing.assert_allclose(again_E, state.embedding_E, atol=1e-6)
    perceiver.reset()
    assert perceiver.tokens_BTND is None


def test_the_state_goes_on_until_the_meaning_moves(engine: Engine, images: np.ndarray) -> None:
    perceiver = perceiver_of(engine)
    steps = [must(perceiver.step(frame(images, 0, offset_s=i))) for i in range(5)]
    assert [s.state.state_id for s in steps] == [1] * 5
    assert [s.event is None for s in steps] == [False, True, True, True, True]
    assert all(s.state.state_since_ns == START_NS for s in steps)
    assert all(s.state.change_threshold == 1.0 for s in steps)


def test_a_change_opens_the_next_state(engine: Engine, images: np.ndarray) -> None:
    eager = SelectiveConfig(
        threshold=0.0, trust=0.0, settle=10.0, min_interval_s=0.0, noise_factor=0.0
    )
    perceiver = perceiver_of(engine, eager)
    first = must(perceiver.step(frame(images, 0)))
    steps = (must(perceiver.step(frame(images, index))) for index in range(1, 20))
    step = next(s for s in steps if s.event is not None)
    assert step.event is not None and first.event is not None
    assert step.event.reason is EventReason.CHANGE
    assert step.state.changed
    # The score is the share of its probability that the first caption has lost.
    now, then = (
        engine.caption_log_probability(first.event.caption, e[None])[0]
        for e in (step.state.embedding_E, first.state.embedding_E)
    )
    assert step.state.change_score == pytest.approx(1 - math.exp(now - then), abs=1e-6)
    assert (step.state.state_id, step.event.previous_state_id) == (2, 1)
    assert step.state.state_since_ns == step.state.stamp_ns
    assert step.event.change_score == step.state.change_score > 0


def test_a_heartbeat_speaks_without_a_new_state(engine: Engine, images: np.ndarray) -> None:
    perceiver = perceiver_of(engine, dataclasses.replace(QUIET, max_interval_s=2.0))
    steps = [must(perceiver.step(frame(images, 0, offset_s=i))) for i in range(6)]
    reasons = [s.event.reason if s.event else None for s in steps]
    assert reasons == [EventReason.FIRST, None, EventReason.HEARTBEAT, None,
                       EventReason.HEARTBEAT, None]  # fmt: skip
    assert {s.state.state_id for s in steps} == {1}
    assert not steps[2].state.changed


def test_a_burst_is_added_without_the_model(engine: Engine, images: np.ndarray) -> None:
    burst, alone = perceiver_of(engine), perceiver_of(engine)
    for index in range(15):
        assert burst.add(frame(images, index, 20.0)) is Added.ADDED
        alone.step(frame(images, index, 20.0))
    assert burst.latest is None
    one, other = must(burst.perceive()), alone.latest
    assert other is not None
    np.testing.assert_allclose(one.state.embedding_E, other.state.embedding_E, atol=1e-6)
    assert burst.perceive() is None


def test_nothing_to_perceive_before_the_first_frame(engine: Engine) -> None:
    perceiver = perceiver_of(engine)
    assert perceiver.perceive() is None
    assert perceiver.caption_now() is None
    assert perceiver.state_id == 0


def test_set_query_opens_a_state_even_without_a_new_frame(
    engine: Engine, images: np.ndarray
) -> None:
    perceiver = perceiver_of(engine)
    must(perceiver.step(frame(images, 0)))
    perceiver.set_query("nothing happens", ["red cube", "gripper"])
    assert (perceiver.query, perceiver.labels) == ("nothing happens", ("red cube", "gripper"))
    step = must(perceiver.perceive())
    assert step.event is not None
    assert step.event.reason is EventReason.REQUEST
    assert (step.state.state_id, step.event.previous_state_id) == (2, 1)
    assert step.state.query == step.event.query == "nothing happens"
    assert step.state.labels == engine.score_labels(step.state.embedding_E, ("red cube", "gripper"))
    assert step.event.labels == step.state.labels
    after = must(perceiver.step(frame(images, 1)))
    assert after.state.query == "nothing happens"
    assert after.event is None


def test_set_query_before_the_first_frame_leaves_the_first_event_the_first(
    engine: Engine, images: np.ndarray
) -> None:
    perceiver = perceiver_of(engine)
    perceiver.set_query("nothing happens")
    step = must(perceiver.step(frame(images, 0)))
    assert step.event is not None
    assert step.event.reason is EventReason.FIRST
    assert step.state.query == "nothing happens"


@pytest.mark.parametrize("query", ["", "  ", "x" * 5000, "a\0b", "\ud800"])
def test_a_bad_query_is_refused_and_the_old_one_stays(
    engine: Engine, images: np.ndarray, query: str
) -> None:
    perceiver = perceiver_of(engine)
    with pytest.raises(TextError):
        perceiver.set_query(query)
    with pytest.raises(TextError):
        perceiver.set_query("fine", ["good", query])
    step = must(perceiver.step(frame(images, 0)))
    assert step.state.query == engine.config.caption_query
    assert step.state.labels == ()


def test_configured_query_and_labels_are_used_and_checked(
    engine: Engine, images: np.ndarray
) -> None:
    perceiver = perceiver_of(engine, query="is it red?", labels=("yes", "no"))
    state = must(perceiver.step(frame(images, 0))).state
    assert state.query == "is it red?"
    assert [score.label for score in state.labels] == ["yes", "no"]
    with pytest.raises(TextError):
        perceiver_of(engine, labels=("yes", ""))


def test_caption_now_is_of_the_newest_state(engine: Engine, images: np.ndarray) -> None:
    perceiver = perceiver_of(engine)
    first = must(perceiver.step(frame(images, 0)))
    assert first.event is not None
    assert perceiver.caption_now() == (first.state, first.event.caption)
    second = must(perceiver.step(frame(images, 1)))
    assert second.event is None
    expected = engine.decode(second.state.embedding_E[None])[0]
    assert perceiver.caption_now() == (second.state, expected)


def test_reset_forgets_the_past_but_not_the_ids_nor_the_query(
    engine: Engine, images: np.ndarray
) -> None:
    perceiver = perceiver_of(engine)
    perceiver.set_query("is it red?")
    for index in range(5):
        perceiver.step(frame(images, index))
    perceiver.reset()
    assert perceiver.latest is None
    assert perceiver.perceive() is None
    step = must(perceiver.step(frame(images, 5)))
    assert step.event is not None
    assert step.event.reason is EventReason.FIRST
    assert (step.state.state_id, step.event.previous_state_id) == (2, 1)
    assert step.state.clip_start_ns == step.state.stamp_ns
    assert step.state.query == "is it red?"


def test_ids_count_on_from_an_earlier_perceiver(engine: Engine, images: np.ndarray) -> None:
    config = PerceptionConfig(selective=QUIET)
    later = Perceiver(engine, config, last_state_id=41)
    step = must(later.step(frame(images, 0)))
    assert step.event is not None
    assert (step.state.state_id, step.event.previous_state_id) == (42, 41)
    assert step.state.camera == config.camera


def test_a_bag_loop_starts_a_new_state_and_uses_no_old_token(
    engine: Engine, images: np.ndarray
) -> None:
    perceiver = perceiver_of(engine)
    for index in range(12):
        perceiver.step(frame(images, index))
    # The same stamps again, other pictures: a kept token would show.
    step = must(perceiver.step(frame(images[50:], 0)))
    assert step.event is not None
    assert step.event.reason is EventReason.FIRST
    assert step.state.state_id == 2
    assert perceiver.frame_counts[Added.RESTARTED_BACKWARD] == 1
    fresh = must(perceiver_of(engine).step(frame(images[50:], 0)))
    np.testing.assert_allclose(step.state.embedding_E, fresh.state.embedding_E, atol=1e-6)


def test_a_silence_forgets_the_frames_but_not_the_meaning(
    engine: Engine, images: np.ndarray
) -> None:
    perceiver = perceiver_of(engine)
    for index in range(12):
        perceiver.step(frame(images, index))
    step = must(perceiver.step(frame(images, 13, offset_s=60.0)))
    assert step.state.clip_start_ns == step.state.stamp_ns
    assert step.state.state_id == 1
    assert step.event is None


@pytest.mark.parametrize("stamp_ns", [0, -5, START_NS, START_NS - NS_PER_S // 10])
def test_frames_without_a_usable_stamp_give_no_step(
    engine: Engine, images: np.ndarray, stamp_ns: int
) -> None:
    perceiver = perceiver_of(engine)
    must(perceiver.step(frame(images, 0)))
    assert perceiver.step(Frame(stamp_ns, images[1])) is None
    assert sum(perceiver.frame_counts.values()) == 2
    assert must(perceiver.step(frame(images, 1))).state.state_id == 1


def test_resolution_may_change_within_a_stream(engine: Engine, images: np.ndarray) -> None:
    perceiver = perceiver_of(engine)
    for index, size_hw in enumerate([(48, 40), (240, 320), (33, 35), (480, 64)]):
        image = np.full((*size_hw, 3), 40 * index, np.uint8)
        step = must(perceiver.step(Frame(START_NS + index * NS_PER_S // 4, image)))
        assert np.isfinite(step.state.embedding_E).all()
    assert step.state.state_id == 1


def test_an_unusable_image_is_an_error_and_leaves_no_trace(
    engine: Engine, images: np.ndarray
) -> None:
    perceiver = perceiver_of(engine)
    must(perceiver.step(frame(images, 0)))
    with pytest.raises(ImageError):
        perceiver.step(Frame(START_NS + NS_PER_S // 4, np.zeros((0, 4, 3), np.uint8)))
    step = must(perceiver.step(frame(images, 2)))
    assert step.state.clip_start_ns == START_NS


def test_selective_settings_change_at_run_time(engine: Engine, images: np.ndarray) -> None:
    perceiver = perceiver_of(engine)
    must(perceiver.step(frame(images, 0)))
    perceiver.set_selective(dataclasses.replace(QUIET, threshold=0.25, noise_factor=0.0))
    assert must(perceiver.step(frame(images, 1))).state.change_threshold == 0.25


def test_each_frame_is_prepared_once(
    engine: Engine, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = []
    original = engine.prepare
    monkeypatch.setattr(engine, "prepare", lambda image: prepared.append(1) or original(image))
    perceiver = perceiver_of(engine)
    for index in range(30):
        perceiver.step(frame(images, index, 10.0))
    perceiver.step(frame(images, 29, 10.0))
    assert len(prepared) == 30
