"""What is seen of a scene, far to near: objects, the drawer's parts, the gripper."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.tabletop.state import (
    CABINET_FRONT,
    DRAWER_HALF,
    DRAWER_HEIGHT,
    DRAWER_X,
    SceneState,
)

RGB = tuple[float, float, float]
Box = tuple[float, float, float, float, RGB]
"""x0, y0, x1, y1 and colour, in the picture plane."""

STEEL: RGB = (74.0, 78.0, 88.0)
STEEL_LIGHT: RGB = (128.0, 134.0, 146.0)
STEEL_DARK: RGB = (40.0, 42.0, 50.0)
PAD: RGB = (238.0, 128.0, 36.0)
FINGER_WIDTH = 3.2
FINGER_LENGTH = 12.0
PALM_HEIGHT = 5.5


class Layer(NamedTuple):
    """One thing at depth `key`; number of the object, or -1 for furniture and gripper."""

    key: float
    kind: str
    object: int


def in_order(state: SceneState) -> list[Layer]:
    """All visible things, far to near."""
    found = [
        Layer(CABINET_FRONT + 0.4, "drawer_inside", -1),
        Layer(state.drawer_front, "drawer_front", -1),
    ]
    if state.drawer < 0.02:
        found = [Layer(CABINET_FRONT + 0.4, "drawer_front", -1)]
    for i, o in enumerate(state.objects):
        if o.place == "gone" or (o.place == "drawer" and o.y < CABINET_FRONT + 1):
            continue
        nearer = 0.5 if o.place == "object" else (-0.05 if o.place == "held" else 0.0)
        found.append(Layer(o.y + nearer + 0.001 * o.z, "object", i))
    found.append(Layer(state.gripper.y + 0.1, "gripper", -1))
    return sorted(found)


def drawer_inside(state: SceneState, body: RGB) -> list[Box]:
    """Bottom and side walls of the open drawer."""
    front = state.drawer_front
    x0, x1 = DRAWER_X - DRAWER_HALF, DRAWER_X + DRAWER_HALF
    high = DRAWER_HEIGHT - 2
    dark, side = _times(body, 0.34), _times(body, 0.62)
    return [
        (x0, CABINET_FRONT - high, x1, front - 1, side),
        (x0 + 1.6, CABINET_FRONT - high, x1 - 1.6, front - 1, dark),
        (x0 + 1.6, CABINET_FRONT - 1, x1 - 1.6, front - 1, _times(body, 0.46)),
    ]


def drawer_front(state: SceneState, body: RGB) -> list[Box]:
    """The drawer's front panel with its handle."""
    front = state.drawer_front
    x0, x1 = DRAWER_X - DRAWER_HALF, DRAWER_X + DRAWER_HALF
    top = front - DRAWER_HEIGHT
    return [
        (x0 - 0.4, top - 0.4, x1 + 0.4, front + 0.2, _times(body, 0.42)),
        (x0, top, x1, front - 0.4, _times(body, 1.05)),
        (x0, top, x1, top + 1.4, _times(body, 1.25)),
        (DRAWER_X - 5, front - 6.8, DRAWER_X + 5, front - 4.2, STEEL_DARK),
        (DRAWER_X - 5, front - 6.8, DRAWER_X + 5, front - 6.0, STEEL_LIGHT),
    ]


def gripper_parts(state: SceneState) -> list[tuple[npt.NDArray[np.float64], RGB]]:
    """Arm, palm and fingers as polygons, back to front."""
    g = state.gripper
    x, tip = g.x, g.y - g.z
    palm = tip - FINGER_LENGTH
    inner = 0.6 + 11.9 * g.open
    half = max(8.0, inner + FINGER_WIDTH)
    shoulder = 48 + (x - 48) * 0.6
    arm_top = palm - 130.0
    parts = [
        (
            _quad(
                (x - 4.0, palm - 3),
                (x + 4.0, palm - 3),
                (shoulder + 9, arm_top),
                (shoulder - 9, arm_top),
            ),
            STEEL_DARK,
        ),
        (
            _quad(
                (x - 3.3, palm - 3),
                (x + 3.3, palm - 3),
                (shoulder + 8, arm_top),
                (shoulder - 8, arm_top),
            ),
            STEEL,
        ),
        (
            _quad(
                (x - 2.5, palm - 3),
                (x - 1.2, palm - 3),
                (shoulder - 2, arm_top),
                (shoulder - 6, arm_top),
            ),
            STEEL_LIGHT,
        ),
        (_box(x - half - 0.5, palm - PALM_HEIGHT - 0.5, x + half + 0.5, palm + 0.6), STEEL_DARK),
        (_box(x - half, palm - PALM_HEIGHT, x + half, palm), STEEL),
        (
            _box(
                x - half + 0.8, palm - PALM_HEIGHT + 0.8, x + half - 0.8, palm - PALM_HEIGHT + 2.0
            ),
            STEEL_LIGHT,
        ),
    ]
    for side in (-1.0, 1.0):
        x0, x1 = sorted((x + side * inner, x + side * (inner + FINGER_WIDTH)))
        parts.append((_box(x0 - 0.4, palm - 0.5, x1 + 0.4, tip + 0.4), STEEL_DARK))
        parts.append((_box(x0, palm, x1, tip), STEEL_LIGHT))
        parts.append((_box(x0, tip - 4.5, x1, tip), PAD))
    return parts


def gripper_silhouettes(state: SceneState) -> list[npt.NDArray[np.float64]]:
    """The outer polygons of `gripper_parts`."""
    return [points for points, rgb in gripper_parts(state) if rgb == STEEL_DARK]


def _quad(*points: tuple[float, float]) -> npt.NDArray[np.float64]:
    return np.array(points, np.float64)


def _box(x0: float, y0: float, x1: float, y1: float) -> npt.NDArray[np.float64]:
    return np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), np.float64)


def _times(rgb: RGB, factor: float) -> RGB:
    r, g, b = (min(255.0, c * factor) for c in rgb)
    return (r, g, b)
