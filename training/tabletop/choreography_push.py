"""What the gripper does when it pushes or tips something."""

from __future__ import annotations

from training.tabletop.contact import Result
from training.tabletop.motion import GATHER, LOSE, SMOOTH, Motion
from training.tabletop.pushing import DIRECTIONS, REACH_X, REACH_Y, TIP_X, rolls
from training.tabletop.state import HOVER_Z
from training.tabletop.strokes import drop_to, held_low, tap

STROKE = (18.0, 13.0)
"""How far an object is pushed, across and along the table."""
ROLL_STROKE = (14.0, 10.0)
"""How far the hand goes along with an object that rolls."""


def push(m: Motion, name: str, target: int, result: Result) -> float:
    o = m.start.objects[target]
    ux, uy = DIRECTIONS[name]
    x, y = o.x - ux * REACH_X, o.y - uy * REACH_Y
    if result.outcome == "hands_full":
        return _swing(m, target, ux, uy)
    m.move(0.26, x, y, open=0.0)
    if result.outcome == "no_room":
        tap(m, 0.28, 0.9, m.start.objects[result.other].top + 1)
        return 0.6
    low = o.z + (3.0 if uy <= 0 else 7.0)
    m.move(0.38, z=low)
    if result.outcome == "slips_off":
        return _push_off(m, target, result, ux, uy)
    if result.outcome == "topples":
        _nudge(m, target, result, ux, uy)
        return 0.62
    decided_u = _slide(m, target, result, ux, uy)
    m.move(0.99, z=HOVER_Z)
    return decided_u


def _swing(m: Motion, target: int, ux: float, uy: float) -> float:
    """The hand is full: swing twice over the object in the direction of the push."""
    o = m.start.objects[target]
    x0, y0 = o.x - ux * 8, o.y - uy * 6
    top = m.start.on_top(target)
    high = m.start.objects[top].top if top >= 0 else o.top
    m.move(0.3, x0, y0, z=max(HOVER_Z - 3, held_low(m.start, high)))
    for u in (0.3, 0.58):
        m.move(u + 0.14, x0 + ux * 16, y0 + uy * 12)
        m.move(u + 0.28, x0, y0)
    m.move(0.97, z=HOVER_Z)
    return 0.6


def _slide(m: Motion, target: int, result: Result, ux: float, uy: float) -> float:
    """Push along the table until the object has gone far enough, hits something or rolls on."""
    o = m.start.objects[target]
    rolling = rolls(o, uy)
    stroke = (ROLL_STROKE if rolling else STROKE)[0 if ux else 1]
    pushed = min(result.travel, stroke)
    pace = GATHER if result.travel > pushed else SMOOTH
    stop = 0.42 + 0.2 * pushed / stroke
    hand = m.gripper[-1].values
    m.carry(target, 0.4)
    m.carry(target, stop, x=o.x + ux * pushed, y=o.y + uy * pushed, pace=pace)
    m.move(0.4)
    m.move(stop, x=hand[0] + ux * pushed, y=hand[1] + uy * pushed, pace=pace)
    decided = 0.66
    if result.travel > pushed:
        rest = result.travel - pushed
        end = stop + 0.2 * rest / stroke
        m.carry(target, end, x=o.x + ux * result.travel, y=o.y + uy * result.travel, pace=LOSE)
        decided = end if result.outcome.startswith("bumps") else min(end, stop + 0.14)
        stop = end
    elif result.outcome.startswith("bumps"):
        for u in (stop, stop + 0.1):
            m.move(u + 0.05, x=hand[0] + ux * (pushed - 4), y=hand[1] + uy * (pushed - 4))
            m.move(u + 0.1, x=hand[0] + ux * pushed, y=hand[1] + uy * pushed)
    if result.outcome == "falls_off":
        decided = _fall(m, target, max(stop, 0.52), ux, uy)
    m.move(0.84)
    return decided


def _fall(m: Motion, target: int, u: float, ux: float, uy: float) -> float:
    """Over the edge and down, out of the picture."""
    x, y, _, _ = m.objects[target][-1].values
    end = min(1.0, u + 0.3)
    m.carry(target, u)
    m.carry(target, u + 0.06, x=x + ux * 5, y=y + uy * 3, z=-2.0)
    m.carry(target, end, x=x + ux * 9, y=y + uy * 4, z=-75.0)
    m.put(end, target, "gone")
    return u + 0.12


def _push_off(m: Motion, target: int, result: Result, ux: float, uy: float) -> float:
    """The object stands on another one: push it off its base."""
    o = m.start.objects[target]
    hand = m.gripper[-1].values
    m.carry(target, 0.4)
    m.carry(target, 0.56, x=o.x + ux * 10, y=o.y + uy * 8)
    m.move(0.4)
    m.move(0.56, x=hand[0] + ux * 10, y=hand[1] + uy * 8)
    assert result.spot is not None
    m.put(0.56, target, "table")
    drop_to(m, 0.56, 0.78, target, result.spot)
    m.move(0.7)
    m.move(0.98, z=HOVER_Z)
    return 0.68


def _nudge(m: Motion, target: int, result: Result, ux: float, uy: float) -> None:
    """A push under a stack: the base moves a little and back, the top comes down."""
    o = m.start.objects[target]
    hand = m.gripper[-1].values
    m.carry(target, 0.4)
    m.carry(target, 0.5, x=o.x + ux * 3, y=o.y + uy * 3)
    m.carry(target, 0.6, x=o.x, y=o.y)
    m.move(0.4)
    m.move(0.5, x=hand[0] + ux * 3, y=hand[1] + uy * 3)
    m.move(0.6, x=hand[0], y=hand[1])
    assert result.spot is not None
    m.put(0.48, result.other, "table")
    m.carry(result.other, 0.46)
    drop_to(m, 0.46, 0.78, result.other, result.spot)
    m.move(0.72)
    m.move(0.98, z=HOVER_Z)


def tip_over(m: Motion, target: int, result: Result) -> float:
    o = m.start.objects[target]
    m.move(0.28, o.x + REACH_X, o.y, open=0.0)
    if result.outcome == "no_room":
        tap(m, 0.28, 0.9, m.start.objects[result.other].top + 1)
        return 0.6
    high = o.top - 2.0
    m.move(0.4, z=high)
    if result.outcome == "topples":
        _nudge(m, target, result, -1.0, 0.0)
        return 0.62
    if result.outcome == "success":
        m.carry(target, 0.44)
        m.carry(target, 0.64, x=o.x - TIP_X, tilt=1.0)
        m.move(0.6, x=o.x + 3, z=high - 3)
        m.move(0.68)
    else:
        _lean(m, target, {"bumps": 0.3, "stays_upright": 0.14}.get(result.outcome, 0.0))
    m.move(0.97, z=HOVER_Z)
    return 0.66


def _lean(m: Motion, target: int, tilt: float) -> None:
    """Press twice against the top: the object leans and comes back."""
    o = m.start.objects[target]
    hand_x = m.gripper[-1].values[0]
    m.carry(target, 0.44, tilt=o.tilt)
    for u in (0.44, 0.6):
        m.carry(target, u + 0.08, x=o.x - 8 * tilt, tilt=max(o.tilt, tilt))
        m.carry(target, u + 0.16, x=o.x, tilt=o.tilt)
        m.move(u + 0.08, x=hand_x - 3 - 8 * tilt)
        m.move(u + 0.16, x=hand_x)
