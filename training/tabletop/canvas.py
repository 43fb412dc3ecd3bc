"""Anti-aliased polygons in world units, collected and then drawn at once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from training.tabletop.looks import CROP_CENTRE, SHORT_SIDE, Camera, Look

RGB = tuple[float, float, float]
SHIFT_BITS = 5
"""Polygons are placed to 1/32 px."""


def scaled(rgb: RGB, factor: float) -> RGB:
    """A colour made darker or brighter."""
    r, g, b = (min(255.0, c * factor) for c in rgb)
    return (r, g, b)


def lit(look: Look, rgb: RGB) -> RGB:
    """A colour in the light of a look."""
    warm = 0.05 * look.warmth
    r, g, b = rgb
    gain = look.light
    return (
        min(255.0, r * gain * (1 + warm)),
        min(255.0, g * gain),
        min(255.0, b * gain * (1 - warm)),
    )


def picture_matrix(camera: Camera, size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(2, 3): from the picture plane in world units to OpenCV pixel coordinates."""
    height, width = size_hw
    scale = min(height, width) / SHORT_SIDE
    matrix = camera.matrix() * scale
    matrix[:, 2] += np.array([width / 2, height / 2]) - CROP_CENTRE * scale - 0.5
    return matrix


class Canvas:
    """A picture under a camera. Polygons wait until `flush`."""

    def __init__(self, size_hw: tuple[int, int], matrix: npt.NDArray[np.float64]) -> None:
        self.image: npt.NDArray[np.uint8] = np.zeros((*size_hw, 3), np.uint8)
        self.matrix = matrix
        self.scale = float(np.hypot(*matrix[:, 0]))
        self._turn = matrix[:, :2].T * (1 << SHIFT_BITS)
        self._to = matrix[:, 2] * (1 << SHIFT_BITS)
        self._points: list[npt.NDArray[np.float64]] = []
        self._ends: list[Sequence[int]] = []
        self._colours: list[Sequence[RGB]] = []

    def clear(self, rgb: RGB) -> None:
        self.image[:] = np.array(rgb, np.uint8)

    def add(
        self, points_N2: npt.NDArray[np.float64], ends: Sequence[int], colours: Sequence[RGB]
    ) -> None:
        """Several polygons, one after the other in `points_N2`, each up to its end."""
        self._points.append(points_N2)
        self._ends.append(ends)
        self._colours.append(colours)

    def quad(self, points: Sequence[tuple[float, float]], rgb: RGB) -> None:
        self.add(np.array(points, np.float64), (len(points),), (rgb,))

    def box(self, x0: float, y0: float, x1: float, y1: float, rgb: RGB) -> None:
        self.quad(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), rgb)

    def flush(self) -> None:
        """Draw what was added, in order."""
        if not self._points:
            return
        pixels = self.to_pixels(np.concatenate(self._points))
        start = 0
        base = 0
        for ends, colours in zip(self._ends, self._colours, strict=True):
            for end, rgb in zip(ends, colours, strict=True):
                stop = base + end
                cv2.fillConvexPoly(self.image, pixels[start:stop], rgb, cv2.LINE_AA, SHIFT_BITS)
                start = stop
            base = start
        self._points, self._ends, self._colours = [], [], []

    def to_pixels(self, points_N2: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Fixed-point pixel coordinates for OpenCV's `shift`."""
        return np.rint(points_N2 @ self._turn + self._to).astype(np.int32)
