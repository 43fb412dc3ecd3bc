"""What comes of a push or a knock: the first thing in the way decides."""

from __future__ import annotations

from collections.abc import Iterable

from training.tabletop.contact import (
    Margins,
    Result,
    boxes,
    free_spot,
    in_furniture,
    near,
    standing,
)
from training.tabletop.state import (
    CONTACT_X,
    CONTACT_Y,
    TABLE_FAR,
    X_RANGE,
    Y_RANGE,
    ObjectState,
    SceneState,
)

PUSH_X = 18.0
PUSH_Y = 13.0
ROLL_X = 36.0
ROLL_Y = 25.0
REACH_X = 12.5
"""Where the closed gripper stands beside an object that it pushes."""
REACH_Y = 8.0
HAND = (12.0, 7.5)
"""The closed gripper beside an object touches whatever is nearer than this."""
TIP_X = 8.0
"""How far the middle of an object moves when it is tipped over."""
FALL_LEFT = 9.5
FALL_NEAR = 82.0
"""An object whose centre passes these falls off the table."""
DIRECTIONS = {
    "push_left": (-1.0, 0.0),
    "push_right": (1.0, 0.0),
    "push_away": (0.0, -1.0),
    "push_near": (0.0, 1.0),
}


def push(state: SceneState, name: str, target: int) -> Result | None:
    o = state.objects[target]
    if state.held >= 0:
        return Result("hands_full", state.held) if o.place == "table" else None
    ux, uy = DIRECTIONS[name]
    margins = Margins()
    hand_x, hand_y = o.x - ux * REACH_X, o.y - uy * REACH_Y
    if in_furniture(state, hand_x, hand_y, slack=6.0) or hand_y < TABLE_FAR + 1 or hand_x > 90:
        return None
    if o.place == "object":
        spot = free_spot(state, o.x + ux * 21, o.y + uy * 13) if o.on >= 0 else None
        return None if spot is None else Result("slips_off", o.on, spot=spot)
    other = near(state, (hand_x, hand_y), HAND, margins, target)
    if other >= 0:
        return Result("no_room", other, margins.least)
    top = state.on_top(target)
    if top >= 0:
        spot = free_spot(state, o.x, o.y)
        return None if spot is None else Result("topples", top, margins.least, spot=spot)
    return _slide(state, target, ux, uy, margins)


def rolls(o: ObjectState, uy: float) -> bool:
    """Balls roll every way, lying cylinders away and near."""
    return o.name.shape == "ball" or (o.name.shape == "cylinder" and o.lying and uy != 0)


def _slide(state: SceneState, target: int, ux: float, uy: float, margins: Margins) -> Result | None:
    """Push an object that stands free: the first thing in its way decides."""
    o = state.objects[target]
    rolling = rolls(o, uy)
    reach = (ROLL_X if ux else ROLL_Y) if rolling else (PUSH_X if ux else PUSH_Y)
    stops = list(_stops(state, target, ux, uy, margins))
    distance, outcome, other = min(stops, key=lambda s: s[0], default=(99.0, "success", -1))
    if margins.over(reach - distance):
        return Result(outcome, other, margins.least, travel=max(distance, 0.0))
    return Result("rolls_away" if rolling else "success", margin=margins.least, travel=reach)


def _stops(
    state: SceneState, target: int, ux: float, uy: float, m: Margins
) -> Iterable[tuple[float, str, int]]:
    """(distance, outcome, other) of everything in the way of `target`."""
    o = state.objects[target]
    for i in standing(state, target):
        b = state.objects[i]
        along = (b.x - o.x) * ux + (b.y - o.y) * uy
        across, width = (abs(b.y - o.y), CONTACT_Y) if ux else (abs(b.x - o.x), CONTACT_X)
        if along > 0 and m.over(width - across):
            yield along - (CONTACT_X if ux else CONTACT_Y), "bumps", i
    for name, x0, x1, y0, y1 in boxes(state):
        if ux > 0 and o.x <= x0 + 1 and m.over(min(o.y - y0, y1 - o.y)):
            yield x0 - o.x, f"bumps_{name}", -1
        if uy < 0 and o.y >= y1 - 1 and m.over(min(o.x - x0, x1 - o.x)):
            yield o.y - y1, f"bumps_{name}", -1
    if ux < 0:
        yield o.x - FALL_LEFT, "falls_off", -1
    elif ux > 0:
        yield X_RANGE[1] - o.x, "bumps_rail", -1
    elif uy < 0:
        yield o.y - (Y_RANGE[0] - 2), "bumps_wall", -1
    else:
        yield FALL_NEAR - o.y, "falls_off", -1


def tip_over(state: SceneState, target: int) -> Result | None:
    o = state.objects[target]
    if state.held >= 0 or o.name.shape == "ball" or o.place != "table":
        return None
    if o.x - TIP_X < X_RANGE[0] - 6 or in_furniture(state, o.x + REACH_X, o.y, slack=6.0):
        return None
    margins = Margins()
    other = near(state, (o.x + REACH_X, o.y), HAND, margins, target)
    if other >= 0:
        return Result("no_room", other, margins.least)
    top = state.on_top(target)
    if top >= 0:
        spot = free_spot(state, o.x, o.y)
        return None if spot is None else Result("topples", top, margins.least, spot=spot)
    return _tip_free(state, target, margins)


def _tip_free(state: SceneState, target: int, margins: Margins) -> Result:
    """Tip an object that nothing stands on and that the gripper can reach."""
    o = state.objects[target]
    if o.lying:
        return Result("already", margin=margins.least)
    left = [
        i
        for i in standing(state, target)
        if state.objects[i].x < o.x
        and margins.inside(
            state.objects[i].x - o.x, state.objects[i].y - o.y, CONTACT_X + TIP_X, CONTACT_Y
        )
    ]
    if left:
        return Result("bumps", max(left, key=lambda i: state.objects[i].x), margins.least)
    return Result("stays_upright" if o.name.shape == "cube" else "success", margin=margins.least)
