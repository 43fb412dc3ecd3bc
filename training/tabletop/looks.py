"""How a scene is lit, coloured and filmed, apart from what is true in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RGB = tuple[float, float, float]

CROP_PX = 96.0
"""Side of the part of the picture that a model sees, in world units."""
SHORT_SIDE = 109.0
"""The shortest edge of a picture, in world units: the crop is its centre."""
CROP_CENTRE = 48.5
"""Where the picture's centre falls within the crop of a 109 px picture."""


@dataclass(frozen=True)
class Camera:
    """Zoom, roll [degrees] and shift [world units] of the picture round the table's centre."""

    scale: float = 1.0
    roll_deg: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    def matrix(self) -> npt.NDArray[np.float64]:
        """(2, 3): from the world's picture plane (x, y - z) to crop units 0..96."""
        angle = np.deg2rad(self.roll_deg)
        c, s = self.scale * np.cos(angle), self.scale * np.sin(angle)
        turn = np.array([[c, -s], [s, c]])
        centre = np.array([48.0, 52.0])
        to = np.array([CROP_CENTRE + self.shift_x, CROP_CENTRE + 4.0 + self.shift_y])
        return np.concatenate([turn, (to - turn @ centre)[:, None]], axis=1)


@dataclass(frozen=True)
class Look:
    """Colours of the furniture, texture and light."""

    table: RGB = (176.0, 140.0, 104.0)
    wall: RGB = (196.0, 200.0, 204.0)
    floor: RGB = (92.0, 88.0, 86.0)
    cabinet: RGB = (150.0, 156.0, 166.0)
    texture: str = "wood"
    texture_seed: int = 0
    light: float = 1.0
    warmth: float = 0.0
    """-1 bluish .. 1 yellowish light."""
    shade: float = 0.12
    """How much darker the far right of the picture is than the near left."""


TRAIN_TABLES: tuple[RGB, ...] = (
    (176, 140, 104), (150, 118, 92), (198, 178, 150), (168, 168, 164), (126, 134, 142),
    (140, 146, 128), (188, 164, 140), (120, 110, 104), (158, 150, 166),
)  # fmt: skip
HELDOUT_TABLES: tuple[RGB, ...] = (
    (176, 136, 140),
    (116, 146, 138),
    (104, 116, 148),
    (196, 190, 132),
)
TRAIN_WALLS: tuple[RGB, ...] = (
    (196, 200, 204), (214, 208, 196), (170, 180, 188), (188, 196, 184), (150, 150, 156),
)  # fmt: skip
HELDOUT_WALLS: tuple[RGB, ...] = ((206, 184, 184), (164, 184, 200), (122, 132, 128))
CABINETS: tuple[RGB, ...] = ((150, 156, 166), (186, 160, 128), (128, 120, 116), (202, 202, 198))
TRAIN_TEXTURES = ("plain", "wood", "speckle", "gradient")
HELDOUT_TEXTURES = ("tiles", "stripes")


def random_look(rng: np.random.Generator, split: str) -> Look:
    """A look of the split: `heldout_background` takes tables, walls and textures of its own."""
    held_out = split == "heldout_background"
    tables = HELDOUT_TABLES if held_out else TRAIN_TABLES
    walls = HELDOUT_WALLS if held_out else TRAIN_WALLS
    textures = HELDOUT_TEXTURES if held_out else TRAIN_TEXTURES
    return Look(
        table=_vary(tables[int(rng.integers(len(tables)))], rng),
        wall=_vary(walls[int(rng.integers(len(walls)))], rng),
        floor=_vary((92.0, 88.0, 86.0), rng),
        cabinet=_vary(CABINETS[int(rng.integers(len(CABINETS)))], rng),
        texture=textures[int(rng.integers(len(textures)))],
        texture_seed=int(rng.integers(1 << 30)),
        light=float(rng.uniform(0.84, 1.1)),
        warmth=float(rng.uniform(-1, 1)),
        shade=float(rng.uniform(0.0, 0.22)),
    )


def _vary(colour: RGB, rng: np.random.Generator) -> RGB:
    r, g, b = (
        float(np.clip(c + d, 20, 235)) for c, d in zip(colour, rng.uniform(-9, 9, 3), strict=True)
    )
    return (r, g, b)


def random_camera(rng: np.random.Generator, split: str) -> Camera:
    """A camera of the split: `heldout_camera` lies outside of the training ranges."""
    if split == "heldout_camera":
        near = rng.random() < 0.5
        sign = 1.0 if rng.random() < 0.5 else -1.0
        return Camera(
            scale=float(rng.uniform(1.03, 1.05) if near else rng.uniform(0.92, 0.94)),
            roll_deg=float(sign * rng.uniform(3.0, 5.0)),
            shift_x=float(rng.uniform(-1.5, 1.5)),
            shift_y=float(rng.uniform(-1.5, 1.5)),
        )
    return Camera(
        scale=float(rng.uniform(0.95, 1.02)),
        roll_deg=float(rng.uniform(-2.5, 2.5)),
        shift_x=float(rng.uniform(-2, 2)),
        shift_y=float(rng.uniform(-2, 2)),
    )
