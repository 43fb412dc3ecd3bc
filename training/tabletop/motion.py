"""How an action looks over time: key poses of gripper, objects and drawer, joined smoothly.

Times are shares u of the action's duration, 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from training.tabletop.state import (
    CONTENT_BACK,
    CONTENT_Z,
    DRAWER_X,
    GripperState,
    ObjectState,
    SceneState,
    drawer_front_y,
)

SMOOTH, GATHER, LOSE = "smooth", "gather", "lose"


class Key(NamedTuple):
    """Values to be reached at u."""

    u: float
    values: tuple[float, ...]
    pace: str = SMOOTH
    """How the values get there from the key before: SMOOTH, GATHER speed, or LOSE it."""


class Change(NamedTuple):
    """From u on, object number `object` is at `place`, standing on object `on`."""

    u: float
    object: int
    place: str
    on: int


@dataclass
class Motion:
    """A scene and what happens to it; `at(u)` is the truth in between, `at(1)` the result."""

    start: SceneState
    gripper: list[Key] = field(default_factory=list)
    drawer: list[Key] = field(default_factory=list)
    objects: dict[int, list[Key]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        g = self.start.gripper
        self.gripper.append(Key(0.0, (g.x, g.y, g.z, g.open)))
        self.drawer.append(Key(0.0, (self.start.drawer,)))

    # --- writing ---

    def move(
        self,
        u: float,
        x: float | None = None,
        y: float | None = None,
        z: float | None = None,
        open: float | None = None,
        *,
        pace: str = SMOOTH,
    ) -> None:
        """The gripper reaches the given values at u; values not given stay."""
        last = self.gripper[-1].values
        new = tuple(
            old if value is None else value
            for old, value in zip(last, (x, y, z, open), strict=True)
        )
        self.gripper.append(Key(u, new, pace))

    def slide_drawer(self, u: float, value: float | None = None) -> None:
        """The drawer reaches `value` at u (or has stayed until u)."""
        self.drawer.append(Key(u, self.drawer[-1].values if value is None else (value,)))

    def carry(
        self,
        index: int,
        u: float,
        *,
        x: float | None = None,
        y: float | None = None,
        z: float | None = None,
        tilt: float | None = None,
        pace: str = SMOOTH,
    ) -> None:
        """Object `index` reaches the given values at u; values not given stay."""
        keys = self.objects.setdefault(index, [Key(0.0, self._rest(index))])
        last = keys[-1].values
        new = tuple(
            old if value is None else value
            for old, value in zip(last, (x, y, z, tilt), strict=True)
        )
        keys.append(Key(u, new, pace))

    def grab(self, u: float, index: int) -> None:
        self.changes.append(Change(u, index, "held", -1))

    def release(self, u: float, index: int, place: str, on: int = -1) -> None:
        """Leave the held object where the gripper is at u; its own keys go on from there."""
        held = self._object(index, u, self._gripper(u), self.start.drawer)
        self.changes.append(Change(u, index, place, on))
        self.objects[index] = [Key(u, (held.x, held.y, held.z, held.tilt))]

    def put(self, u: float, index: int, place: str, on: int = -1) -> None:
        """From u on, object `index` is at another place (it moves by its own keys)."""
        self.changes.append(Change(u, index, place, on))

    # --- reading ---

    def at(self, u: float) -> SceneState:
        """The scene at share u of the motion."""
        gripper = self._gripper(u)
        drawer = _between(self.drawer, u)[0]
        objects = list(self.start.objects)
        for index in range(len(objects)):
            objects[index] = self._object(index, u, gripper, drawer)
        return replace(
            self.start, objects=tuple(objects), gripper=gripper, drawer=drawer, moving=u < 1.0
        )

    def _gripper(self, u: float) -> GripperState:
        return GripperState(*_between(self.gripper, u))

    def _rest(self, index: int) -> tuple[float, float, float, float]:
        o = self.start.objects[index]
        return (o.x, o.y, o.z, o.tilt)

    def _object(self, index: int, u: float, gripper: GripperState, drawer: float) -> ObjectState:
        o = self.start.objects[index]
        place, on = o.place, o.on
        for change in self.changes:
            if change.object == index and change.u <= u:
                place, on = change.place, change.on
        if place == "held":
            z = gripper.z - (o.grip_z - o.z)
            return replace(o, place=place, on=-1, x=gripper.x, y=gripper.y, z=z)
        if place == "drawer" and index not in self.objects:
            y = drawer_front_y(drawer) - CONTENT_BACK
            return replace(o, place=place, on=-1, x=DRAWER_X, y=y, z=CONTENT_Z)
        if index not in self.objects:
            return o if (place, on) == (o.place, o.on) else replace(o, place=place, on=on)
        x, y, z, tilt = _between(self.objects[index], u)
        return replace(o, place=place, on=on, x=x, y=y, z=z, tilt=tilt)


def _between(keys: list[Key], u: float) -> tuple[float, ...]:
    """Values at u, each stretch at its key's pace."""
    previous = keys[0]
    if u <= previous.u:
        return previous.values
    for key in keys[1:]:
        if u < key.u:
            share = _paced((u - previous.u) / (key.u - previous.u), key.pace)
            return tuple(
                a + (b - a) * share for a, b in zip(previous.values, key.values, strict=True)
            )
        previous = key
    return previous.values


def _paced(share: float, pace: str) -> float:
    """Share of the way after a share of the time."""
    if pace == GATHER:
        return share * share
    if pace == LOSE:
        return share * (2.0 - share)
    return share * share * (3.0 - 2.0 * share)
