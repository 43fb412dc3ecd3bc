"""What the gripper does with the drawer."""

from __future__ import annotations

from training.tabletop.contact import Result
from training.tabletop.motion import Motion
from training.tabletop.state import CONTENT_BACK, CONTENT_Z, DRAWER_TRAVEL, DRAWER_X, HOVER_Z
from training.tabletop.strokes import held_low, snap, tap

HANDLE_Z = 5.0
JIGGLE = 0.14


def open_drawer(m: Motion, target: int, result: Result) -> float:
    y = m.start.drawer_front + 2.0
    if result.outcome == "hands_full":
        m.move(0.32, DRAWER_X, y + 3)
        low = held_low(m.start, 10.0)
        m.move(0.46, z=low)
        _jerks(m, 0.46, 0.82, y + 3, y - 1)
        m.move(0.98, z=HOVER_Z)
        return 0.6
    m.move(0.26, DRAWER_X, y, open=0.5)
    m.move(0.38, z=HANDLE_Z)
    m.move(0.44, open=0.15)
    if result.outcome == "success":
        m.slide_drawer(0.44)
        m.slide_drawer(0.66, 1.0)
        m.move(0.66, y=y + DRAWER_TRAVEL)
        m.move(0.74, open=0.5)
    elif result.outcome == "blocked":
        m.slide_drawer(0.44)
        for u in (0.44, 0.62):
            m.slide_drawer(u + 0.09, JIGGLE)
            m.slide_drawer(u + 0.18, 0.0)
            m.move(u + 0.09, y=y + JIGGLE * DRAWER_TRAVEL)
            m.move(u + 0.18, y=y)
    else:
        _jerks(m, 0.44, 0.8, y, y + 5)
    m.move(0.98, z=HOVER_Z)
    return 0.62


def _jerks(m: Motion, u0: float, u1: float, y: float, far_y: float) -> None:
    """Twice from y to far_y and back."""
    step = (u1 - u0) / 4
    for k, value in enumerate((far_y, y, far_y, y), start=1):
        m.move(u0 + step * k, y=value)


def close_drawer(m: Motion, target: int, result: Result) -> float:
    y = m.start.drawer_front + 5.0
    if result.outcome == "hands_full":
        m.move(0.32, DRAWER_X, y + 5)
        m.move(0.46, z=held_low(m.start, 10.0))
        for u in (0.46, 0.64):
            m.move(u + 0.09, x=DRAWER_X - 7)
            m.move(u + 0.18, x=DRAWER_X)
        m.move(0.98, z=HOVER_Z)
        return 0.6
    m.move(0.28, DRAWER_X, y, open=0.0)
    m.move(0.4, z=HANDLE_Z)
    if result.outcome == "already":
        _jerks(m, 0.4, 0.8, y, y - 4)
    else:
        m.slide_drawer(0.42)
        m.slide_drawer(0.66, 0.0)
        m.move(0.42)
        m.move(0.66, y=y - DRAWER_TRAVEL)
        m.move(0.74)
    m.move(0.98, z=HOVER_Z)
    return 0.62


def put_in_drawer(m: Motion, target: int, result: Result) -> float:
    held = m.start.held
    inside_y = m.start.drawer_front - CONTENT_BACK
    if result.outcome == "nothing_held":
        shut = not m.start.drawer_is_open
        m.move(0.32, DRAWER_X, inside_y + (14 if shut else 0), open=0.1)
        m.move(0.46, z=20.0)
        snap(m, 0.46, 0.84)
        m.move(0.98, z=HOVER_Z)
        return 0.62
    if result.outcome == "drawer_closed":
        y = m.start.drawer_front + 8.0
        m.move(0.32, DRAWER_X, y)
        m.move(0.44, z=held_low(m.start, 9.0))
        _jerks(m, 0.44, 0.84, y, y - 5)
        m.move(0.98, z=HOVER_Z)
        return 0.6
    m.move(0.32, DRAWER_X, inside_y)
    if result.outcome == "drawer_full":
        tap(m, 0.32, 0.9, held_low(m.start, m.start.objects[result.other].top))
        return 0.6
    m.move(0.52, z=held_low(m.start, CONTENT_Z))
    m.release(0.54, held, "drawer")
    m.objects.pop(held)
    m.move(0.62, open=1.0)
    m.move(0.92, z=HOVER_Z)
    return 0.66


def take_out(m: Motion, target: int, result: Result) -> float:
    inside_y = m.start.drawer_front - CONTENT_BACK
    if result.outcome == "hands_full":
        m.move(0.3, DRAWER_X, inside_y + (0 if m.start.drawer_is_open else 16))
        content = m.start.content
        top = m.start.objects[content].top if content >= 0 and m.start.drawer_is_open else 10.0
        tap(m, 0.3, 0.92, held_low(m.start, top), depth=7, times=3)
        return 0.6
    if result.outcome == "drawer_closed":
        m.move(0.28, DRAWER_X, m.start.drawer_front + 6, open=1.0)
        m.move(0.44, z=4.0)
        snap(m, 0.44, 0.84)
        m.move(0.98, z=HOVER_Z)
        return 0.62
    m.move(0.28, DRAWER_X, inside_y, open=1.0)
    if result.outcome == "drawer_empty":
        m.move(0.48, z=4.0)
        m.move(0.6, open=0.0)
        m.move(0.68)
        m.move(0.95, z=HOVER_Z)
        return 0.7
    o = m.start.objects[result.other]
    m.move(0.46, z=o.grip_z)
    m.move(0.54, open=o.grip_open)
    m.grab(0.54, result.other)
    m.move(0.86, z=HOVER_Z)
    return 0.66
