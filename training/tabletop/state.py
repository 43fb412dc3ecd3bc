"""Ground truth at one instant, and the table's measures.

World units are pixels of the model's 96 px crop under the plain camera. x grows to the right,
y towards the viewer (it is already foreshortened), z up. A point is seen at (x, y - z).
"""

from __future__ import annotations

from dataclasses import dataclass

from training.tabletop.names import ObjectName

# --- the table ---------------------------------------------------------------------------------
TABLE_LEFT = 8.0
TABLE_FAR = 32.0
TABLE_NEAR = 84.0
RAIL_X = 92.0
X_RANGE = (17.0, 82.0)
"""Centres of objects that stand on the table."""
Y_RANGE = (40.0, 78.0)

# --- the cabinet and its drawer ----------------------------------------------------------------
CABINET_X = (64.0, 90.0)
CABINET_FRONT = 50.0
CABINET_DEPTH = 14.0
CABINET_HEIGHT = 25.0
DRAWER_X = 77.0
DRAWER_HALF = 11.0
DRAWER_TRAVEL = 20.0
DRAWER_HEIGHT = 11.0
CONTENT_BACK = 9.0
"""How far behind the drawer's front its content stands."""
CONTENT_Z = 2.0


def drawer_front_y(drawer: float) -> float:
    """y of the drawer's front panel when it is `drawer` (0..1) open."""
    return CABINET_FRONT + DRAWER_TRAVEL * drawer


# --- objects -----------------------------------------------------------------------------------
CONTACT_X = 19.0
"""Centres of two touching objects, side by side."""
CONTACT_Y = 11.0
"""Centres of two touching objects, one behind the other."""
TOP = {"cube": 12.0, "ball": 16.0, "cylinder": 13.0, "cone": 19.0}
"""Height of the surface on which another object would stand."""
LYING_TOP = 16.0
GRIP_DEPTH = 7.0
GRIP_OPEN = {"cube": 0.74, "ball": 0.74, "cylinder": 0.72, "cone": 0.42}
LYING_OPEN = 0.74
HOVER_Z = 30.0
"""Height of the finger tips when the gripper travels."""


@dataclass(frozen=True)
class ObjectState:
    """One object. `place`: table, object (stands on `on`), drawer, held or gone."""

    name: ObjectName
    x: float
    y: float
    z: float = 0.0
    place: str = "table"
    on: int = -1
    tilt: float = 0.0
    """0 upright, 1 lying on its side."""

    @property
    def lying(self) -> bool:
        return self.tilt > 0.5

    @property
    def top(self) -> float:
        """Height above the table at which something would touch it from above."""
        return self.z + (LYING_TOP if self.lying else TOP[self.name.shape])

    @property
    def flat(self) -> bool:
        """Whether something can stand on it."""
        return self.name.shape in ("cube", "cylinder") and not self.lying

    @property
    def grip_z(self) -> float:
        """Height of the finger tips that hold it."""
        return self.top - GRIP_DEPTH

    @property
    def grip_open(self) -> float:
        return LYING_OPEN if self.lying else GRIP_OPEN[self.name.shape]


@dataclass(frozen=True)
class GripperState:
    """Finger tips at (x, y, z); `open` 0 closed .. 1 wide."""

    x: float
    y: float
    z: float
    open: float


@dataclass(frozen=True)
class SceneState:
    """Everything that is true at one instant."""

    objects: tuple[ObjectState, ...]
    gripper: GripperState
    drawer: float
    """0 closed .. 1 open."""
    home: tuple[float, float]
    moving: bool = False
    """An action is under way."""

    @property
    def held(self) -> int:
        """Index of the object in the gripper, -1 for none."""
        return self.find("held")

    @property
    def content(self) -> int:
        """Index of the object in the drawer, -1 for none."""
        return self.find("drawer")

    @property
    def drawer_is_open(self) -> bool:
        return self.drawer > 0.5

    @property
    def drawer_front(self) -> float:
        """y of the drawer's front panel."""
        return drawer_front_y(self.drawer)

    def find(self, place: str) -> int:
        """Index of the first object at `place`, -1 for none."""
        for i, o in enumerate(self.objects):
            if o.place == place:
                return i
        return -1

    def on_top(self, index: int) -> int:
        """Index of what stands on object `index`, -1 for nothing."""
        for i, o in enumerate(self.objects):
            if o.place == "object" and o.on == index:
                return i
        return -1

    def visible(self) -> tuple[int, ...]:
        """Indices of the objects that a camera can see."""
        shut = not self.drawer_is_open
        return tuple(
            i
            for i, o in enumerate(self.objects)
            if o.place != "gone" and not (o.place == "drawer" and shut)
        )
