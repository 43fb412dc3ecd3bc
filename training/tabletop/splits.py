"""Which seeds belong to what, and what each held-out split holds out.

Seeds from 9,000,000 up belong to acceptance: every function takes them, nothing here uses them.
"""

from __future__ import annotations

import numpy as np

from training.tabletop.names import ALL_OBJECTS, TRAIN_OBJECTS, WORLD_VERSION, ObjectName

SPLITS = (
    "train",
    "test",
    "heldout_combination",
    "heldout_wording",
    "heldout_background",
    "heldout_camera",
)

TRAIN_SEEDS = range(4_000_000)
TUNE_SEEDS = range(4_000_000, 5_000_000)
"""Thresholds and early stopping are chosen here."""
TEST_SEEDS = range(5_000_000, 8_000_000)
SAMPLE_SEEDS = range(8_000_000, 8_100_000)
"""Shipped recordings."""


def check_split(split: str) -> str:
    """Return `split`, or say which ones there are.

    Raises:
        ValueError: an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; use one of {', '.join(SPLITS)}")
    return split


def generator(seed: int, split: str, purpose: int = 0) -> np.random.Generator:
    """The random numbers of one episode: equal seeds of two splits share nothing.

    Raises:
        ValueError: a negative seed or an unknown split.
    """
    if seed < 0:
        raise ValueError(f"seed {seed} is negative; use 0 or more")
    return np.random.default_rng((WORLD_VERSION, SPLITS.index(check_split(split)), purpose, seed))


def objects_of(split: str) -> tuple[ObjectName, ...]:
    """The colour-shape pairs that may appear in a split's scenes and sentences."""
    return ALL_OBJECTS if check_split(split) == "heldout_combination" else TRAIN_OBJECTS
