"""The segmenter speaks when the meaning has moved, and only then."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from vljepa_ros.config import SelectiveConfig
from vljepa_ros.stream.segmenter import Decision, Segmenter, Words
from vljepa_ros.types import EventReason

STEP_NS = 250_000_000
FIRST, CHANGE = EventReason.FIRST, EventReason.CHANGE
PLAIN = SelectiveConfig(
    distance_threshold=0.3,
    hysteresis=0.8,
    settle=0.5,
    patience_s=100.0,
    noise_factor=0.0,
    min_interval_s=0.0,
    max_interval_s=0.0,
)
"""Nothing but threshold, hysteresis and settling."""


def at_angle(degrees: float) -> np.ndarray:
    """Unit vector whose cosine with `at_angle(0)` is that of the angle."""
    angle = np.deg2rad(degrees)
    return np.array([np.cos(angle), np.sin(angle), 0.0], np.float32)


def run(config: SelectiveConfig, degrees: list[float], step_ns: int = STEP_NS) -> list[Decision]:
    segmenter = Segmenter(config)
    return [segmenter.step(10**18 + i * step_ns, at_angle(d)) for i, d in enumerate(degrees)]


def spoken(decisions: list[Decision]) -> dict[int, EventReason]:
    return {i: d.reason for i, d in enumerate(decisions) if d.reason is not None}


def test_the_first_step_speaks_and_a_still_stream_is_silent_after_it() -> None:
    decisions = run(PLAIN, [0.0] * 50)
    assert spoken(decisions) == {0: FIRST}
    assert decisions[0].changed
    assert not any(d.changed for d in decisions[1:])
    assert all(d.score < 1e-6 for d in decisions)


def test_score_is_one_minus_cosine_to_the_spoken_meaning() -> None:
    decisions = run(PLAIN, [0.0, 20.0, 40.0])
    assert decisions[1].score == pytest.approx(1 - np.cos(np.deg2rad(20)), abs=1e-6)
    assert decisions[2].score == pytest.approx(1 - np.cos(np.deg2rad(40)), abs=1e-6)
    assert run(PLAIN, [0.0, 170.0])[1].score == 1.0


def test_a_change_is_published_when_it_has_settled() -> None:
    # 60 degrees is past the threshold at step 2, but the stream still moves until step 4.
    decisions = run(PLAIN, [0, 0, 60, 120, 120, 120, 120])
    assert spoken(decisions) == {0: FIRST, 4: CHANGE}


def test_after_a_change_the_new_meaning_is_the_reference() -> None:
    decisions = run(PLAIN, [0, 0, 90, 90, 90, 90, 0, 0, 0])
    assert spoken(decisions) == {0: FIRST, 3: CHANGE, 7: CHANGE}
    assert decisions[4].score == pytest.approx(0.0, abs=1e-6)


def test_a_first_word_that_was_wrong_is_corrected() -> None:
    # The stream rests half-way for a moment: that meaning is published, and so is the final one.
    decisions = run(PLAIN, [0, 50, 50, 50, 110, 110, 110])
    assert spoken(decisions) == {0: FIRST, 2: CHANGE, 5: CHANGE}


def test_a_movement_below_the_threshold_says_nothing() -> None:
    assert spoken(run(PLAIN, [0, 20, 40, 40, 20, 0, 40, 40])) == {0: FIRST}


def test_a_slow_drift_speaks_once_it_has_gone_far_enough() -> None:
    decisions = run(PLAIN, [2.0 * i for i in range(60)])
    # 1 - cos = 0.3 at 45.6 degrees: the reference stays what was spoken, however slow the way.
    assert spoken(decisions) == {0: FIRST, 23: CHANGE, 46: CHANGE}


def test_a_glimpse_is_dropped_by_hysteresis() -> None:
    # One step far away, then 40 degrees: under the threshold, but not under 0.5 of it.
    glimpse = [0, 80, 40, 40, 40, 40]
    assert spoken(run(PLAIN, glimpse)) == {0: FIRST}
    sticky = dataclasses.replace(PLAIN, hysteresis=0.5)
    assert spoken(run(sticky, glimpse)) == {0: FIRST, 3: CHANGE}


def test_patience_ends_a_movement_that_never_settles() -> None:
    restless = [0.0, *[60.0 + 70.0 * (i % 2) for i in range(20)]]
    assert spoken(run(PLAIN, restless)) == {0: FIRST}
    patient = dataclasses.replace(PLAIN, patience_s=1.0)
    # At step 0 the meaning still held; a second later the present one is published.
    assert spoken(run(patient, restless))[4] is CHANGE


def test_the_least_interval_holds_changes_back() -> None:
    config = dataclasses.replace(PLAIN, min_interval_s=2.0)
    assert spoken(run(config, [0, 90, 90, 90, 90, 90, 90, 90, 90, 90])) == {0: FIRST, 8: CHANGE}


def test_heartbeat_follows_silence_and_is_no_change() -> None:
    config = dataclasses.replace(PLAIN, max_interval_s=2.0)
    decisions = run(config, [0.0] * 12 + [90.0] * 12)
    assert spoken(decisions) == {
        0: FIRST,
        8: EventReason.HEARTBEAT,
        13: CHANGE,
        21: EventReason.HEARTBEAT,
    }
    assert not decisions[8].changed


@pytest.mark.parametrize("steps_per_s", [2, 4, 10, 30])
def test_settings_are_in_seconds_whatever_the_rate(steps_per_s: int) -> None:
    config = dataclasses.replace(PLAIN, settle=0.0, patience_s=1.0)
    # It circles, so that no step rests near the one before.
    degrees = [0.0] * steps_per_s + [90.0 + 60.0 * (i % 2) for i in range(4 * steps_per_s)]
    decisions = run(config, degrees, 10**9 // steps_per_s)
    (_, change, *_) = spoken(decisions)
    delay_s = change / steps_per_s - 1.0
    # It held for the last time a step before; published at the first step a second after that.
    assert 1.0 - 1e-6 <= delay_s + 1 / steps_per_s <= 1.0 + 1 / steps_per_s + 1e-6


def noisy(noise: float, steps: int = 2000, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    raw = np.eye(64)[0] + noise * rng.standard_normal((steps, 64)) / 8.0
    return list((raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32))


def changes_in(config: SelectiveConfig, embeddings: list[np.ndarray]) -> int:
    segmenter = Segmenter(config)
    decisions = [segmenter.step((i + 1) * STEP_NS, e) for i, e in enumerate(embeddings)]
    return sum(d.reason is CHANGE for d in decisions)


def test_a_noisy_still_stream_raises_the_threshold_instead_of_speaking() -> None:
    fixed = dataclasses.replace(PLAIN, distance_threshold=0.1, settle=10.0)
    adaptive = dataclasses.replace(fixed, noise_factor=4.0)
    assert changes_in(fixed, noisy(0.4)) > 20
    assert changes_in(adaptive, noisy(0.4)) <= 2


def test_the_noise_floor_leaves_a_quiet_stream_alone() -> None:
    config = dataclasses.replace(PLAIN, noise_factor=3.0)
    decisions = run(config, [0.0] * 100)
    assert decisions[-1].threshold == config.distance_threshold


def test_the_noise_floor_does_not_swallow_a_true_change() -> None:
    config = dataclasses.replace(PLAIN, noise_factor=2.0)
    embeddings = noisy(0.3, 400)
    moved = [np.roll(e, 1) for e in embeddings]
    segmenter = Segmenter(config)
    decisions = [segmenter.step((i + 1) * STEP_NS, e) for i, e in enumerate([*embeddings, *moved])]
    changes = [i for i, d in enumerate(decisions) if d.reason is CHANGE]
    assert len(changes) == 1
    assert 400 <= changes[0] <= 402


def test_request_opens_a_state_once() -> None:
    segmenter = Segmenter(PLAIN)
    segmenter.request()
    assert segmenter.step(STEP_NS, at_angle(0)).reason is FIRST
    segmenter.request()
    asked = segmenter.step(2 * STEP_NS, at_angle(90))
    assert (asked.reason, asked.changed, asked.score) == (EventReason.REQUEST, True, 0.0)
    assert segmenter.step(3 * STEP_NS, at_angle(90)).reason is None


def test_reset_starts_anew_even_with_older_stamps() -> None:
    segmenter = Segmenter(PLAIN)
    segmenter.step(10 * STEP_NS, at_angle(0))
    segmenter.reset()
    assert segmenter.step(STEP_NS, at_angle(90)).reason is FIRST
    assert segmenter.step(2 * STEP_NS, at_angle(90)).score == pytest.approx(0.0, abs=1e-6)


def test_settings_may_be_replaced_between_steps() -> None:
    segmenter = Segmenter(dataclasses.replace(PLAIN, distance_threshold=1.0))
    segmenter.step(STEP_NS, at_angle(0))
    assert segmenter.step(2 * STEP_NS, at_angle(80)).reason is None
    segmenter.config = PLAIN
    assert segmenter.step(3 * STEP_NS, at_angle(80)).reason is CHANGE


def test_scores_and_thresholds_stay_within_their_range() -> None:
    config = dataclasses.replace(PLAIN, noise_factor=100.0)
    rng = np.random.default_rng(0)
    segmenter = Segmenter(config)
    for i in range(200):
        raw = rng.standard_normal(8)
        decision = segmenter.step((i + 1) * STEP_NS, (raw / np.linalg.norm(raw)).astype(np.float32))
        assert 0.0 <= decision.score <= 1.0
        assert config.distance_threshold <= decision.threshold <= 1.0


def test_the_embedding_given_is_left_alone() -> None:
    segmenter = Segmenter(PLAIN)
    embedding = at_angle(0)
    segmenter.step(STEP_NS, embedding)
    segmenter.step(2 * STEP_NS, at_angle(60))
    np.testing.assert_array_equal(embedding, at_angle(0))


# --- with a Y-decoder ----------------------------------------------------------------------------

WORDS = dataclasses.replace(PLAIN, threshold=0.5, settle=10.0, trust=0.3)


class Speaker:
    """A Y-decoder whose captions have probability `own` when spoken, and lose it by a rule."""

    def __init__(self, lost: Callable[[float], float], own: float = 0.8) -> None:
        self._lost = lost
        self.own = own
        self.next_clarity = 1.0
        self.scene_novelty = 0.0
        self.asked: list[float] = []

    def words(self, degrees: float) -> Words:
        def now() -> float:
            self.asked.append(degrees)
            return float(np.log(self.own * (1.0 - self._lost(degrees))))

        clarity = self.next_clarity
        return Words(float(np.log(self.own)), now, lambda: clarity, self.scene_novelty)


def run_with_words(config: SelectiveConfig, degrees: list[float], said: Speaker) -> list[Decision]:
    segmenter = Segmenter(config)
    return [
        segmenter.step((i + 1) * STEP_NS, at_angle(d), said.words(d)) for i, d in enumerate(degrees)
    ]


def test_with_words_their_lost_probability_counts_and_not_the_distance() -> None:
    far_but_true, near_but_wrong = Speaker(lambda _: 0.1), Speaker(lambda _: 0.9)
    assert spoken(run_with_words(WORDS, [0, 90, 90], far_but_true)) == {0: FIRST}
    decisions = run_with_words(WORDS, [0, 12, 12], near_but_wrong)
    assert spoken(decisions) == {0: FIRST, 1: CHANGE}
    assert (decisions[1].score, decisions[1].threshold) == (pytest.approx(0.9), 0.5)


def test_words_that_gain_probability_are_in_no_doubt() -> None:
    assert run_with_words(WORDS, [0, 40], Speaker(lambda _: -0.2))[1].score == 0.0


def test_the_decoder_is_asked_only_of_what_has_moved() -> None:
    said = Speaker(lambda _: 0.2)
    decisions = run_with_words(WORDS, [0, 1, 0, 40, 41, 40, 60, 0], said)
    assert said.asked == [40, 60]
    # Where it is not asked again its last answer stands; back at the spoken meaning there is none.
    assert [round(d.score, 6) for d in decisions] == [0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0]


def test_after_an_event_the_new_caption_is_asked_anew() -> None:
    said = Speaker(lambda degrees: 0.9 if degrees < 60 else 0.1)
    run_with_words(WORDS, [0, 40, 80, 80, 80], said)
    assert said.asked == [40, 80]


def test_within_the_streams_own_noise_the_decoder_is_not_asked() -> None:
    config = dataclasses.replace(WORDS, noise_factor=4.0)
    said = Speaker(lambda _: 0.9)
    segmenter = Segmenter(config)
    for i, embedding_E in enumerate(noisy(0.4, 400)):
        segmenter.step((i + 1) * STEP_NS, embedding_E, said.words(float(i)))
    assert len(said.asked) < 8


def test_where_words_were_improbable_from_the_start_the_distance_decides() -> None:
    unsure = Speaker(lambda _: 0.9, own=0.1)
    decisions = run_with_words(WORDS, [0, 20, 20, 60, 60], unsure)
    assert spoken(decisions) == {0: FIRST, 3: CHANGE}
    assert decisions[1].score == pytest.approx(1 - np.cos(np.deg2rad(20)), abs=1e-6)
    assert decisions[1].threshold == WORDS.distance_threshold
    assert not unsure.asked


def test_of_unknown_scenes_the_distance_decides_however_sure_the_words_are() -> None:
    sure = Speaker(lambda _: 0.9, own=0.99)
    sure.scene_novelty = 1.8
    decisions = run_with_words(WORDS, [0, 20, 20, 60, 60], sure)
    assert spoken(decisions) == {0: FIRST, 3: CHANGE}
    assert not sure.asked


def test_one_improbable_caption_among_good_ones_changes_nothing_and_many_do() -> None:
    said = Speaker(lambda _: 0.2)
    segmenter = Segmenter(WORDS)
    stamps_ns = itertools.count(STEP_NS, STEP_NS)

    def threshold_after(steps: int) -> float:
        return [
            segmenter.step(next(stamps_ns), at_angle(0), said.words(0)).threshold
            for _ in range(steps)
        ][-1]

    assert threshold_after(40) == WORDS.threshold
    said.own = 0.05
    assert threshold_after(8) == WORDS.threshold
    assert threshold_after(60) == WORDS.distance_threshold
    said.own = 0.9
    assert threshold_after(60) == WORDS.threshold


# --- words that are not clear yet ----------------------------------------------------------------

UNCLEAR = dataclasses.replace(WORDS, clarity=0.5, unclear_s=1.0)


def run_with_clarity(config: SelectiveConfig, clarity: list[float]) -> dict[int, EventReason]:
    """A stream whose caption is wrong from step 1 on until the next is spoken."""
    said = Speaker(lambda degrees: 0.0 if degrees == 0 else 0.9)
    segmenter, reasons, spoken_once = Segmenter(config), {}, False
    for i, clear in enumerate(clarity):
        said.next_clarity = clear
        words = said.words(0 if spoken_once or i == 0 else 40)
        decision = segmenter.step((i + 1) * STEP_NS, at_angle(40 if i else 0), words)
        if decision.reason is not None:
            reasons[i] = decision.reason
            spoken_once = i > 0
    return reasons


def test_a_change_waits_for_clear_words() -> None:
    assert run_with_clarity(UNCLEAR, [1, 0.2, 0.4, 0.6, 0.9]) == {0: FIRST, 3: CHANGE}
    assert run_with_clarity(UNCLEAR, [1, 0.5, 0.4, 0.6]) == {0: FIRST, 1: CHANGE}


def test_it_waits_no_longer_than_it_may() -> None:
    # The caption still held at step 0; one second after it is step 4.
    assert run_with_clarity(UNCLEAR, [1, *[0.1] * 8]) == {0: FIRST, 4: CHANGE}
    patient = dataclasses.replace(UNCLEAR, unclear_s=1.5)
    assert run_with_clarity(patient, [1, *[0.1] * 8]) == {0: FIRST, 6: CHANGE}


def test_without_a_wanted_clarity_nothing_waits() -> None:
    plain = dataclasses.replace(UNCLEAR, clarity=0.0)
    assert run_with_clarity(plain, [1, *[0.0] * 8]) == {0: FIRST, 1: CHANGE}


def test_a_change_that_passes_while_it_waits_is_none() -> None:
    said = Speaker(lambda degrees: 0.9 if degrees == 40 else 0.0)
    said.next_clarity = 0.1
    decisions = run_with_words(UNCLEAR, [0, 40, 40, 0, 0, 0, 0], said)
    assert spoken(decisions) == {0: FIRST}


def test_where_the_distance_decides_nothing_waits_for_words() -> None:
    strange = Speaker(lambda _: 0.9)
    strange.scene_novelty, strange.next_clarity = 1.8, 0.0
    assert spoken(run_with_words(UNCLEAR, [0, 60, 60], strange)) == {0: FIRST, 1: CHANGE}
