"""What the gripper does in each action, well or ill: from a result to a motion.

Every failure is acted out: the gripper goes there, tries, and comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from training.tabletop import choreography_drawer as drawer
from training.tabletop import choreography_push as pushes
from training.tabletop.contact import Result
from training.tabletop.motion import Motion
from training.tabletop.names import PUSHES
from training.tabletop.state import HOVER_Z, SceneState
from training.tabletop.strokes import away, drop_to, held_low, snap, tap


class Staged(NamedTuple):
    """A motion and the share of it from which a watcher can see the outcome."""

    motion: Motion
    decided_u: float


def stage(state: SceneState, name: str, target: int, result: Result) -> Staged:
    """Write the motion of action `name` on object `target` that ends in `result`."""
    motion = Motion(state)
    if name in PUSHES:
        decided_u = pushes.push(motion, name, target, result)
    else:
        decided_u = _STAGES[name](motion, target, result)
    return Staged(motion, decided_u)


# --- taking and placing --------------------------------------------------------------------------


def _pick_up(m: Motion, target: int, result: Result) -> float:
    o = m.start.objects[target]
    if result.outcome == "hands_full":
        m.move(0.32, o.x, o.y)
        top = m.start.on_top(target)
        high = m.start.objects[top].top if top >= 0 else o.top
        tap(m, 0.32, 0.88, held_low(m.start, high))
        return 0.6
    if result.outcome == "covered":
        m.move(0.32, o.x, o.y, open=0.1)
        tap(m, 0.32, 0.88, m.start.objects[result.other].top + 1)
        return 0.6
    m.move(0.28, o.x, o.y, open=1.0)
    if result.outcome == "no_room":
        tap(m, 0.3, 0.9, o.top - 2, depth=6)
        return 0.6
    m.move(0.46, z=o.grip_z)
    m.move(0.54, open=o.grip_open)
    m.grab(0.54, target)
    m.move(0.82, z=HOVER_Z)
    return 0.66


def _put_down(m: Motion, target: int, result: Result) -> float:
    held = m.start.held
    if held < 0:
        return _grasp_air(m, 0.05, m.start.gripper.x, m.start.gripper.y)
    if result.outcome in ("bumps", "bumps_drawer"):
        top = 10.0
        if result.other >= 0:
            above = m.start.on_top(result.other)
            top = m.start.objects[above if above >= 0 else result.other].top
        tap(m, 0.05, 0.85, held_low(m.start, top))
        return 0.55
    base = m.start.objects[result.other].top if result.other >= 0 else 0.0
    _let_go(m, (0.1, 0.4), held, result.other, base)
    if result.spot is not None:
        drop_to(m, 0.52, 0.8, held, result.spot)
        return 0.68
    return 0.62


def _let_go(m: Motion, span: tuple[float, float], held: int, base: int, height: float) -> None:
    """Lower the held object onto the table or object `base`, open, and go up."""
    u0, u1 = span
    m.move(u0)
    m.move(u1, z=held_low(m.start, height))
    m.release(u1 + 0.02, held, "object" if base >= 0 else "table", base)
    if base >= 0:
        b = m.start.objects[base]
        m.carry(held, u1 + 0.04, x=b.x, y=b.y, z=height)
    m.move(u1 + 0.1, open=1.0)
    m.move(u1 + 0.4, z=HOVER_Z)


def _grasp_air(m: Motion, u0: float, x: float, y: float) -> float:
    """Come down with nothing in the hand, open and close on air."""
    m.move(u0 + 0.01, x, y, open=0.1)
    below = [
        o.top
        for o in m.start.objects
        if abs(o.x - x) < 14 and abs(o.y - y) < 9 and o.place != "gone"
    ]
    low = max([3.0, *(top + 2.0 for top in below)])
    m.move(u0 + 0.2, z=min(low, HOVER_Z - 6))
    snap(m, u0 + 0.2, min(u0 + 0.6, 0.82))
    m.move(0.98, z=HOVER_Z)
    return u0 + 0.4


def _stack_on(m: Motion, target: int, result: Result) -> float:
    o, held = m.start.objects[target], m.start.held
    if held < 0:
        return _grasp_air(m, 0.3, o.x, o.y)
    m.move(0.32, o.x, o.y)
    if result.outcome == "covered":
        tap(m, 0.32, 0.88, held_low(m.start, m.start.objects[result.other].top))
        return 0.6
    _let_go(m, (0.34, 0.5), held, target, o.top)
    if result.spot is not None:
        drop_to(m, 0.6, 0.85, held, result.spot)
        return 0.74
    return 0.68


# --- the gripper alone ---------------------------------------------------------------------------


def _shake(m: Motion, target: int, result: Result) -> float:
    x = m.start.gripper.x
    if result.outcome == "nothing_held":
        m.move(0.1, open=0.1)
    for k in range(6):
        m.move(0.14 + 0.12 * k, x=x + (8 if k % 2 == 0 else -8))
    m.move(0.9, x=x)
    return 0.4


def _go_home(m: Motion, target: int, result: Result) -> float:
    x, y = m.start.home
    if result.outcome == "already":
        for u in (0.1, 0.5):
            m.move(u, z=HOVER_Z)
            m.move(u + 0.18, z=HOVER_Z - 9)
            m.move(u + 0.36, z=HOVER_Z)
        return 0.5
    m.move(0.08)
    m.move(0.75, x, y)
    away(m, 0.95)
    return 0.55


_STAGES: dict[str, Callable[[Motion, int, Result], float]] = {
    "pick_up": _pick_up,
    "put_down": _put_down,
    "stack_on": _stack_on,
    "tip_over": pushes.tip_over,
    "shake": _shake,
    "go_home": _go_home,
    "open_drawer": drawer.open_drawer,
    "close_drawer": drawer.close_drawer,
    "put_in_drawer": drawer.put_in_drawer,
    "take_out_of_drawer": drawer.take_out,
}
