"""Intervals against closed forms."""

import numpy as np
import pytest

from training.compare.bootstrap import Answers, difference, estimate
from training.compare.claims import (
    CLAIMS,
    CURVE,
    LEVEL,
    MEASURES,
    SECONDS,
    Claim,
    Curve,
    judge,
    verdict,
)
from training.evaluate.measures import Interval

NORMAL_95 = 1.959964


def single(rng: np.random.Generator, share: float, seeds: int = 1, items: int = 600) -> Answers:
    """Items that each have an episode of their own."""
    right = (rng.random((seeds, items)) < share).astype(float)
    return Answers(right, np.arange(items))


def half_width(found: Interval) -> float:
    return (found.high - found.low) / 2


def test_the_interval_of_a_share_is_the_binomials() -> None:
    answers = single(np.random.default_rng(0), 0.3)
    found = estimate(answers)
    share = answers.worth_SR.mean()
    assert found.value == pytest.approx(share)
    wanted = NORMAL_95 * np.sqrt(share * (1 - share) / 600)
    assert half_width(found) == pytest.approx(wanted, rel=0.06)
    assert (found.low + found.high) / 2 == pytest.approx(share, abs=0.003)


def test_items_of_one_episode_count_as_one() -> None:
    """Ten equal answers an episode tell as much as one."""
    answers = single(np.random.default_rng(1), 0.5, items=200)
    tenfold = Answers(np.repeat(answers.worth_SR, 10, axis=1), np.repeat(np.arange(200), 10))
    assert estimate(tenfold) == estimate(answers)


def test_the_interval_over_seeds_is_that_of_their_mean() -> None:
    """All items of a seed alike: only the seeds are drawn, S of S values."""
    by_seed = np.array([0.1, 0.4, 0.5, 0.7, 0.3, 0.6, 0.2, 0.8, 0.45, 0.55])
    answers = Answers(np.repeat(by_seed[:, None], 30, axis=1), np.arange(30))
    found = estimate(answers)
    assert found.value == pytest.approx(by_seed.mean())
    assert half_width(found) == pytest.approx(NORMAL_95 * by_seed.std() / np.sqrt(10), rel=0.06)


def test_a_mean_over_kinds_weighs_kinds_alike() -> None:
    worth = np.array([[1.0, 1.0, 1.0, 0.0]])
    kinds = np.array(["often", "often", "often", "rare"])
    answers = Answers(worth, np.zeros(4, np.int64), kinds)
    assert estimate(answers).value == pytest.approx(0.5)
    assert estimate(Answers(worth, answers.episode_R)).value == pytest.approx(0.75)


def test_a_difference_is_paired() -> None:
    """One learner is right where the other is, and on a few items more."""
    theirs = single(np.random.default_rng(2), 0.5)
    ours = Answers(theirs.worth_SR.copy(), theirs.episode_R)
    ours.worth_SR[0, :40] = 1.0
    gained = ours.worth_SR[0] - theirs.worth_SR[0]
    found = difference(ours, theirs)
    assert found.value == pytest.approx(gained.mean())
    assert half_width(found) == pytest.approx(NORMAL_95 * gained.std() / np.sqrt(600), rel=0.08)
    assert half_width(found) < half_width(estimate(ours)) / 2


def test_nothing_is_found_where_nothing_is_more_often_than_the_level_says() -> None:
    rng = np.random.default_rng(3)
    found = [
        difference(single(rng, 0.4, seeds=3, items=80), single(rng, 0.4, seeds=3, items=80),
                   draws=400).excludes_zero()
        for _ in range(100)
    ]  # fmt: skip
    assert np.mean(found) < 0.15


def test_only_equal_items_are_compared() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="same items"):
        difference(single(rng, 0.5, items=10), single(rng, 0.5, items=11))


# --- claims


def curve(shares: list[float], seconds: list[float], seed: int) -> Curve:
    rng = np.random.default_rng(seed)
    return Curve([single(rng, share, seeds=3) for share in shares], seconds)


def test_a_clear_difference_holds_either_way_and_none_is_none() -> None:
    curves = {
        "jepa": curve([0.2, 0.8], [1, 2], 5),
        "token": curve([0.2, 0.5], [1, 2], 6),
        "dual": curve([0.2, 0.8], [1, 2], 7),
    }
    assert verdict(judge(Claim("action_accuracy", "jepa", "token"), curves)) == "holds"
    assert verdict(judge(Claim("action_accuracy", "token", "jepa"), curves)) == "the opposite holds"
    same = judge(Claim("action_accuracy", "jepa", "dual"), curves)
    assert verdict(same) == "no difference shown"
    assert verdict(judge(Claim("action_accuracy", "jepa", "unheard"), curves)) == "not measured"


def test_at_equal_time_the_slower_one_is_read_where_the_quicker_one_ends() -> None:
    quick, slow = curve([0.2, 0.5], [10, 40], 8), curve([0.2, 0.5, 0.9], [20, 80, 320], 9)
    found = judge(Claim("x", "quick", "slow", SECONDS), {"quick": quick, "slow": slow})
    assert found is not None
    between = (slow.answers[0].worth_SR.mean() + slow.answers[1].worth_SR.mean()) / 2
    assert found.value == pytest.approx(quick.answers[1].worth_SR.mean() - between)


def test_who_has_no_milestone_yet_when_the_other_ends_is_not_compared() -> None:
    curves = {"quick": curve([0.2, 0.5], [1, 4], 8), "slow": curve([0.2, 0.5], [5, 20], 9)}
    assert judge(Claim("x", "quick", "slow", SECONDS), curves) is None


def test_a_curves_ends_are_its_milestones_and_beyond_there_is_nothing() -> None:
    some = curve([0.1, 0.6, 0.9], [5, 10, 20], 10)
    for milestone, seconds in zip(some.answers, some.seconds, strict=True):
        assert np.allclose(some.at(seconds).worth_SR, milestone.worth_SR)
    for outside in (4.0, 21.0):
        with pytest.raises(ValueError, match="outside"):
            some.at(outside)


def test_a_whole_curve_is_the_mean_of_its_milestones() -> None:
    curves = {"a": curve([0.1, 0.9], [1, 2], 11), "b": curve([0.1, 0.1], [1, 2], 12)}
    found = judge(Claim("x", "a", "b", CURVE), curves)
    wanted = [np.mean([m.worth_SR.mean() for m in c.answers]) for c in curves.values()]
    assert found is not None and found.value == pytest.approx(wanted[0] - wanted[1])


def test_the_level_is_shared_out_and_every_claim_is_about_a_measure() -> None:
    assert pytest.approx(1 - 0.05 / 17) == LEVEL
    assert {claim.measure for claim in CLAIMS} <= set(MEASURES)
    assert len(set(CLAIMS)) == len(CLAIMS) == 17
