"""The 2.5D painter: a scene as a picture, and as flat label maps by the same geometry."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from training.tabletop import layers
from training.tabletop.canvas import RGB, SHIFT_BITS, Canvas, lit, picture_matrix
from training.tabletop.furniture import background
from training.tabletop.looks import Camera, Look
from training.tabletop.shapes import COLOUR_RGB, oval, placed, template, tone
from training.tabletop.state import ObjectState, SceneState

SHADOW = 0.46
FINE_FROM = 1.5
"""Pixels per world unit from which objects get more shades."""
GRIPPER_ID = 100
FURNITURE_ID = 101


class Painter:
    """Draws the scenes of one camera, look and size; keeps their background."""

    def __init__(self, size_hw: tuple[int, int], camera: Camera, look: Look) -> None:
        self._matrix = picture_matrix(camera, size_hw)
        self._canvas = Canvas(size_hw, self._matrix)
        self._background = background(Canvas(size_hw, self._matrix), look)
        self._look = look
        self._fine = self._canvas.scale >= FINE_FROM
        self._body = lit(look, look.cabinet)
        self._tones: dict[tuple[str, str], tuple[RGB, ...]] = {}

    def paint(self, state: SceneState) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        canvas = self._canvas
        canvas.image = self._background.copy()
        self._shadows(state)
        for _, kind, index in layers.in_order(state):
            if kind == "object":
                self._object(state.objects[index])
            elif kind == "gripper":
                for points, rgb in layers.gripper_parts(state):
                    canvas.add(points, (len(points),), (lit(self._look, rgb),))
            else:
                boxes = layers.drawer_inside if kind == "drawer_inside" else layers.drawer_front
                for box in boxes(state, self._body):
                    canvas.box(*box)
        canvas.flush()
        return canvas.image

    def _object(self, o: ObjectState) -> None:
        shape = template(o.name.shape, self._fine)
        if o.name not in self._tones:
            rgb = lit(self._look, COLOUR_RGB[o.name.colour])
            self._tones[o.name] = tuple(tone(rgb, *t) for t in shape.tones)
        points = placed(shape.points_N2, shape, (o.x, o.y - o.z), o.tilt)
        self._canvas.add(points, shape.ends, self._tones[o.name])

    def _shadows(self, state: SceneState) -> None:
        """Soft shadows on the table, under what stands on it and what is above it."""
        height, width = self._background.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        for oval_N2, strength in _shadow_ovals(state):
            pixels = self._canvas.to_pixels(oval_N2)
            cv2.fillConvexPoly(mask, pixels, 255 * strength, cv2.LINE_AA, SHIFT_BITS)
        size = max(3, int(2.6 * self._canvas.scale) | 1)
        mask = cv2.blur(cv2.blur(mask, (size, size)), (size, size))
        gain = cv2.cvtColor(255 - (mask * SHADOW).astype(np.uint8), cv2.COLOR_GRAY2RGB)
        self._canvas.image = cv2.multiply(self._canvas.image, gain, scale=1 / 255)


_UNIT_OVAL = oval(0, 0, 1, 1, 16)


def _shadow_ovals(state: SceneState) -> list[tuple[npt.NDArray[np.float64], float]]:
    found = []
    for o in state.objects:
        if o.place in ("gone", "drawer") or o.z < -1 or (o.place == "object" and not state.moving):
            continue
        lift = min(o.z, 40.0)
        size = np.array([11.5 - 0.06 * lift, 5.6 - 0.04 * lift])
        centre = np.array([o.x + 1.8 + 0.1 * lift, o.y + 0.6])
        found.append((_UNIT_OVAL * size + centre, 1.0 - 0.012 * lift))
    g = state.gripper
    found.append((_UNIT_OVAL * (8.0, 3.2) + (g.x + 0.1 * g.z, g.y), 0.5))
    return found


@lru_cache(maxsize=8)
def painter(size_hw: tuple[int, int], camera: Camera, look: Look) -> Painter:
    """The painter of a camera, look and size; the last few are kept."""
    return Painter(size_hw, camera, look)


def flat_ids(state: SceneState, camera: Camera, side_px: int) -> npt.NDArray[np.uint8]:
    """What each pixel of the model's crop shows, (side, side): 0 nothing, i + 1 object i,
    GRIPPER_ID or FURNITURE_ID (cabinet drawer)."""
    matrix = camera.matrix() * (side_px / 96.0)
    matrix[:, 2] -= 0.5
    canvas = Canvas((side_px, side_px), matrix)
    ids = np.zeros((side_px, side_px), np.uint8)
    for _, kind, index in layers.in_order(state):
        if kind == "object":
            o = state.objects[index]
            shape = template(o.name.shape, False)
            outlines = [placed(shape.silhouette_N2, shape, (o.x, o.y - o.z), o.tilt)]
            value = index + 1
        elif kind == "gripper":
            outlines, value = layers.gripper_silhouettes(state), GRIPPER_ID
        else:
            boxes = layers.drawer_inside if kind == "drawer_inside" else layers.drawer_front
            x0, y0, x1, y1, _ = boxes(state, (0.0, 0.0, 0.0))[0]
            outlines = [np.array(((x0, y0), (x1, y0), (x1, y1), (x0, y1)))]
            value = FURNITURE_ID
        for outline in outlines:
            cv2.fillConvexPoly(ids, canvas.to_pixels(outline), value, cv2.LINE_8, SHIFT_BITS)
    return ids
