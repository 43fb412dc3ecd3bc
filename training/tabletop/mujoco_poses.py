"""Puts a scene's gripper, drawer and objects where MuJoCo draws them."""

from __future__ import annotations

import mujoco
import numpy as np

from training.tabletop.layers import FINGER_LENGTH, FINGER_WIDTH, PALM_HEIGHT
from training.tabletop.mujoco_model import (
    COS,
    HALF_WIDTH,
    HEIGHT,
    SLOTS,
    Vector,
    point,
)
from training.tabletop.names import SHAPES
from training.tabletop.shapes import COLOUR_RGB
from training.tabletop.state import DRAWER_X, ObjectState, SceneState

NEARER = {"ball": 2.7, "cylinder": 2.7, "cone": 1.0}
"""So much nearer to the viewer are balls and what lies: the painter aligns the lower edges of
all shapes in the picture, not the middles of what touches the table."""
YAW = {"cylinder": float(np.deg2rad(20.0)), "cone": -float(np.deg2rad(10.0))}
"""What lies is turned: of a cylinder the upper end is seen, of a cone the foot, as painted."""
UPRIGHT = np.array((1.0, 0.0, 0.0, 0.0))


class Poser:
    """Moves the parts of one model.

    Args:
        objects_light: how bright a thing's upper side is lit; colours are divided by it.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, objects_light: float) -> None:
        self._model, self._data = model, data
        self._rgb = {
            name: np.array(rgb) / 255.0 / objects_light for name, rgb in COLOUR_RGB.items()
        }

    def pose(self, state: SceneState) -> None:
        """Write the scene into model and data.

        Raises:
            ValueError: more objects than the model has slots.
        """
        if len(state.objects) > SLOTS:
            raise ValueError(
                f"the scene has {len(state.objects)} objects; MuJoCo's model has slots for "
                f"{SLOTS}: raise SLOTS in training/tabletop/mujoco_model.py"
            )
        self._move("drawer", point(DRAWER_X, state.drawer_front, 0.0))
        self._gripper(state)
        for slot in range(SLOTS):
            self._object(slot, state.objects[slot] if slot < len(state.objects) else None)

    def _move(self, body: str, to: Vector, turn: Vector = UPRIGHT) -> None:
        number = self._model.body(body).mocapid[0]
        self._data.mocap_pos[number] = to
        self._data.mocap_quat[number] = turn

    def _gripper(self, state: SceneState) -> None:
        g = state.gripper
        inner = 0.6 + 11.9 * g.open
        self._move("hand", point(g.x, g.y, g.z))
        self._move("finger left", point(g.x - inner, g.y, g.z))
        self._move("finger right", point(g.x + inner, g.y, g.z))
        self._model.geom("palm").size[0] = max(8.0, inner + FINGER_WIDTH)
        lean = float(np.arctan((48.0 - g.x) * 0.4 / (130.0 / COS)))
        palm = point(g.x, g.y, g.z + FINGER_LENGTH + PALM_HEIGHT / 2)
        self._move("arm", palm, _about_y(lean))

    def _object(self, slot: int, o: ObjectState | None) -> None:
        for shape in SHAPES:
            rgba = self._model.geom(f"object {slot} {shape}").rgba
            rgba[3] = float(o is not None and o.place != "gone" and o.name.shape == shape)
            if rgba[3] and o is not None:
                rgba[:3] = self._rgb[o.name.colour]
        if o is None or o.place == "gone":
            return
        shape = o.name.shape
        half, high = HALF_WIDTH[shape], HEIGHT[shape]
        lying = np.pi / 2 + (np.arctan(half / high) if shape == "cone" else 0.0)
        angle = -float(lying) * o.tilt
        nearer = NEARER.get(shape, 0.0) * (1.0 if shape == "ball" else o.tilt)
        at = point(o.x, o.y + nearer, o.z)
        at[2] += half if shape == "ball" else _rise(shape, half, high, angle)
        turn = np.empty(4)
        mujoco.mju_mulQuat(turn, _about_z(YAW.get(shape, 0.0) * o.tilt), _about_y(angle))
        self._move(f"object {slot}", at, turn)


def _rise(shape: str, half: float, high: float, angle: float) -> float:
    """How high the middle of a tilted outline is when its lowest corner touches the ground."""
    tip = 0.0 if shape == "cone" else half
    corners = ((half, -high / 2), (-half, -high / 2), (tip, high / 2), (-tip, high / 2))
    return -min(z * float(np.cos(angle)) - x * float(np.sin(angle)) for x, z in corners)


def _about_y(angle: float) -> Vector:
    return np.array((np.cos(angle / 2), 0.0, np.sin(angle / 2), 0.0))


def _about_z(angle: float) -> Vector:
    return np.array((np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)))
