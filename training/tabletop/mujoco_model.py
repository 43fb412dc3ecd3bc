"""The tabletop as a MuJoCo model: furniture, gripper, drawer and slots for objects. Never stepped.

The painter shows a point (x, y, z) of the world at (x, y - z). A camera without perspective that
looks down by ELEVATION shows the same where depth is 1 / sin and height 1 / cos of it longer: so
the two renderers put everything at the same pixel. MuJoCo's x is to the right, y away, z up.
"""

from __future__ import annotations

import mujoco
import numpy as np
import numpy.typing as npt

from training.tabletop.furniture import TABLE_RIGHT, TEXTURE_RES, WALL_FOOT
from training.tabletop.layers import FINGER_LENGTH, FINGER_WIDTH, PALM_HEIGHT
from training.tabletop.names import SHAPES
from training.tabletop.state import (
    CABINET_DEPTH,
    CABINET_FRONT,
    CABINET_HEIGHT,
    CABINET_X,
    DRAWER_HALF,
    DRAWER_HEIGHT,
    DRAWER_TRAVEL,
    DRAWER_X,
    RAIL_X,
    TABLE_FAR,
    TABLE_LEFT,
    TABLE_NEAR,
    TOP,
)

SIN = 0.42
"""Of the camera's elevation, 25 degrees: at it a cylinder's rim looks as flat as the painter's."""
COS = float(np.sqrt(1 - SIN**2))
SLOTS = 8
"""Objects that a scene may have."""
TABLE_TEXTURE_HW = (
    int((TABLE_NEAR - TABLE_FAR) * TEXTURE_RES),
    int((RAIL_X - TABLE_LEFT) * TEXTURE_RES),
)
LARGEST_HW = (1440, 2560)
"""Of what is drawn, before it is averaged down."""

CUBE_YAW = -np.deg2rad(21.0)
CUBE_HALF = 9.0 / float(np.cos(CUBE_YAW) - np.sin(CUBE_YAW))
HALF_WIDTH = {"cube": CUBE_HALF, "ball": 9.2, "cylinder": 8.8, "cone": 10.0}
HEIGHT = {
    "cube": TOP["cube"] / COS,
    "ball": 18.4,
    "cylinder": TOP["cylinder"] / COS,
    "cone": 19.5 / COS,
}
WALL_Y = 20.0
FLOOR_Z = WALL_Y - WALL_FOOT
FINGER_DEPTH = 4.0
PAD_HEIGHT = 4.5
ARM_LENGTH = 140.0

Vector = npt.NDArray[np.float64]


def point(x: float, y: float, z: float) -> Vector:
    """(3,): where MuJoCo has the world's (x, y, z)."""
    return np.array((x, -y / SIN, z / COS))


def build() -> mujoco.MjModel:
    """The model of every scene; colours, poses and light are set anew for each picture."""
    spec = mujoco.MjSpec()
    look = spec.visual
    look.global_.offheight, look.global_.offwidth = LARGEST_HW
    look.quality.offsamples = 0
    look.quality.shadowsize = 512
    look.map.znear, look.map.zfar = 0.1, 10.0
    look.map.shadowclip = 0.75
    spec.stat.center = point(52.0, 58.0, 0.0)
    spec.stat.extent = 130.0
    _furniture(spec)
    _drawer(spec)
    _gripper(spec)
    spec.add_mesh(name="cone").make_cone(nedge=48, radius=0.0)
    spec.mesh("cone").scale = (HALF_WIDTH["cone"], HALF_WIDTH["cone"], HEIGHT["cone"] / 2)
    for slot in range(SLOTS):
        _object(spec, slot)
    spec.worldbody.add_camera(name="camera", proj=mujoco.mjtProjection.mjPROJ_ORTHOGRAPHIC)
    spec.worldbody.add_light(
        name="lamp",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=point(52.0, 58.0, 0.0) - 120.0 * LAMP_DIRECTION,
        dir=LAMP_DIRECTION,
        castshadow=True,
    )
    spec.worldbody.add_light(
        name="side",
        type=mujoco.mjtLightType.mjLIGHT_SPOT,  # MuJoCo's OpenGL draws no point lights
        pos=SIDE_LIGHT_AT,
        cutoff=180.0,
        exponent=0.0,
        castshadow=False,
    )
    return spec.compile()


LAMP_DIRECTION = np.array((0.16, 0.25, -0.95)) / np.linalg.norm((0.16, 0.25, -0.95))
"""From the near left and above."""
SIDE_LIGHT_AT = point(-60.0, 110.0, 60.0)
"""At the near left, so that the far right is darker."""


def _box(
    body: mujoco.MjsBody, name: str, x: tuple[float, float], y: tuple[float, float],
    z: tuple[float, float],
) -> None:  # fmt: skip
    """A box between world coordinates, relative to the body's origin."""
    low, high = point(x[0], y[1], z[0]), point(x[1], y[0], z[1])
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=(low + high) / 2,
        size=(high - low) / 2,
    )


def _furniture(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    top = spec.add_texture(
        name="table",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        height=TABLE_TEXTURE_HW[0],
        width=TABLE_TEXTURE_HW[1],
        nchannel=3,
    )
    material = spec.add_material(name="table", specular=0.1, shininess=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = top.name
    left, right, far, near = TABLE_LEFT, RAIL_X, TABLE_FAR, TABLE_NEAR
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=point((left + right) / 2, (far + near) / 2, 0.03),
        size=((right - left) / 2, (near - far) / 2 / SIN, 1.0),
        material="table",
    )
    _box(world, "board", (left, TABLE_RIGHT), (far, near), (-5.0, 0.0))
    _box(world, "rail", (right, TABLE_RIGHT), (far, near), (0.0, 3.0))
    for side, x in (("left", left + 5.0), ("right", TABLE_RIGHT - 11.0)):
        _box(world, f"leg {side}", (x, x + 6.0), (near - 6.0, near - 2.0), (FLOOR_Z, -5.0))
    _box(world, "wall", (-200.0, 300.0), (WALL_Y - 10.0, WALL_Y), (FLOOR_Z, 200.0))
    _box(world, "skirting", (-200.0, 300.0), (WALL_Y, WALL_Y + 0.3), (FLOOR_Z, FLOOR_Z + 3.0))
    _box(world, "floor", (-200.0, 300.0), (WALL_Y, 300.0), (FLOOR_Z - 5.0, FLOOR_Z))
    x0, x1 = CABINET_X
    front = CABINET_FRONT
    _box(world, "cabinet", (x0, x1), (front - CABINET_DEPTH, front), (0.0, CABINET_HEIGHT))
    _box(world, "panel", (x0 + 1.5, x1 - 1.5), (front, front + 0.2), (13.0, CABINET_HEIGHT - 1.5))
    x0, x1 = DRAWER_X - DRAWER_HALF, DRAWER_X + DRAWER_HALF
    _box(world, "drawer hole", (x0, x1), (front, front + 0.1), (0.3, DRAWER_HEIGHT - 2.0))


def _drawer(spec: mujoco.MjSpec) -> None:
    """Its origin is on the table under the middle of its front's face."""
    body = spec.worldbody.add_body(name="drawer", mocap=True)
    half, back, high = DRAWER_HALF, -DRAWER_TRAVEL - 1.0, DRAWER_HEIGHT - 2.0
    _box(body, "drawer front", (-half, half), (-1.0, 0.4), (0.2, DRAWER_HEIGHT))
    _box(body, "drawer floor", (-half, half), (back, -1.0), (0.3, 1.2))
    _box(body, "drawer left", (-half, -half + 1.6), (back, -1.0), (0.3, high))
    _box(body, "drawer right", (half - 1.6, half), (back, -1.0), (0.3, high))
    _box(body, "handle", (-5.0, 5.0), (0.4, 1.4), (4.2, 6.8))


def _gripper(spec: mujoco.MjSpec) -> None:
    """The hand's origin is between the finger tips; each finger's at its inner side."""
    world = spec.worldbody
    deep = FINGER_DEPTH * SIN
    hand = world.add_body(name="hand", mocap=True)
    _box(
        hand,
        "palm",
        (-8.0, 8.0),
        (-deep, deep),
        (FINGER_LENGTH, FINGER_LENGTH + PALM_HEIGHT),
    )
    for side, x in (("left", (-FINGER_WIDTH, 0.0)), ("right", (0.0, FINGER_WIDTH))):
        finger = world.add_body(name=f"finger {side}", mocap=True)
        _box(finger, f"finger {side}", x, (-deep * 0.7, deep * 0.7), (PAD_HEIGHT, FINGER_LENGTH))
        _box(finger, f"pad {side}", x, (-deep * 0.7, deep * 0.7), (0.0, PAD_HEIGHT))
    arm = world.add_body(name="arm", mocap=True)
    for name, radius, start in (("wrist", 3.6, 0.0), ("arm", 5.6, 16.0)):
        arm.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=(radius, (ARM_LENGTH - start) / 2, 0.0),
            pos=(0.0, 0.0, (ARM_LENGTH + start) / 2),
        )


def _object(spec: mujoco.MjSpec, slot: int) -> None:
    """One geom of every shape about the body's origin; pictures show one of them or none."""
    body = spec.worldbody.add_body(name=f"object {slot}", mocap=True)
    for shape in SHAPES:
        half, high = HALF_WIDTH[shape], HEIGHT[shape] / 2
        name = f"object {slot} {shape}"
        if shape == "cone":
            body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname="cone")
            continue
        kind = {
            "cube": mujoco.mjtGeom.mjGEOM_BOX,
            "ball": mujoco.mjtGeom.mjGEOM_SPHERE,
            "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
        }[shape]
        size = (half, half if shape == "cube" else high, high)
        body.add_geom(
            name=name, type=kind, size=size, quat=_yaw(CUBE_YAW if shape == "cube" else 0)
        )


def _yaw(angle: float) -> tuple[float, float, float, float]:
    return (float(np.cos(angle / 2)), 0.0, 0.0, float(np.sin(angle / 2)))
