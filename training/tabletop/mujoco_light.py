"""What MuJoCo makes of a `Look`: colours of the furniture, texture of the table, the lamps."""

from __future__ import annotations

import mujoco
import numpy as np

from training.tabletop.canvas import lit
from training.tabletop.furniture import texture
from training.tabletop.layers import PAD, STEEL, STEEL_DARK, STEEL_LIGHT
from training.tabletop.looks import Look
from training.tabletop.mujoco_model import (
    COS,
    LAMP_DIRECTION,
    SIDE_LIGHT_AT,
    SIN,
    TABLE_TEXTURE_HW,
    Vector,
    point,
)

AMBIENT, HEADLIGHT, LAMP, SIDE = 0.34, 0.18, 0.44, 0.12
SIDE_OF_SHADE = 0.9
"""So much stronger is the side light for each unit of a look's shade."""
_TO_SIDE = SIDE_LIGHT_AT - point(52.0, 58.0, 0.0)
_TO_SIDE = _TO_SIDE / np.linalg.norm(_TO_SIDE)
UP_LIGHT = AMBIENT + HEADLIGHT * SIN - LAMP * float(LAMP_DIRECTION[2]) + SIDE * float(_TO_SIDE[2])
"""How bright a face that looks up is, where no shadow falls."""
FRONT_LIGHT = AMBIENT + HEADLIGHT * COS + LAMP * float(LAMP_DIRECTION[1]) - SIDE * _TO_SIDE[1]
"""How bright a face that looks at the viewer is."""
INSTEAD = np.linalg.solve([[1.0, SIN], [1.0, COS]], [_TO_SIDE[2], -_TO_SIDE[1]])
"""Of ambient light and headlight: as much as one unit of side light, in the middle of the table."""


def dress(model: mujoco.MjModel, look: Look) -> None:
    """Write a look into the model; its table texture must be uploaded after that.

    Colours are divided by the light that falls on them, so that they come out as the painter's.
    """
    for name, rgb in _colours(look).items():
        model.geom(name).rgba[:] = (*(rgb / 255.0), 1.0)
    light = np.array(lit(look, (1.0, 1.0, 1.0)))
    more = SIDE_OF_SHADE * look.shade
    head = model.vis.headlight
    head.ambient[:] = (AMBIENT - more * INSTEAD[0]) * light
    head.diffuse[:] = (HEADLIGHT - more * INSTEAD[1]) * light
    for name, diffuse, specular in (("lamp", LAMP, 0.5), ("side", SIDE + more, 0.0)):
        lamp = model.light(name)
        lamp.diffuse[:], lamp.specular[:], lamp.ambient[:] = diffuse * light, specular, 0.0
    gain_HW = texture(look.texture, look.texture_seed)
    table_HWC = gain_HW[..., None] * np.array(look.table) / UP_LIGHT
    size = 3 * TABLE_TEXTURE_HW[0] * TABLE_TEXTURE_HW[1]
    model.tex_data[:size] = np.clip(table_HWC, 0, 255).astype(np.uint8).reshape(-1)


def _colours(look: Look) -> dict[str, Vector]:
    """Of everything but the objects and the table's texture, 0..255 and more."""
    body, wall = np.array(look.cabinet) / FRONT_LIGHT, np.array(look.wall) / FRONT_LIGHT
    table, floor = np.array(look.table) / UP_LIGHT, np.array(look.floor) / UP_LIGHT
    steel, light, dark, pad = (
        np.array(c) / FRONT_LIGHT for c in (STEEL, STEEL_LIGHT, STEEL_DARK, PAD)
    )
    return {
        "board": table * 0.75,
        "rail": table * 0.85,
        "leg left": table * 0.5,
        "leg right": table * 0.5,
        "wall": wall,
        "skirting": wall * 0.75,
        "floor": floor,
        "cabinet": body * 0.88,
        "panel": body * 0.95,
        "drawer front": body * 1.05,
        "drawer floor": body * 0.38,
        "drawer left": body * 0.62,
        "drawer right": body * 0.62,
        "drawer hole": body * 0.36,
        "handle": dark,
        "palm": steel,
        "wrist": light,
        "arm": steel,
        "finger left": light,
        "finger right": light,
        "pad left": pad,
        "pad right": pad,
    }
