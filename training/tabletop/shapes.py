"""Shaded outlines of the objects: polygons round the base centre (picture y grows downward)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

PointsN2 = npt.NDArray[np.float64]

COLOUR_RGB = {
    "red": (216.0, 38.0, 42.0),
    "green": (40.0, 158.0, 62.0),
    "blue": (36.0, 78.0, 214.0),
    "yellow": (246.0, 208.0, 34.0),
    "purple": (142.0, 48.0, 176.0),
    "cyan": (50.0, 208.0, 222.0),
    "white": (240.0, 240.0, 238.0),
    "black": (44.0, 44.0, 50.0),
}
OUTLINE = 0.42
"""Shade of the dark line round an object."""


@dataclass(frozen=True, eq=False)
class Template:
    """Polygons of one object, back to front. `tones`: (shade, white) of each: the colour times
    shade, mixed with so much white."""

    points_N2: PointsN2
    ends: tuple[int, ...]
    tones: tuple[tuple[float, float], ...]
    silhouette_N2: PointsN2
    width: float
    height: float


def oval(cx: float, cy: float, rx: float, ry: float, count: int = 20) -> PointsN2:
    """An ellipse as a polygon."""
    a = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([cx + rx * np.cos(a), cy + ry * np.sin(a)], axis=1)


Part = tuple[PointsN2, float, float]


def _grown(points: PointsN2, by: float) -> PointsN2:
    centre = (points.max(axis=0) + points.min(axis=0)) / 2
    half = (points.max(axis=0) - points.min(axis=0)) / 2
    grown: PointsN2 = centre + (points - centre) * (half + by) / half
    return grown


def _cube(detail: int) -> tuple[PointsN2, list[Part]]:
    left, edge, right = -9.0, 4.0, 9.0
    low, high, skew = 3.6, -9.4, 4.8
    front = np.array([(left, low), (edge, low), (edge, high), (left, high)])
    side = np.array([(edge, low), (right, low - skew), (right, high - skew), (edge, high)])
    top = np.array([(left, high), (edge, high), (right, high - skew), (right - 13, high - skew)])
    silhouette = np.array(
        [
            (left, low),
            (edge, low),
            (right, low - skew),
            (right, high - skew),
            (right - 13, high - skew),
            (left, high),
        ]
    )
    shine = np.array(
        [
            (left + 1.2, low - 1.4),
            (left + 2.6, low - 1.4),
            (left + 2.6, high + 1.4),
            (left + 1.2, high + 1.4),
        ]
    )
    return silhouette, [
        (side, 0.58, 0.0),
        (front, 0.86, 0.0),
        (top, 1.0, 0.28),
        (shine, 0.95, 0.14),
    ]


def _ball(detail: int) -> tuple[PointsN2, list[Part]]:
    cy, radius = -5.8, 9.2
    parts: list[Part] = []
    for k in range(detail):
        t = k / (detail - 1)
        size = radius * (1 - 0.78 * t)
        shift = -0.34 * radius * t
        count = 20 if size > 5 else 12
        parts.append((oval(shift, cy + shift, size, size, count), 0.62 + 0.45 * t, 0.16 * t * t))
    parts.append((oval(-0.36 * radius, cy - 0.4 * radius, 1.7, 1.5, 8), 1.0, 0.8))
    return oval(0, cy, radius, radius), parts


def _strip_tone(t: float) -> tuple[float, float]:
    """Tone of a round body at t = -1 left .. 1 right: brightest left of the middle."""
    lit = float(np.cos((t + 0.35) * 1.25))
    return 0.5 + 0.5 * max(lit, 0.0), 0.16 * max(lit, 0.0) ** 6


def _cylinder(detail: int) -> tuple[PointsN2, list[Part]]:
    rx, ry, high = 8.8, 3.7, -13.0
    parts: list[Part] = []
    for k in range(detail):
        t0, t1 = -1 + 2 * k / detail, -1 + 2 * (k + 1) / detail
        arc = np.linspace(t0, t1, 3)
        low = np.stack([rx * arc, ry * np.sqrt(np.clip(1 - arc**2, 0, 1))], axis=1)
        body = np.concatenate([low, [(rx * t1, high), (rx * t0, high)]])
        parts.append((body, *_strip_tone((t0 + t1) / 2)))
    parts.append((oval(0, high, rx, ry), 0.8, 0.0))
    parts.append((oval(0, high, rx - 1.0, ry - 0.8), 1.0, 0.36))
    a = np.linspace(0, np.pi, 11)
    silhouette = np.concatenate(
        [
            np.stack([rx * np.cos(a), ry * np.sin(a)], 1),
            np.stack([-rx * np.cos(a), high - ry * np.sin(a)], 1),
        ]
    )
    return silhouette, parts


def _cone(detail: int) -> tuple[PointsN2, list[Part]]:
    rx, ry, apex = 10.0, 3.9, -19.5
    parts: list[Part] = []
    for k in range(detail):
        t0, t1 = -1 + 2 * k / detail, -1 + 2 * (k + 1) / detail
        arc = np.linspace(t0, t1, 3)
        low = np.stack([rx * arc, ry * np.sqrt(np.clip(1 - arc**2, 0, 1))], axis=1)
        parts.append((np.concatenate([low, [(0.0, apex)]]), *_strip_tone((t0 + t1) / 2)))
    a = np.linspace(0, np.pi, 11)
    silhouette = np.concatenate([np.stack([rx * np.cos(a), ry * np.sin(a)], 1), [(0.0, apex)]])
    return silhouette, parts


_MAKERS = {"cube": _cube, "ball": _ball, "cylinder": _cylinder, "cone": _cone}


@lru_cache(maxsize=16)
def template(shape: str, fine: bool) -> Template:
    """Polygons of a shape; `fine` has more shades, for large pictures."""
    silhouette, parts = _MAKERS[shape](16 if fine else 6)
    outline = (_grown(silhouette, 0.35 if fine else 0.25), OUTLINE, 0.0)
    everything = [outline, *parts]
    return Template(
        points_N2=np.concatenate([p for p, _, _ in everything]),
        ends=tuple(int(n) for n in np.cumsum([len(p) for p, _, _ in everything])),
        tones=tuple((shade, white) for _, shade, white in everything),
        silhouette_N2=silhouette,
        width=float(np.ptp(silhouette[:, 0])),
        height=float(np.ptp(silhouette[:, 1])),
    )


def placed(
    points_N2: PointsN2, shape: Template, base: tuple[float, float], tilt: float
) -> PointsN2:
    """Template points of an object whose base is at `base` in the picture plane, (x, y - z).

    Tilted objects fall to the left.
    """
    if tilt <= 0.0:
        upright: PointsN2 = points_N2 + np.array(base)
        return upright
    angle = tilt * np.pi / 2
    c, s = float(np.cos(angle)), float(np.sin(angle))
    low = 3.8
    middle = low - shape.height / 2
    turned = np.empty_like(points_N2)
    turned[:, 0] = points_N2[:, 0] * c + (points_N2[:, 1] - middle) * s
    turned[:, 1] = -points_N2[:, 0] * s + (points_N2[:, 1] - middle) * c
    rise = shape.height / 2 * c + shape.width / 2 * s
    turned[:, 1] += low - rise
    turned += np.array(base)
    return turned


def tone(rgb: tuple[float, float, float], shade: float, white: float) -> tuple[float, float, float]:
    """A colour made darker and mixed with white."""
    r, g, b = (c * shade * (1 - white) + 255.0 * white for c in rgb)
    return (r, g, b)
