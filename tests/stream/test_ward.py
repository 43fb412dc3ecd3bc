"""Ward with temporal connectivity equals scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import diags
from sklearn.cluster import AgglomerativeClustering

from vljepa_ros.stream.ward import middles, ward_segments


def sklearn_segments(embeddings_SE: np.ndarray, segments: int) -> np.ndarray:
    steps = len(embeddings_SE)
    chain = diags([np.ones(steps - 1)] * 2, [-1, 1])
    ward = AgglomerativeClustering(segments, linkage="ward", connectivity=chain)
    labels = ward.fit_predict(embeddings_SE)
    return np.cumsum(np.diff(labels, prepend=labels[0]) != 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("segments", [1, 2, 7, 40, 119, 120])
def test_equals_scikit_learn(seed: int, segments: int) -> None:
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((12, 16))
    embeddings = np.repeat(means, 10, axis=0) + 0.5 * rng.standard_normal((120, 16))
    ours = ward_segments(embeddings.astype(np.float32), segments)
    assert ours.max() + 1 == segments
    np.testing.assert_array_equal(ours, sklearn_segments(embeddings.astype(np.float32), segments))


def test_finds_known_boundaries() -> None:
    embeddings = np.repeat(np.eye(3), [5, 1, 9], axis=0)
    expected = np.repeat([0, 1, 2], [5, 1, 9])
    np.testing.assert_array_equal(ward_segments(embeddings, 3), expected)
    np.testing.assert_array_equal(middles(expected), [2, 5, 10])


def test_input_is_left_as_it_was() -> None:
    embeddings = np.random.default_rng(0).standard_normal((20, 4))
    before = embeddings.copy()
    ward_segments(embeddings, 3)
    np.testing.assert_array_equal(embeddings, before)


@pytest.mark.parametrize(("steps", "segments"), [(5, 0), (5, 6), (0, 1)])
def test_impossible_cuts_are_refused(steps: int, segments: int) -> None:
    with pytest.raises(ValueError, match="segments"):
        ward_segments(np.zeros((steps, 3)), segments)
