"""From predicted maps to a scene in symbols, and how well a text fits it.

No two objects of a scene share colour and shape, so the cells of one colour and shape are one
object; where it stands tells the rest. Lengths are shares of the crop, from its upper left corner.

Shapes: G cells of a side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.tabletop import language
from training.tabletop.cache import CROP_PX
from training.tabletop.meaning import Item, Meaning
from training.tabletop.names import COLOURS, SHAPES, ObjectName
from training.tabletop.render import STANCES
from training.tabletop.state import DRAWER_HALF, DRAWER_X

LEAST_CELLS = 4
"""Fewer of one colour and shape are no object: one of 16 px has about 16 cells of 4 px."""
INSIDE = DRAWER_HALF / CROP_PX
"""So far from the drawer's middle its content may be seen."""
DRAWER_Y = (0.44, 0.68)
"""Between these heights of the picture an open drawer shows what is inside."""

Maps = Mapping[str, npt.NDArray[np.integer]]


@dataclass(frozen=True)
class Seen:
    """One object in the picture."""

    name: ObjectName
    x: float
    y: float
    lying: bool = False
    raised: bool = False
    """It stands or lies on another object."""
    held: bool = False


@dataclass(frozen=True)
class Scene:
    """What the rules work on."""

    objects: tuple[Seen, ...]
    drawer_open: bool

    @property
    def held(self) -> Seen | None:
        return next((o for o in self.objects if o.held), None)

    @property
    def content(self) -> Seen | None:
        """What lies in the open drawer."""
        inside = [o for o in self.objects if self._is_inside(o)] if self.drawer_open else []
        return inside[0] if inside else None

    def _is_inside(self, o: Seen) -> bool:
        in_y = DRAWER_Y[0] < o.y < DRAWER_Y[1]
        return not o.held and not o.raised and in_y and abs(o.x - DRAWER_X / CROP_PX) < INSIDE

    @property
    def standing(self) -> tuple[Seen, ...]:
        """What is on the table itself, from left to right."""
        free = [o for o in self.objects if not (o.held or o.raised or o is self.content)]
        return tuple(sorted(free, key=lambda o: o.x))

    def base_of(self, top: Seen) -> Seen | None:
        """What a raised object stands on: the nearest below it."""
        below = [o for o in self.standing if o.y > top.y]
        return min(below, key=lambda o: abs(o.x - top.x)) if below else None

    def top_of(self, base: Seen) -> Seen | None:
        return next((o for o in self.objects if o.raised and self.base_of(o) is base), None)

    def meaning(self) -> Meaning:
        """What a caption of the scene says."""
        items = []
        for base in self.standing:
            top = self.top_of(base)
            above = (None, False) if top is None else (top.name, top.lying)
            items.append(Item(base.name, base.lying, *above))
        held, content = self.held, self.content
        return Meaning(
            "scene",
            items=tuple(items),
            held=held.name if held else None,
            drawer="open" if self.drawer_open else "closed",
            content=content.name if content else None,
        )


def read_scene(maps: Maps, drawer: float) -> Scene:
    """The scene that predicted maps (G, G) show, classes as in `DenseLabels`.

    Args:
        drawer: how far it stands open, 0..1.
    """
    found = []
    for c in range(1, 1 + len(COLOURS)):
        for s in range(1, 1 + len(SHAPES)):
            mask_GG = (maps["colour"] == c) & (maps["shape"] == s)
            if int(mask_GG.sum()) >= LEAST_CELLS:
                found.append(_object(ObjectName(COLOURS[c - 1], SHAPES[s - 1]), mask_GG, maps))
    return Scene(tuple(found), drawer > 0.5)


def _object(name: ObjectName, mask_GG: npt.NDArray[np.bool_], maps: Maps) -> Seen:
    row_M, column_M = np.nonzero(mask_GG)
    counts = np.bincount(maps["stance"][mask_GG], minlength=1 + len(STANCES))
    stance = STANCES[int(counts[1:].argmax())]
    side = len(mask_GG)
    return Seen(
        name,
        x=float(column_M.mean() + 0.5) / side,
        y=float(row_M.mean() + 0.5) / side,
        lying=stance.startswith("lying"),
        raised=stance.endswith("another"),
        held=bool(maps["held"][mask_GG].mean() > 0.5),
    )


def fit(scene: Scene, text: str) -> float:
    """How well a scene's caption fits, 0..1: facts in common of all facts; NaN of another text."""
    said = language.parse(text)
    if said is None or said.kind != "scene":
        return float("nan")
    ours, theirs = _facts(scene.meaning()), _facts(said)
    return len(ours & theirs) / len(ours | theirs)


def _facts(scene: Meaning) -> frozenset[tuple[object, ...]]:
    """What a scene's caption says, as facts that can be right or wrong one by one."""
    facts: set[tuple[object, ...]] = {
        ("held", scene.held),
        ("drawer", scene.drawer),
        ("content", scene.content),
        ("items", len(scene.items)),
    }
    for place, item in enumerate(scene.items):
        facts |= {("place", place, item.name), ("there", item.name, item.lying)}
        facts.add(("on", item.name, item.top, item.top_lying))
    return frozenset(facts)
