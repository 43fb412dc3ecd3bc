"""What touches what: results, their margins, and the places that are taken or free.

Every geometric test leaves its distance from the threshold; a result whose smallest one is under
1 px is `ambiguous`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from training.tabletop.state import (
    CABINET_FRONT,
    CABINET_X,
    CONTACT_X,
    CONTACT_Y,
    DRAWER_HALF,
    DRAWER_X,
    X_RANGE,
    Y_RANGE,
    SceneState,
)

AMBIGUOUS_PX = 1.0


@dataclass(frozen=True)
class Result:
    """How an action ends. `other`: index of the second object in it, -1 for none."""

    outcome: str
    other: int = -1
    margin: float = 99.0
    travel: float = 0.0
    """How far the object is pushed or rolls."""
    spot: tuple[float, float] | None = None
    """Where something that falls comes to rest."""

    @property
    def ambiguous(self) -> bool:
        return self.margin < AMBIGUOUS_PX


@dataclass
class Margins:
    """Collects the distance of every test from its threshold."""

    least: float = field(default=99.0)

    def over(self, distance: float) -> bool:
        """Whether distance > 0, remembering how clearly."""
        self.least = min(self.least, abs(distance))
        return distance > 0

    def inside(self, dx: float, dy: float, half_x: float, half_y: float) -> bool:
        """Whether |dx| < half_x and |dy| < half_y."""
        return self.over(min(half_x - abs(dx), half_y - abs(dy)))


def standing(state: SceneState, *but: int) -> list[int]:
    """Indices of the objects that stand on the table itself."""
    return [i for i, o in enumerate(state.objects) if o.place == "table" and i not in but]


def near(
    state: SceneState, at: tuple[float, float], half: tuple[float, float], m: Margins, *but: int
) -> int:
    """Index of the nearest object on the table within the box round `at`, -1 for none."""
    x, y = at
    hits = [
        i
        for i in standing(state, *but)
        if m.inside(state.objects[i].x - x, state.objects[i].y - y, *half)
    ]
    return min(
        hits, key=lambda i: abs(state.objects[i].x - x) + abs(state.objects[i].y - y), default=-1
    )


def boxes(state: SceneState) -> list[tuple[str, float, float, float, float]]:
    """(name, x0, x1, y0, y1) of cabinet and open drawer, grown by half an object."""
    half_x, half_y = CONTACT_X / 2, CONTACT_Y / 2
    found = [("cabinet", CABINET_X[0] - half_x, 200.0, -99.0, CABINET_FRONT + half_y)]
    if state.drawer_is_open:
        x0, x1 = DRAWER_X - DRAWER_HALF - half_x, DRAWER_X + DRAWER_HALF + half_x
        found.append(("drawer", x0, x1, CABINET_FRONT, state.drawer_front + half_y))
    return found


def in_furniture(state: SceneState, x: float, y: float, slack: float = 0.0) -> bool:
    return any(
        x0 + slack < x < x1 - slack and y0 + slack < y < y1 - slack
        for _, x0, x1, y0, y1 in boxes(state)
    )


_RINGS: tuple[tuple[float, float], ...] = (
    (0, 13), (-21, 0), (21, 0), (-21, 9), (21, 9), (0, -13), (-21, -9), (21, -9),
    (0, 20), (-28, 6), (28, 6), (-30, 15), (30, 15), (0, -24), (-42, 0), (42, 0),
)  # fmt: skip


def free_spot(state: SceneState, x: float, y: float, *but: int) -> tuple[float, float] | None:
    """The first free place on the table round (x, y), by a fixed order of places."""
    for dx, dy in _RINGS:
        px, py = x + dx, y + dy
        inside = X_RANGE[0] <= px <= X_RANGE[1] and Y_RANGE[0] <= py <= Y_RANGE[1]
        if inside and not in_furniture(state, px, py) and not _crowded(state, px, py, but):
            return (px, py)
    return None


def _crowded(state: SceneState, x: float, y: float, but: Iterable[int]) -> bool:
    return any(
        abs(state.objects[i].x - x) < CONTACT_X + 1 and abs(state.objects[i].y - y) < CONTACT_Y
        for i in standing(state, *but)
    )
