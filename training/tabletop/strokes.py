"""Small movements that several actions share."""

from __future__ import annotations

from training.tabletop.motion import Motion
from training.tabletop.state import HOVER_Z, SceneState


def held_low(state: SceneState, height: float) -> float:
    """Height of the finger tips at which the held object's base is at `height`."""
    o = state.objects[state.held]
    return height + o.grip_z - o.z


def tap(m: Motion, u0: float, u1: float, low: float, *, depth: float = 5.0, times: int = 2) -> None:
    """From u0 to u1: down to `low`, `times` taps of `depth`, up again."""
    step = (u1 - u0) / (2 * times + 1)
    m.move(u0)
    for k in range(times):
        m.move(u0 + step * (2 * k + 1), z=low)
        m.move(u0 + step * (2 * k + 2), z=low + depth)
    m.move(u1, z=HOVER_Z)


def snap(m: Motion, u0: float, u1: float) -> None:
    """Open and close on nothing, twice."""
    step = (u1 - u0) / 4
    for k, value in enumerate((0.8, 0.05, 0.8, 0.05), start=1):
        m.move(u0 + step * k, open=value)


def away(m: Motion, u: float) -> None:
    """Up to travelling height."""
    m.move(u, z=HOVER_Z)


def drop_to(m: Motion, u0: float, u1: float, index: int, spot: tuple[float, float]) -> None:
    """Object `index` slips sideways and falls to `spot` on the table; what can lie, lies."""
    falling = m.start.objects[index]
    lies = 1.0 if falling.name.shape in ("cylinder", "cone") else falling.tilt
    m.carry(index, u0)
    x, y, z, _ = m.objects[index][-1].values
    half = u0 + 0.5 * (u1 - u0)
    m.carry(index, half, x=x + 0.7 * (spot[0] - x), y=y + 0.7 * (spot[1] - y), z=0.75 * z + 1)
    m.carry(index, u1, x=spot[0], y=spot[1], z=0.0, tilt=lies)
    m.put(u0, index, "table")
