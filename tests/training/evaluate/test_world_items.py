"""What is asked of a world model: only what can be known, and nothing that words give away."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluate import inverse, questions, rollouts, transitions
from training.evaluate.blind import CandidateOnly
from training.evaluate.blind_choices import Blind, candidate_only_excess, fit_worlds
from training.evaluate.choices import Item, chance
from training.tabletop import language
from training.tabletop.actions import Action, next_state
from training.tabletop.splits import TEST_SEEDS, TRAIN_SEEDS
from training.tabletop.windows import truth
from training.tabletop.world import Episode

MOST_EXCESS = 0.05


@pytest.fixture(scope="module")
def worlds() -> list[Episode]:
    return [Episode.generate(seed, "test") for seed in TEST_SEEDS[100:130]]


@pytest.fixture(scope="module")
def asked(worlds: list[Episode]) -> list[transitions.Transition]:
    rng = np.random.default_rng(0)
    return transitions.transitions_of(transitions.still_states(worlds), rng)


def instructed(text: str) -> Action:
    meaning = language.parse(text)
    assert meaning is not None and meaning.kind == "instruction"
    return Action(meaning.action, meaning.target)


@pytest.mark.slow
def test_outcomes_too_close_to_call_are_not_asked(
    worlds: list[Episode], asked: list[transitions.Transition]
) -> None:
    assert len(asked) > 2000
    assert not any(next_state(t.before, t.action)[1].ambiguous for t in asked)
    ambiguous = [s for world in worlds for s in world.segments if s.ambiguous]
    assert ambiguous, "the streams hold none: the test says nothing"


def test_the_contents_of_a_shut_drawer_are_not_asked(asked: list[transitions.Transition]) -> None:
    shut = [t for t in asked if not t.before.drawer_is_open and t.before.content >= 0]
    assert shut
    for t in shut:
        hidden = t.before.objects[t.before.content].name
        assert f"{hidden.colour} {hidden.shape}" not in t.candidates[t.answer]


@pytest.mark.slow
def test_the_candidates_alone_tell_next_to_nothing(asked: list[transitions.Transition]) -> None:
    streams = [Episode.generate(seed, "train") for seed in TRAIN_SEEDS[-60:]]
    counts = CandidateOnly()
    for item in transitions.fit_items(streams):
        counts.count(item.candidates, item.answer)
    items = [transitions.item_of(t, t.outcome, t.query) for t in asked]
    right_R = np.array([counts.scores(i.candidates).argmax() == i.answer for i in items])
    found = Blind(np.zeros_like(right_R), right_R, None)
    assert candidate_only_excess(items, found) <= MOST_EXCESS


def test_candidates_that_tell_are_found_out() -> None:
    items = [Item("", "", ("it works", "it fails at once"), 0)] * 20
    counts = CandidateOnly()
    for item in items:
        counts.count(item.candidates, item.answer)
    right_R = np.array([counts.scores(i.candidates).argmax() == i.answer for i in items])
    found = Blind(np.zeros_like(right_R), right_R, None)
    assert chance(items) == 0.5
    assert candidate_only_excess(items, found) == 0.5


def test_walks_are_what_the_simulator_does(worlds: list[Episode]) -> None:
    rng = np.random.default_rng(1)
    walks = [rollouts.walk(state, rng) for state in transitions.still_states(worlds[:8])]
    assert sum(len(w.actions) == 2 for w in walks) > 0.8 * len(walks)
    for walked in walks:
        assert len(walked.states) == len(walked.actions) + 1
        for before, text, after in zip(
            walked.states, walked.actions, walked.states[1:], strict=False
        ):
            now, result = next_state(before, instructed(text))
            assert not result.ambiguous
            assert (now.objects, now.drawer) == (after.objects, after.drawer)
            assert (before.objects, before.drawer) != (after.objects, after.drawer)


@pytest.mark.slow
def test_what_a_shut_drawer_may_hold_decides_no_rollout(worlds: list[Episode]) -> None:
    rng = np.random.default_rng(2)
    walks = [rollouts.walk(state, rng) for state in transitions.still_states(worlds)]
    asked = rollouts.ahead_of(walks, rng)
    opened = 0
    for a in asked:
        states = walks[a.walk].states
        texts = [*walks[a.walk].actions[: a.depth - 1], a.item.query]
        for state, text in zip(states, texts, strict=False):
            if state.drawer_is_open and not states[0].drawer_is_open:
                opened += 1
                assert instructed(text).name not in rollouts.OF_THE_CONTENT
    assert opened > 50
    assert {a.depth for a in asked} == {1, 2, 3}


@pytest.mark.slow
def test_that_the_gripper_is_full_by_what_was_said_answers_no_rollout(
    worlds: list[Episode],
) -> None:
    rng = np.random.default_rng(5)
    walks = [rollouts.walk(state, rng) for state in transitions.still_states(worlds)]
    asked = rollouts.ahead_of(walks, rng)
    assert {a.item.kind for a in asked}.isdisjoint({"hands_full", "nothing_held"})
    assert any(walks[a.walk].states[a.depth - 1].held >= 0 for a in asked if a.depth > 1)


def test_a_rollouts_item_is_true_of_its_last_state(worlds: list[Episode]) -> None:
    rng = np.random.default_rng(3)
    walks = [rollouts.walk(state, rng) for state in transitions.still_states(worlds[:8])]
    for a in rollouts.ahead_of(walks, rng, most=100):
        before = walks[a.walk].states[a.depth - 1]
        result = next_state(before, instructed(a.item.query))[1]
        assert result.outcome == a.item.kind
        assert len(a.item.earlier.split(". ")) == max(1, a.depth - 1)


def test_items_are_the_same_for_a_seed(worlds: list[Episode]) -> None:
    def made() -> list[Item]:
        some = worlds[:4]
        return [
            *transitions.fit_items(some),
            *inverse.fit_items("which?", some),
            *questions.fit_items(some),
            *rollouts.fit_items(some),
        ]

    assert made() == made()


def test_idle_is_not_asked_before_it_can_be_known(worlds: list[Episode]) -> None:
    rng = np.random.default_rng(4)
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for world in worlds:
        for segment in world.segments:
            if segment.action is None:
                for after_s in (0.3, min(0.6, segment.end_s - segment.onset_s - 1e-3)):
                    about = truth(world, segment.onset_s + after_s)
                    kinds[about.decided] += [i.kind for i in questions.items_of(about, rng)]
    assert "action" in kinds[True]
    assert kinds[False] and "action" not in kinds[False]


def test_majority_by_hand() -> None:
    answers = [("a", 0), ("a", 0), ("a", 1), ("b", 1)]
    items = [Item(kind, "?", ("yes", "no"), answer) for kind, answer in answers]
    assert questions.majorities(items) == {"a": pytest.approx(2 / 3), "b": 1.0}


def test_blind_models_learn_from_training_streams() -> None:
    assert all(world.seed in TRAIN_SEEDS and world.split == "train" for world in fit_worlds())
