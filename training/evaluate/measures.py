"""How well scores rank and how honest probabilities are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

BINS = 15


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
