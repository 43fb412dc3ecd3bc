"""What does not change within an episode's picture: wall, floor, table, cabinet."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from training.tabletop.canvas import Canvas, lit, scaled
from training.tabletop.looks import Look
from training.tabletop.state import (
    CABINET_DEPTH,
    CABINET_FRONT,
    CABINET_HEIGHT,
    CABINET_X,
    RAIL_X,
    TABLE_FAR,
    TABLE_LEFT,
    TABLE_NEAR,
)

RGB = tuple[float, float, float]
WALL_FOOT = 74.0
TABLE_RIGHT = RAIL_X + 4.0
TEXTURE_RES = 4
"""Texture pixels per world unit."""


def background(canvas: Canvas, look: Look) -> npt.NDArray[np.uint8]:
    """Everything that never moves, (H, W, 3) uint8 RGB."""
    canvas.clear(lit(look, look.floor))
    canvas.box(-200, -200, 300, WALL_FOOT, lit(look, look.wall))
    canvas.box(-200, WALL_FOOT - 3, 300, WALL_FOOT, lit(look, scaled(look.wall, 0.7)))
    lip = scaled(look.table, 0.62)
    canvas.box(
        TABLE_LEFT + 5, TABLE_NEAR, TABLE_LEFT + 11, 200, lit(look, scaled(look.table, 0.45))
    )
    canvas.box(
        TABLE_RIGHT - 11, TABLE_NEAR, TABLE_RIGHT - 5, 200, lit(look, scaled(look.table, 0.45))
    )
    canvas.box(TABLE_LEFT, TABLE_FAR, TABLE_RIGHT, TABLE_NEAR + 5, lit(look, lip))
    canvas.box(TABLE_LEFT, TABLE_FAR, TABLE_RIGHT, TABLE_NEAR, lit(look, look.table))
    canvas.flush()
    image = _textured(canvas, look)
    canvas.image = image
    _contact_shade(canvas, look)
    rail = lit(look, scaled(look.table, 0.8))
    canvas.box(RAIL_X, TABLE_FAR - 3, TABLE_RIGHT, TABLE_NEAR + 2, rail)
    canvas.box(
        RAIL_X, TABLE_FAR - 3, RAIL_X + 1, TABLE_NEAR + 2, lit(look, scaled(look.table, 0.55))
    )
    _cabinet(canvas, look)
    canvas.flush()
    return _shaded(canvas.image, look)


def _contact_shade(canvas: Canvas, look: Look) -> None:
    dark = scaled(look.table, 0.8)
    canvas.box(TABLE_LEFT, TABLE_FAR, TABLE_RIGHT, TABLE_FAR + 1.2, lit(look, dark))
    x0 = CABINET_X[0]
    front = CABINET_FRONT
    canvas.quad(
        [(x0 - 4, front - 9), (x0, front - 9), (x0, front + 1), (x0 - 4, front)], lit(look, dark)
    )
    canvas.box(x0, front, CABINET_X[1], front + 1.2, lit(look, dark))


def _cabinet(canvas: Canvas, look: Look) -> None:
    x0, x1 = CABINET_X
    front, high = CABINET_FRONT, CABINET_HEIGHT
    body = look.cabinet
    canvas.box(
        x0 - 0.4, front - high - CABINET_DEPTH, x1 + 0.4, front + 0.4, lit(look, scaled(body, 0.5))
    )
    canvas.box(x0, front - high - CABINET_DEPTH, x1, front - high, lit(look, scaled(body, 1.12)))
    canvas.box(x0, front - high, x1, front, lit(look, scaled(body, 0.86)))
    canvas.box(x0 + 1.5, front - high + 1.5, x1 - 1.5, front - 13, lit(look, scaled(body, 0.93)))


def _textured(canvas: Canvas, look: Look) -> npt.NDArray[np.uint8]:
    """The table's grain, in the table's own coordinates, so that it turns with the camera."""
    height, width = canvas.image.shape[:2]
    gain = texture(look.texture, look.texture_seed)
    to_picture = canvas.matrix.copy()
    to_picture[:, :2] = canvas.matrix[:, :2] / TEXTURE_RES
    to_picture[:, 2] += canvas.matrix[:, :2] @ np.array([TABLE_LEFT, TABLE_FAR])
    flags = cv2.INTER_AREA if canvas.scale < TEXTURE_RES else cv2.INTER_LINEAR
    seen = cv2.warpAffine(gain, to_picture, (width, height), flags=flags, borderValue=1.0)
    textured: npt.NDArray[np.uint8] = np.clip(canvas.image * seen[..., None], 0, 255).astype(
        np.uint8
    )
    return textured


def texture(kind: str, seed: int) -> npt.NDArray[np.float32]:
    """Brightness factors over the table top, (rows, columns), about 1."""
    rng = np.random.default_rng(seed)
    rows = int((TABLE_NEAR - TABLE_FAR) * TEXTURE_RES)
    columns = int((RAIL_X - TABLE_LEFT) * TEXTURE_RES)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / TEXTURE_RES
    if kind == "wood":
        grain = _noise(rng, rows, columns, 40, 4) * 0.05 + _noise(rng, rows, columns, 90, 10) * 0.04
        gain = 1 + grain - 0.06 * ((y % 17.0) < 0.5)
    elif kind == "speckle":
        gain = 1 + 0.06 * _noise(rng, rows, columns, rows // 5, columns // 5)
    elif kind == "gradient":
        gain = (
            1
            + rng.uniform(-0.16, 0.16) * (x / 84 - 0.5)
            + rng.uniform(-0.16, 0.16) * (y / 52 - 0.5)
        )
    elif kind == "tiles":
        step = rng.uniform(11, 16)
        gain = 1 - 0.14 * (((x % step) < 0.8) | ((y % (step * 0.6)) < 0.6))
    elif kind == "stripes":
        step = rng.uniform(9, 14)
        gain = 1 + 0.09 * np.sign(np.sin(2 * np.pi * (x + 0.4 * y) / step))
    else:
        gain = np.ones((rows, columns))
    factors: npt.NDArray[np.float32] = gain.astype(np.float32)
    return factors


def _noise(
    rng: np.random.Generator, rows: int, columns: int, coarse_rows: int, coarse_columns: int
) -> npt.NDArray[np.float32]:
    coarse = rng.standard_normal((coarse_rows, coarse_columns)).astype(np.float32)
    fine: npt.NDArray[np.float32] = cv2.resize(
        coarse, (columns, rows), interpolation=cv2.INTER_LINEAR
    )
    return fine


def _shaded(image: npt.NDArray[np.uint8], look: Look) -> npt.NDArray[np.uint8]:
    height, width = image.shape[:2]
    across = np.linspace(0.5, -0.5, width)[None, :] + np.linspace(-0.5, 0.5, height)[:, None]
    gain = 1 + look.shade * across * 0.5
    shaded: npt.NDArray[np.uint8] = np.clip(image * gain[..., None], 0, 255).astype(np.uint8)
    return shaded
