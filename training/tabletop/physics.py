"""What comes of an action in a scene: one function an action, no motion yet."""

from __future__ import annotations

from collections.abc import Callable

from training.tabletop.contact import Margins, Result, boxes, free_spot, near, standing
from training.tabletop.names import PUSHES
from training.tabletop.pushing import push, tip_over
from training.tabletop.state import (
    CABINET_FRONT,
    CONTACT_X,
    CONTACT_Y,
    DRAWER_HALF,
    DRAWER_X,
    SceneState,
)

FINGER_X = 24.5
"""A neighbour nearer than this leaves no room for a finger."""
FINGER_Y = 9.0
SUPPORT_X, SUPPORT_Y = 6.0, 4.5
"""An object released within this distance of a flat top stays on it."""
FAR_ENOUGH = 10.0
"""Actions that travel are not tried over a shorter way: nothing would be seen."""


def resolve(state: SceneState, name: str, target: int) -> Result | None:
    """The outcome of action `name` on object `target`; None where it makes no sense to try."""
    if name in PUSHES:
        return push(state, name, target)
    return _RULES[name](state, target)


# --- taking and placing --------------------------------------------------------------------------


def _pick_up(state: SceneState, target: int) -> Result | None:
    o = state.objects[target]
    if state.held >= 0:
        return Result("hands_full", state.held)
    top = state.on_top(target)
    if top >= 0:
        return Result("covered", top)
    margins = Margins()
    if o.place == "table":
        other = near(state, (o.x, o.y), (FINGER_X, FINGER_Y), margins, target)
        if other >= 0:
            return Result("no_room", other, margins.least)
    return Result("success", margin=margins.least)


def _come_to_rest(state: SceneState, held: int, base: int, margins: Margins) -> Result | None:
    """Release the held object above `base`, well centred."""
    o, b = state.objects[held], state.objects[base]
    if b.flat and o.name.shape != "ball" and not o.lying:
        return Result("lands_on", base, margins.least)
    spot = free_spot(state, b.x, b.y)
    return None if spot is None else Result("slips_off", base, margins.least, spot=spot)


def _put_down(state: SceneState, target: int) -> Result | None:
    held, g = state.held, state.gripper
    if held < 0:
        return Result("nothing_held")
    margins = Margins()
    for name, x0, x1, y0, y1 in boxes(state):
        if x0 < g.x < x1 and y0 < g.y < y1:
            return Result("bumps_drawer") if name == "drawer" else None
    below = near(state, (g.x, g.y), (CONTACT_X, CONTACT_Y), margins)
    if below < 0:
        return Result("success", margin=margins.least)
    b = state.objects[below]
    centred = margins.inside(b.x - g.x, b.y - g.y, SUPPORT_X, SUPPORT_Y)
    if centred and state.on_top(below) < 0:
        return _come_to_rest(state, held, below, margins)
    return Result("bumps", below, margins.least)


def _stack_on(state: SceneState, target: int) -> Result | None:
    o, g = state.objects[target], state.gripper
    if o.place != "table" or abs(o.x - g.x) + abs(o.y - g.y) < FAR_ENOUGH:
        return None
    if state.held < 0:
        return Result("nothing_held")
    top = state.on_top(target)
    if top >= 0:
        return Result("covered", top)
    rest = _come_to_rest(state, state.held, target, Margins())
    if rest is None:
        return None
    if rest.outcome == "lands_on":
        return Result("success")
    return Result("slips_off", spot=rest.spot)


# --- the drawer ----------------------------------------------------------------------------------


def _open_drawer(state: SceneState, target: int) -> Result | None:
    if state.held >= 0:
        return Result("hands_full", state.held)
    if state.drawer_is_open:
        return Result("already")
    margins = Margins()
    half = DRAWER_HALF + CONTACT_X / 2 - 1.0
    front = [
        i
        for i in standing(state)
        if state.objects[i].y > CABINET_FRONT
        and margins.over(half - abs(state.objects[i].x - DRAWER_X))
    ]
    if front:
        nearest = min(front, key=lambda i: state.objects[i].y)
        return Result("blocked", nearest, margins.least)
    return Result("success", margin=margins.least)


def _close_drawer(state: SceneState, target: int) -> Result | None:
    if state.held >= 0:
        return Result("hands_full", state.held)
    if not state.drawer_is_open:
        return Result("already")
    if state.content >= 0:
        return Result("with_object", state.content)
    return Result("success")


def _put_in_drawer(state: SceneState, target: int) -> Result | None:
    if state.held < 0:
        return Result("nothing_held")
    if not state.drawer_is_open:
        return Result("drawer_closed")
    if state.content >= 0:
        return Result("drawer_full", state.content)
    return Result("success")


def _take_out(state: SceneState, target: int) -> Result | None:
    if state.held >= 0:
        return Result("hands_full", state.held)
    if not state.drawer_is_open:
        return Result("drawer_closed")
    if state.content < 0:
        return Result("drawer_empty")
    return Result("success", state.content)


# --- the gripper alone ---------------------------------------------------------------------------


def _shake(state: SceneState, target: int) -> Result | None:
    return Result("success" if state.held >= 0 else "nothing_held")


def _go_home(state: SceneState, target: int) -> Result | None:
    away = abs(state.gripper.x - state.home[0]) + abs(state.gripper.y - state.home[1])
    if away < 1.0:
        return Result("already")
    if away < FAR_ENOUGH:
        return None
    return Result("with_object", state.held) if state.held >= 0 else Result("success")


_RULES: dict[str, Callable[[SceneState, int], Result | None]] = {
    "pick_up": _pick_up,
    "put_down": _put_down,
    "stack_on": _stack_on,
    "tip_over": tip_over,
    "open_drawer": _open_drawer,
    "close_drawer": _close_drawer,
    "put_in_drawer": _put_in_drawer,
    "take_out_of_drawer": _take_out,
    "shake": _shake,
    "go_home": _go_home,
}
