"""The wordings of outcomes: the second half of an action caption.

In each list the first is canonical; the training split never uses the lists called HELDOUT_…
"""

from __future__ import annotations

OUTCOMES: dict[str, tuple[str, ...]] = {
    "hands_full": (
        "but it already holds {y}",
        "but it is (already|still) holding {y}",
        "but its hand is full with {y}",
        "but {y} is[ still] in (the|its) (hand|gripper)",
        "but the (hand|gripper) still holds {y}",
    ),
    "nothing_held": (
        "but it holds nothing",
        "but (its|the) hand is empty",
        "but nothing is in (the|its) (hand|gripper)",
        "but there is nothing in (the|its) (hand|gripper)",
    ),
    "covered": (
        "but {y} stands on top[ of it]",
        "but {y} (is|sits) on top[ of it]",
        "but {y} is already (on it|there)",
        "but it is covered by {y}",
    ),
    "no_room": (
        "but {y} is too close",
        "but {y} is too close to it",
        "but {y} leaves no room",
        "but there is no room (beside|next to) {y}",
    ),
    "falls_off": (
        "and it falls off the table",
        "and it (drops|falls) off the edge",
        "and it (falls|goes) over the edge",
        "until it falls off the table",
    ),
    "topples": (
        "and {y} falls off it",
        "and {y} (topples|tumbles) off it",
        "and {y} comes down[ from it]",
        "so that {y} (falls|topples) off[ it]",
    ),
    "rolls_away": (
        "and it rolls away",
        "and it (rolls on|keeps rolling)",
        "so that it rolls away",
        "and it rolls off on its own",
    ),
    "lands_on": (
        "and it lands on {y}",
        "and it comes to (stand|rest) on {y}",
        "and it ends up on[ top of] {y}",
        "so that it stands on {y}",
    ),
    "blocked": (
        "but {y} blocks it",
        "but {y} (is|stands) in the way",
        "but {y} stands in front[ of it]",
        "but it is blocked by {y}",
    ),
    "drawer_closed": (
        "but the drawer is closed",
        "but (it|the drawer) is shut",
        "but it bumps against the closed drawer",
        "but it finds the drawer (closed|shut)",
    ),
    "drawer_full": (
        "but {y} is already inside",
        "but {y} (is inside|fills it)",
        "but it is full with {y}",
        "but {y} is already in (it|there)",
    ),
    "drawer_empty": (
        "but the drawer is empty",
        "but it is empty",
        "but nothing is inside",
        "but there is nothing (in it|inside)",
    ),
    "stays_upright": (
        "but it stays upright",
        "but it does not (tip|fall)",
        "but it only wobbles",
        "but it keeps standing",
    ),
    "slips_off": (
        "and it slips off {y}",
        "and it (falls|slides|tumbles) off {y}",
        "and it (falls|comes) down from {y}",
        "so that it falls off {y}",
    ),
}
HELDOUT_OUTCOMES: dict[str, tuple[str, ...]] = {
    "hands_full": ("but {y} is held already", "but {y} fills the hand"),
    "nothing_held": ("but nothing is held", "but the gripper is empty"),
    "covered": ("but {y} covers it", "but on top of it stands {y}"),
    "no_room": ("but {y} stands too close", "but next to {y} there is no room"),
    "falls_off": ("so that it falls off the edge", "and off the table it falls"),
    "topples": ("and off it falls {y}", "until {y} falls off it"),
    "rolls_away": ("and away it rolls", "until it rolls away"),
    "lands_on": ("and on {y} it lands", "and it stands on {y}"),
    "blocked": ("but in front of it stands {y}", "but {y} stops it"),
    "drawer_closed": ("but closed is the drawer", "but it hits the closed drawer"),
    "drawer_full": ("but inside is already {y}", "but {y} leaves no room inside"),
    "drawer_empty": ("but empty is the drawer", "but there it finds nothing"),
    "stays_upright": ("but it does not fall over", "but upright it stays"),
    "slips_off": ("and down from {y} it falls", "until it falls off {y}"),
}


def _bumps(what: str) -> tuple[str, ...]:
    return (
        f"and it bumps into {what}",
        f"until it (bumps into|hits|touches) {what}",
        f"and it (hits|runs into|knocks against) {what}",
        f"but {what} stops it",
    )


OUTCOMES["bumps"] = _bumps("{y}")
HELDOUT_OUTCOMES["bumps"] = ("and into {y} it bumps", "until {y} stops it")
for _thing in ("wall", "cabinet", "drawer", "rail"):
    OUTCOMES[f"bumps_{_thing}"] = _bumps(f"the {_thing}")
    HELDOUT_OUTCOMES[f"bumps_{_thing}"] = (
        f"and into the {_thing} it bumps",
        f"until the {_thing} stops it",
    )

SPECIAL: dict[tuple[str, str], tuple[str, ...]] = {
    ("stack_on", "slips_off"): (
        "but it slips off",
        "but it (falls|slides|tumbles) (off|down)",
        "but it does not stay there",
        "and it slips off",
    ),
    ("put_down", "bumps"): (
        "but it bumps into {y}",
        "but it (hits|knocks against) {y}",
        "but {y} is (below|in the way)",
        "but {y} is below it",
    ),
    ("tip_over", "bumps"): (
        "but it leans against {y}",
        "but it bumps into {y}",
        "but {y} (stops|holds) it",
        "but {y} is in the way",
    ),
    ("put_down", "bumps_drawer"): (
        "but it bumps into the drawer",
        "but it (hits|knocks against) the drawer",
        "but the drawer is (below|in the way)",
    ),
    ("open_drawer", "already"): (
        "but it is already open",
        "but the drawer is[ already] open",
        "but it is open",
    ),
    ("close_drawer", "already"): (
        "but it is already closed",
        "but it is already shut",
        "but the drawer is[ already] (closed|shut)",
    ),
    ("tip_over", "already"): (
        "but it is already lying",
        "but it already lies[ there]",
        "but it lies on its side",
    ),
    ("go_home", "already"): (
        "but it is already there",
        "but it is already (home|at home)",
        "but it is there",
    ),
    ("close_drawer", "with_object"): (
        "with {y} inside",
        "with {y} in it",
        "and (shuts|closes) {y} in",
        "and {y} stays inside",
    ),
    ("go_home", "with_object"): (
        "with {y}",
        "with {y} in its hand",
        "and (takes|carries) {y} along",
        "and carries {y} with it",
    ),
}
HELDOUT_SPECIAL: dict[tuple[str, str], tuple[str, ...]] = {
    ("stack_on", "slips_off"): ("but there it does not stay", "until it slips off"),
    ("put_down", "bumps"): ("but below is {y}",),
    ("tip_over", "bumps"): ("but against {y} it leans",),
    ("put_down", "bumps_drawer"): ("but below is the drawer",),
    ("open_drawer", "already"): ("but open it is already",),
    ("close_drawer", "already"): ("but closed it is already",),
    ("tip_over", "already"): ("but on its side it lies already",),
    ("go_home", "already"): ("but there it is already",),
    ("close_drawer", "with_object"): ("and inside stays {y}",),
    ("go_home", "with_object"): ("and along comes {y}",),
}
