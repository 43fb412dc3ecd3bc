"""Where dense labels put the things that a query, an answer or a scene's caption names.

Shapes: M things named, G cells of a side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.tabletop.meaning import Meaning
from training.tabletop.names import COLOURS, SHAPES
from training.tabletop.state import SceneState
from training.tabletop.templates import WORD_COLOURS, WORD_SHAPES, normalise
from training.tabletop.world import Episode

MOST_NAMED = 2
"""Things that a query names at most: what is moved, and what it is moved to or compared with."""
MOST_ITEMS = 5
"""Things that stand side by side at most."""
LABELS = ("colour", "shape", "stance")

LabelsLGG = npt.NDArray[np.uint8]
"""Colour, shape and stance of each cell, as in `DenseLabels`."""


def labels_of(state: SceneState, episode: Episode, crop_px: int, grid: int) -> LabelsLGG:
    """Labels of a scene that was only thought of, seen by an episode's camera."""
    dense = episode.renderer.dense_labels(state, state, episode.camera, crop_px, grid)
    return np.stack([getattr(dense, f"{name}_GG") for name in LABELS]).astype(np.uint8)


def named(query: str) -> list[tuple[str | None, str | None]]:
    """Colours and shapes of the things that a query names, in its order.

    Either may be missing: `the red object`, `how many balls`.
    """
    found: list[tuple[str | None, str | None]] = []
    words = normalise(query).split()
    for index, word in enumerate(words):
        shape = WORD_SHAPES.get(word) or WORD_SHAPES.get(word.removesuffix("s"))
        if shape:
            found.append((WORD_COLOURS.get(words[index - 1]) if index else None, shape))
        elif word == "object" and index and words[index - 1] in WORD_COLOURS:
            found.append((WORD_COLOURS[words[index - 1]], None))
    return found


def named_masks(query: str, labels_LGG: LabelsLGG) -> npt.NDArray[np.bool_] | None:
    """Which cells show each thing named, (M, G, G); None where the query names nothing."""
    things = named(query)[:MOST_NAMED]
    if not things:
        return None
    masks = np.zeros((MOST_NAMED, *labels_LGG.shape[1:]), bool)
    for index, (colour, shape) in enumerate(things):
        masks[index] = _shown(colour, shape, labels_LGG)
    return masks


def order(scene: Meaning, labels_LGG: LabelsLGG) -> npt.NDArray[np.uint8]:
    """Which place from left to right each cell's thing has in a scene's caption, (G, G).

    1 is the leftmost; what stands on another has its place; 0 is whatever has none.
    """
    order_GG = np.zeros(labels_LGG.shape[1:], np.uint8)
    for place, item in enumerate(scene.items, start=1):
        for name in (item.name, item.top):
            if name is not None:
                order_GG[_shown(name.colour, name.shape, labels_LGG)] = place
    return order_GG


def _shown(colour: str | None, shape: str | None, labels_LGG: LabelsLGG) -> npt.NDArray[np.bool_]:
    shown_GG: npt.NDArray[np.bool_] = labels_LGG[0] > 0
    if colour:
        shown_GG &= labels_LGG[0] == 1 + COLOURS.index(colour)
    if shape:
        shown_GG &= labels_LGG[1] == 1 + SHAPES.index(shape)
    return shown_GG
