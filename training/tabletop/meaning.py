"""What a sentence says, whatever its wording."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from training.tabletop.actions import Action
from training.tabletop.contact import Result
from training.tabletop.names import IDLE, ObjectName
from training.tabletop.state import SceneState


@dataclass(frozen=True)
class Item:
    """One object of a scene caption; what stands on it comes in `top`."""

    name: ObjectName
    lying: bool = False
    top: ObjectName | None = None
    top_lying: bool = False


@dataclass(frozen=True)
class Meaning:
    """The exact content of a sentence; equal meanings are the same key.

    kind action: `action`, `object` (what it is done to or with), `target` (what it is stacked on),
    `outcome`, `other` (the second object of the outcome).
    kind instruction: `action`, `target`. kind idle: nothing more. kind label: `action`.
    kind answer: `answer`, or an `object`.
    kind scene: `items` from left to right, `held`, `drawer` (closed, open) and its `content`.
    """

    kind: str
    action: str = ""
    object: ObjectName | None = None
    target: ObjectName | None = None
    outcome: str = ""
    other: ObjectName | None = None
    items: tuple[Item, ...] = ()
    held: ObjectName | None = None
    drawer: str = ""
    content: ObjectName | None = None
    answer: str = ""


def idle_meaning() -> Meaning:
    return Meaning("idle", action=IDLE)


def action_meaning(before: SceneState, action: Action, result: Result) -> Meaning:
    """What a caption of the action and its outcome says."""
    held = before.objects[before.held].name if before.held >= 0 else None
    other = before.objects[result.other].name if result.other >= 0 else None
    thing, target = action.target, None
    if action.name == "stack_on":
        thing, target = held, action.target
    elif action.name in ("put_down", "put_in_drawer", "shake"):
        thing = held
    elif action.name == "take_out_of_drawer" and result.outcome == "success":
        thing, other = other, None
    return Meaning("action", action.name, thing, target, result.outcome, other)


MIN_STEP_PX = 3.0
"""Objects nearer than this in x have no clear order from left to right."""


def scene_meaning(state: SceneState) -> Meaning | None:
    """What a caption of the scene says; None where it cannot be said well: something moves, or
    two objects are equally far left."""
    if state.moving or 0.02 < state.drawer < 0.98:
        return None
    standing = sorted((o for o in state.objects if o.place == "table"), key=lambda o: o.x)
    steps = [b.x - a.x for a, b in pairwise(standing)]
    if any(step < MIN_STEP_PX for step in steps):
        return None
    items = []
    for o in standing:
        top = state.on_top(state.objects.index(o))
        above = state.objects[top] if top >= 0 else None
        items.append(
            Item(o.name, o.lying, above.name if above else None, above.lying if above else False)
        )
    held, content = state.held, state.content
    shown = content if state.drawer_is_open else -1
    return Meaning(
        "scene",
        items=tuple(items),
        held=state.objects[held].name if held >= 0 else None,
        drawer="open" if state.drawer_is_open else "closed",
        content=state.objects[shown].name if shown >= 0 else None,
    )
