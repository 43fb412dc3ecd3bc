"""Curves of decodes against quality in one number each, and whether two of them differ.

The number is the mean quality of a method at d decodes per true event, over d from .5 to 4: the
area under its curve, divided by the width. Streams are resampled, and all methods see the same
ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.evaluate.measures import Interval
from training.evaluate.selective import Curve, Floats
from training.evaluate.selective_scores import resampled_weights

SPAN = (0.5, 4.0)
"""Decodes per true event."""


def quality_at(decodes_K: Floats, quality_K: Floats, decodes: Floats) -> Floats:
    """The quality at so many decodes, linear between the points of a curve.

    Below its fewest decodes a method keeps silent for a part of the time; of more than its most it
    makes no use.
    """
    order = np.argsort(decodes_K, kind="stable")
    found: Floats = np.interp(
        decodes, np.append(0.0, decodes_K[order]), np.append(0.0, quality_K[order])
    )
    return found


def area(decodes_K: Floats, quality_K: Floats, span: tuple[float, float] = SPAN) -> float:
    """Mean quality over `span`; see the module's text.

    Args:
        decodes_K: per true event.
    """
    low, high = span
    inside = decodes_K[(decodes_K > low) & (decodes_K < high)]
    at = np.concatenate([[low], np.sort(inside), [high]])
    quality = quality_at(decodes_K, quality_K, at)
    return float(np.sum((quality[1:] + quality[:-1]) / 2 * np.diff(at)) / (high - low))


class Areas:
    """Areas of several methods on the same streams."""

    def __init__(
        self, curves: Mapping[str, Curve], events_R: Sequence[int], *, seed: int = 0
    ) -> None:
        """
        Args:
            events_R: true events of each stream.
        """
        events = np.array(events_R, dtype=np.float64)
        weights_NR = np.vstack([np.ones(len(events)), resampled_weights(len(events), seed)])
        self._areas_N = {
            name: np.array([_pooled_area(curve, weights_R, events) for weights_R in weights_NR])
            for name, curve in curves.items()
        }

    def of(self, name: str) -> Interval:
        """The area of a method."""
        return _interval(self._areas_N[name])

    def difference(self, name: str, other: str) -> Interval:
        """How much larger the area of `name` is than that of `other`, stream by stream."""
        return _interval(self._areas_N[name] - self._areas_N[other])


def per_event(curve: Curve, weights_R: Floats, events_R: Floats) -> tuple[Floats, Floats]:
    """(decodes per true event, quality) of all streams together."""
    decodes_K, quality_K = curve.pooled(weights_R)
    return decodes_K / (weights_R @ events_R), quality_K


def _pooled_area(curve: Curve, weights_R: Floats, events_R: Floats) -> float:
    return area(*per_event(curve, weights_R, events_R))


def _interval(areas_N: Floats) -> Interval:
    """95 %; of all streams first, then of the resampled ones."""
    low, high = np.percentile(areas_N[1:], (2.5, 97.5))
    return Interval(float(areas_N[0]), float(low), float(high))
