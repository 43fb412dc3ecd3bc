"""What the model expects after actions, as it leaves the engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Imagined:
    """Of n actions, in the order asked."""

    embeddings: npt.NDArray[np.float32]
    """(n, E), unit L2 norm: the sentence that says what will have happened."""
    tokens: Tensor
    """(n, T', N, D), opaque: the scene after it as a clip in which nothing moves."""
    pooled: Tensor
    """(n, W), opaque: what the embeddings were projected from."""
    uncertainty: npt.NDArray[np.float32]
    """(n,), 0..1: how probably the prediction is wrong."""
    novelty: npt.NDArray[np.float32]
    """(n,), above 1: state or action are unlike anything the model was trained on."""

    @property
    def out_of_distribution(self) -> npt.NDArray[np.bool_]:
        """(n,)"""
        return self.novelty > 1.0
