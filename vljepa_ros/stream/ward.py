"""Offline reference of the segmenter: Ward clustering of a stream with temporal connectivity.

Only neighbours in time may merge; the pair whose merge costs least in variance goes first. The
whole stream must be known, so this never runs on the robot: it shows what an online method could
reach at best with the same embeddings, and the paper's selective decoding is this one.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt


def ward_segments(embeddings_SE: npt.NDArray[np.floating], segments: int) -> npt.NDArray[np.int64]:
    """Cut a stream into `segments` runs of steps by Ward's criterion, O(S log S) merges.

    Args:
        embeddings_SE: one embedding a step, in order of time.
        segments: number of runs, 1 … S.

    Returns:
        segment_S: number of the run that each step belongs to, counted from 0 in order of time.

    Raises:
        ValueError: no steps, or more segments than steps.
    """
    steps = len(embeddings_SE)
    if embeddings_SE.ndim != 2 or not 1 <= segments <= steps:
        raise ValueError(
            f"cannot cut embeddings of shape {embeddings_SE.shape} into {segments} segments: "
            "give (steps, width) and 1 … steps"
        )
    sums_SE = embeddings_SE.astype(np.float64)
    sizes = [1] * steps
    before = list(range(-1, steps - 1))
    after = [*range(1, steps), -1]
    # A segment is named by its first step; its version tells stale heap entries from live ones.
    versions = [0] * steps
    alive = [True] * steps

    def cost(left: int, right: int) -> float:
        apart_E = sums_SE[left] / sizes[left] - sums_SE[right] / sizes[right]
        weight = sizes[left] * sizes[right] / (sizes[left] + sizes[right])
        return float(weight * (apart_E @ apart_E))

    heap = [(cost(left, left + 1), left, 0, left + 1, 0) for left in range(steps - 1)]
    heapq.heapify(heap)
    remaining = steps
    while remaining > segments:
        _, left, left_version, right, right_version = heapq.heappop(heap)
        if not (alive[left] and alive[right]):
            continue
        if (versions[left], versions[right]) != (left_version, right_version):
            continue
        sums_SE[left] += sums_SE[right]
        sizes[left] += sizes[right]
        alive[right] = False
        versions[left] += 1
        remaining -= 1
        after[left] = after[right]
        if after[left] >= 0:
            before[after[left]] = left
        for first, second in ((before[left], left), (left, after[left])):
            if first >= 0 and second >= 0:
                entry = (cost(first, second), first, versions[first], second, versions[second])
                heapq.heappush(heap, entry)
    return np.cumsum(np.asarray(alive, dtype=np.int64)) - 1


def middles(segment_S: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The middle step of each segment: where the paper decodes."""
    firsts = np.flatnonzero(np.diff(segment_S, prepend=segment_S[0] - 1))
    ends = np.append(firsts[1:], len(segment_S))
    middle_steps: npt.NDArray[np.int64] = (firsts + ends - 1) // 2
    return middle_steps
