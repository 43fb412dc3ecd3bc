"""Random scenes to start from: crowded enough that actions fail in every way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.tabletop.contact import boxes
from training.tabletop.names import HELDOUT_OBJECTS, ObjectName
from training.tabletop.splits import objects_of
from training.tabletop.state import (
    CONTENT_BACK,
    CONTENT_Z,
    DRAWER_X,
    HOVER_Z,
    X_RANGE,
    Y_RANGE,
    GripperState,
    ObjectState,
    SceneState,
)

SIDE_GAP = (20.0, 22.5)
"""Distance of neighbours that leave no room for a finger."""


def random_scene(rng: np.random.Generator, split: str, heldout_share: float = 0.5) -> SceneState:
    """A scene at rest: 2–5 objects on the table, on each other, in the drawer or in the gripper."""
    names = _names(rng, split, heldout_share)
    home = (float(rng.uniform(24, 58)), float(rng.uniform(42, 60)))
    drawer = float(rng.random() < 0.45)
    state = SceneState((), GripperState(*home, HOVER_Z, float(rng.uniform(0.1, 1))), drawer, home)
    if rng.random() < 0.6:
        at = (float(rng.uniform(20, 60)), float(rng.uniform(42, 70)))
        state = replace(state, gripper=replace(state.gripper, x=at[0], y=at[1]))
    in_drawer = rng.random() < 0.4
    held = rng.random() < 0.35
    stacks = int(rng.random() < 0.65)
    for i, name in enumerate(names):
        if i == 0 and held and len(names) > 2:
            state = _hold(state, name)
        elif i == 1 and in_drawer and len(names) > 2:
            y = state.drawer_front - CONTENT_BACK
            state = _add(state, ObjectState(name, DRAWER_X, y, CONTENT_Z, "drawer"))
        else:
            base = _free_base(state) if stacks and i >= 2 and name.shape != "ball" else -1
            stacks -= base >= 0
            state = _stand_on(state, name, base) if base >= 0 else _stand(state, name, rng)
    return state


def _names(rng: np.random.Generator, split: str, heldout_share: float) -> list[ObjectName]:
    count = int(rng.choice((2, 3, 4, 5), p=(0.1, 0.25, 0.35, 0.3)))
    pool = [o for o in objects_of(split) if o not in HELDOUT_OBJECTS]
    names = [pool[i] for i in rng.permutation(len(pool))[:count]]
    if split == "heldout_combination":
        rare = rng.permutation(len(HELDOUT_OBJECTS))
        for k in range(max(1, round(count * heldout_share))):
            names[k] = HELDOUT_OBJECTS[rare[k]]
    return [names[i] for i in rng.permutation(len(names))]


def _add(state: SceneState, o: ObjectState) -> SceneState:
    return replace(state, objects=(*state.objects, o))


def _hold(state: SceneState, name: ObjectName) -> SceneState:
    g = state.gripper
    o = ObjectState(name, g.x, g.y, place="held")
    gripper = replace(g, open=o.grip_open)
    return _add(replace(state, gripper=gripper), replace(o, z=g.z - o.grip_z))


def _free_base(state: SceneState) -> int:
    for i, o in enumerate(state.objects):
        if o.place == "table" and o.flat and state.on_top(i) < 0:
            return i
    return -1


def _stand_on(state: SceneState, name: ObjectName, base: int) -> SceneState:
    b = state.objects[base]
    return _add(state, ObjectState(name, b.x, b.y, b.top, "object", base))


def _stand(state: SceneState, name: ObjectName, rng: np.random.Generator) -> SceneState:
    """Put an object on a free place of the table, often close beside another one."""
    tilt = float(name.shape in ("cylinder", "cone") and rng.random() < 0.15)
    beside = [o for o in state.objects if o.place == "table"]
    under = state.held >= 0 and not beside and rng.random() < 0.45
    for attempt in range(300):
        if under and attempt == 0:
            x, y = (
                float(c + d)
                for c, d in zip(
                    (state.gripper.x, state.gripper.y), rng.uniform(-5, 5, 2), strict=True
                )
            )
        elif beside and attempt < 10 and rng.random() < 0.5:
            b = beside[int(rng.integers(len(beside)))]
            x, y = _beside(b, rng)
        else:
            x, y = float(rng.uniform(*X_RANGE)), float(rng.uniform(*Y_RANGE))
        if _clear(state, x, y, strict=attempt < 200):
            return _add(state, ObjectState(name, x, y, tilt=tilt))
    return state


def _beside(b: ObjectState, rng: np.random.Generator) -> tuple[float, float]:
    side = 1.0 if rng.random() < 0.5 else -1.0
    if rng.random() < 0.75:
        return b.x + side * float(rng.uniform(*SIDE_GAP)), b.y + float(rng.uniform(-5, 5))
    return b.x + float(rng.uniform(-4, 4)), b.y + side * float(rng.uniform(16, 20))


def _clear(state: SceneState, x: float, y: float, strict: bool) -> bool:
    """Nothing stands there, and (if strict) nothing there would hide or be hidden by much."""
    if not (X_RANGE[0] <= x <= X_RANGE[1] and Y_RANGE[0] <= y <= Y_RANGE[1]):
        return False
    if any(x0 - 1 < x < x1 and y < y1 + 1 for _, x0, x1, y0, y1 in boxes(state)):
        return False
    for o in state.objects:
        if o.place not in ("table", "object"):
            continue
        dx, dy = abs(o.x - x), abs(o.y - y)
        if dx < 20.0 and dy < (16.0 if strict else 12.0):
            return False
    return True
