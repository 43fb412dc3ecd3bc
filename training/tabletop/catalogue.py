"""Which action captions make sense: outcomes of each action, the objects they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from training.tabletop.meaning import Meaning
from training.tabletop.names import PUSHES, ObjectName

OUTCOMES_OF: dict[str, tuple[str, ...]] = {
    "pick_up": ("success", "hands_full", "covered", "no_room"),
    "put_down": ("success", "nothing_held", "bumps", "bumps_drawer", "lands_on", "slips_off"),
    "stack_on": ("success", "nothing_held", "covered", "slips_off"),
    "push_left": (
        "success", "hands_full", "no_room", "slips_off", "topples", "bumps", "falls_off",
        "rolls_away",
    ),
    "push_right": (
        "success", "hands_full", "no_room", "slips_off", "topples", "bumps", "rolls_away",
        "bumps_cabinet", "bumps_drawer", "bumps_rail",
    ),
    "push_away": (
        "success", "hands_full", "no_room", "slips_off", "topples", "bumps", "rolls_away",
        "bumps_cabinet", "bumps_drawer", "bumps_wall",
    ),
    "push_near": (
        "success", "hands_full", "no_room", "slips_off", "topples", "bumps", "falls_off",
        "rolls_away",
    ),
    "open_drawer": ("success", "hands_full", "already", "blocked"),
    "close_drawer": ("success", "hands_full", "already", "with_object"),
    "put_in_drawer": ("success", "nothing_held", "drawer_closed", "drawer_full"),
    "take_out_of_drawer": ("success", "hands_full", "drawer_closed", "drawer_empty"),
    "tip_over": ("success", "no_room", "topples", "already", "bumps", "stays_upright"),
    "shake": ("success", "nothing_held"),
    "go_home": ("success", "already", "with_object"),
}  # fmt: skip
NAMES_OTHER = (
    "hands_full", "covered", "no_room", "bumps", "topples", "lands_on", "blocked", "drawer_full",
    "with_object",
)  # fmt: skip
FLAT = ("cube", "cylinder")
DRAWER_ONLY = ("open_drawer", "close_drawer", "go_home")
OF_HELD = ("put_down", "put_in_drawer", "shake", "stack_on")


def names_object(action: str, outcome: str) -> bool:
    """Whether the caption says what the action is done to."""
    if action in DRAWER_ONLY:
        return False
    if action == "take_out_of_drawer":
        return outcome == "success"
    return not (action in OF_HELD and outcome == "nothing_held")


def names_target(action: str) -> bool:
    return action == "stack_on"


def names_other(action: str, outcome: str) -> bool:
    return outcome in NAMES_OTHER or (outcome == "slips_off" and action != "stack_on")


def plausible(m: Meaning) -> bool:
    """Whether an action caption can be true of some scene."""
    if m.outcome not in OUTCOMES_OF.get(m.action, ()):
        return False
    present = (m.object is not None, m.target is not None, m.other is not None)
    wanted = (
        names_object(m.action, m.outcome),
        names_target(m.action),
        names_other(m.action, m.outcome),
    )
    named = [n for n in (m.object, m.target, m.other) if n is not None]
    return present == wanted and len(set(named)) == len(named) and _shapes_fit(m)


def _shapes_fit(m: Meaning) -> bool:
    """Balls stand on nothing, nothing stands on cones and balls, only round things roll …"""
    thing = m.object.shape if m.object else ""
    other = m.other.shape if m.other else ""
    below = m.target.shape if m.target else thing
    rules = {
        "covered": below in FLAT and other != "ball",
        "topples": thing in FLAT and other != "ball",
        "lands_on": thing != "ball" and other in FLAT,
        "stays_upright": thing == "cube",
        "already": m.action != "tip_over" or thing in ("cylinder", "cone"),
        "rolls_away": thing == "ball"
        or (thing == "cylinder" and m.action in ("push_away", "push_near")),
        "slips_off": m.action not in PUSHES or (thing != "ball" and other in FLAT),
    }
    if m.action == "tip_over" and (thing == "ball" or (m.outcome == "success" and thing == "cube")):
        return False
    if m.action == "stack_on" and m.outcome == "success" and (thing == "ball" or below not in FLAT):
        return False
    if m.action in PUSHES and m.outcome == "success" and thing == "ball":
        return False
    return rules.get(m.outcome, True)


def meanings_of(action: str, outcome: str, pool: Sequence[ObjectName]) -> Iterator[Meaning]:
    """Every plausible caption meaning of an action and outcome."""
    objects = pool if names_object(action, outcome) else (None,)
    targets = pool if names_target(action) else (None,)
    others = pool if names_other(action, outcome) else (None,)
    for thing in objects:
        for target in targets:
            for other in others:
                m = Meaning("action", action, thing, target, outcome, other)
                if plausible(m):
                    yield m


def count_action_meanings(pool: Sequence[ObjectName]) -> int:
    """Number of distinct action-caption meanings over the objects of `pool`."""
    return sum(1 for a, outs in OUTCOMES_OF.items() for o in outs for _ in meanings_of(a, o, pool))


def with_outcome(m: Meaning, action: str, outcome: str, spare: Sequence[ObjectName]) -> Meaning:
    """`m` with another action and outcome; names it lacks come from `spare`, in order."""
    names = list(spare)

    def fill(wanted: bool, now: ObjectName | None) -> ObjectName | None:
        if not wanted:
            return None
        return now if now is not None else names.pop(0)

    return replace(
        m,
        action=action,
        outcome=outcome,
        object=fill(names_object(action, outcome), m.object),
        target=fill(names_target(action), m.target),
        other=fill(names_other(action, outcome), m.other),
    )
