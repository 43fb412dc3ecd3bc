"""How often scores find the truth, how well they rank, and how honest probabilities are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

Ints = npt.NDArray[np.integer]

BINS = 15


@dataclass(frozen=True)
class Interval:
    """A figure, and between which bounds it lies."""

    value: float
    low: float
    high: float

    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Bins:
    """Items of rising confidence in bins of equal size (`size_B`); empty bins are left out."""

    confidence_B: npt.NDArray[np.float64]
    accuracy_B: npt.NDArray[np.float64]
    size_B: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """ECE: mean gap between confidence and accuracy, each bin by its size."""
        gap_B = np.abs(self.confidence_B - self.accuracy_B)
        return float(np.average(gap_B, weights=self.size_B)) if len(gap_B) else float("nan")


def equal_mass_bins(confidence_R: Floats, right_R: Bools, bins: int = BINS) -> Bins:
    """
    Raises:
        ValueError: not one confidence an item, or one that is no probability.
    """
    if len(confidence_R) != len(right_R):
        raise ValueError(f"{len(confidence_R)} confidences for {len(right_R)} items")
    if not np.all((confidence_R >= 0) & (confidence_R <= 1)):
        raise ValueError("a confidence lies outside of 0..1")
    order = np.argsort(confidence_R, kind="stable")
    parts = [rows for rows in np.array_split(order, bins) if len(rows)]
    return Bins(
        np.array([confidence_R[rows].mean() for rows in parts], dtype=np.float64),
        np.array([right_R[rows].mean() for rows in parts], dtype=np.float64),
        np.array([len(rows) for rows in parts], dtype=np.int64),
    )


def brier(confidence_R: Floats, right_R: Bools) -> float:
    """Mean squared distance of confidence from what came true; NaN of nothing."""
    if not len(right_R):
        return float("nan")
    return float(np.square(confidence_R - right_R.astype(np.float64)).mean())


def auroc(low_R: Floats, high_R: Floats) -> float:
    """How often a score of `high_R` lies above one of `low_R`, ties half; NaN if one is empty."""
    if not len(low_R) or not len(high_R):
        return float("nan")
    sorted_R = np.sort(low_R)
    below = np.searchsorted(sorted_R, high_R, side="left")
    not_above = np.searchsorted(sorted_R, high_R, side="right")
    return float((below + not_above).mean() / (2 * len(sorted_R)))


def ranks(scores_RC: Floats, truth_R: Ints) -> npt.NDArray[np.int64]:
    """How many candidates score at least as high as the true one (R,): 0 is first, ties are wrong.

    Args:
        truth_R: column of the true candidate of each row.
    """
    true_R1 = np.take_along_axis(scores_RC, truth_R[:, None], axis=1)
    # Not below, so that what cannot be compared (NaN) is wrong too.
    not_below_R: npt.NDArray[np.int64] = (~(scores_RC < true_R1)).sum(axis=1)
    return not_below_R - 1


def top_k(rank_R: npt.NDArray[np.int64], k: int) -> float:
    """Share of rows whose truth is among the first `k`; NaN of nothing."""
    return float((rank_R < k).mean()) if len(rank_R) else float("nan")


def macro_accuracy(right_R: Bools, class_R: npt.NDArray[np.generic]) -> float:
    """Mean over the classes that occur of the share of right rows; NaN of nothing."""
    if not len(right_R):
        return float("nan")
    return float(np.mean([right_R[class_R == c].mean() for c in np.unique(class_R)]))
