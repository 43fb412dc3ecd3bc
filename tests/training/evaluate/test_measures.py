"""Scores against hand-computed cases and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    roc_auc_score,
    top_k_accuracy_score,
)

from training.evaluate.measures import (
    auroc,
    brier,
    equal_mass_bins,
    macro_accuracy,
    ranks,
    top_k,
)


@pytest.mark.parametrize("grid", [1000, 5])
def test_auroc_is_scikit_learns_with_ties_too(grid: int) -> None:
    rng = np.random.default_rng(0)
    low_R = np.floor(rng.uniform(0, 0.8, 300) * grid)
    high_R = np.floor(rng.uniform(0.2, 1.0, 70) * grid)
    truth = [0] * 300 + [1] * 70
    expected = roc_auc_score(truth, np.concatenate([low_R, high_R]))
    assert auroc(low_R, high_R) == pytest.approx(expected)


def test_auroc_knows_its_ends() -> None:
    assert auroc(np.array([1.0, 2.0]), np.array([3.0])) == 1.0
    assert auroc(np.array([3.0]), np.array([1.0, 2.0])) == 0.0
    assert auroc(np.full(3, np.inf), np.full(4, np.inf)) == 0.5
    assert np.isnan(auroc(np.array([]), np.array([1.0])))


def test_ece_by_hand() -> None:
    confidence_R = np.array([0.9, 0.2, 0.8, 0.3])
    right_R = np.array([True, False, False, False])
    bins = equal_mass_bins(confidence_R, right_R, bins=2)
    np.testing.assert_allclose(bins.confidence_B, [0.25, 0.85])
    np.testing.assert_allclose(bins.accuracy_B, [0.0, 0.5])
    assert bins.error == pytest.approx((0.25 + 0.35) / 2)


def test_bins_of_unequal_size_count_by_their_size() -> None:
    bins = equal_mass_bins(np.array([0.0, 0.0, 1.0]), np.array([True, True, True]), bins=2)
    assert bins.size_B.tolist() == [2, 1]
    assert bins.error == pytest.approx(2 / 3)


def test_an_honest_model_has_a_small_ece_and_a_boaster_a_large_one() -> None:
    rng = np.random.default_rng(1)
    confidence_R = rng.uniform(0, 1, 20_000)
    right_R = rng.uniform(0, 1, 20_000) < confidence_R
    assert equal_mass_bins(confidence_R, right_R).error < 0.015
    assert equal_mass_bins(np.sqrt(confidence_R), right_R).error > 0.1


def test_brier_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    confidence_R, right_R = rng.uniform(0, 1, 50), rng.uniform(0, 1, 50) < 0.5
    assert brier(confidence_R, right_R) == pytest.approx(brier_score_loss(right_R, confidence_R))


def test_fewer_items_than_bins_leave_bins_out() -> None:
    assert len(equal_mass_bins(np.array([0.5]), np.array([True])).size_B) == 1
    assert np.isnan(equal_mass_bins(np.array([]), np.array([], dtype=np.bool_)).error)


@pytest.mark.parametrize("confidence", [[0.5], [0.5, 1.2], [0.5, np.nan]])
def test_what_is_no_confidence_is_refused(confidence: list[float]) -> None:
    with pytest.raises(ValueError, match="confidence"):
        equal_mass_bins(np.array(confidence), np.array([True, False]))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_is_scikit_learns(k: int) -> None:
    rng = np.random.default_rng(1)
    scores_RC, truth_R = rng.normal(size=(200, 12)), rng.integers(12, size=200)
    expected = top_k_accuracy_score(truth_R, scores_RC, k=k, labels=range(12))
    assert top_k(ranks(scores_RC, truth_R), k) == pytest.approx(expected)


def test_ties_and_nan_are_wrong() -> None:
    scores_RC = np.array([[1.0, 1.0, 0.0], [np.nan, 0.0, 0.0], [0.5, np.nan, 0.0]])
    assert ranks(scores_RC, np.array([0, 0, 0])).tolist() == [1, 2, 1]
    assert np.isnan(top_k(np.array([], dtype=np.int64), 1))


def test_macro_accuracy_is_scikit_learns_balanced_accuracy() -> None:
    rng = np.random.default_rng(2)
    truth_R = rng.choice(5, size=300, p=[0.6, 0.2, 0.1, 0.05, 0.05])
    chosen_R = np.where(rng.random(300) < 0.5, truth_R, rng.integers(5, size=300))
    expected = balanced_accuracy_score(truth_R, chosen_R)
    assert macro_accuracy(chosen_R == truth_R, truth_R) == pytest.approx(expected)
    assert np.isnan(macro_accuracy(np.array([], dtype=np.bool_), np.array([])))
