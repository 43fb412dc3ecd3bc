"""The world's vocabulary: colours, shapes, actions, outcomes. Everything else is built on it."""

from __future__ import annotations

from typing import NamedTuple

WORLD_VERSION = 1
"""Raised whenever the world changes in meaning; all scores are then taken anew."""

COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan", "white", "black")
SHAPES = ("cube", "ball", "cylinder", "cone")

ACTIONS = (
    "pick_up",
    "put_down",
    "stack_on",
    "push_left",
    "push_right",
    "push_away",
    "push_near",
    "open_drawer",
    "close_drawer",
    "put_in_drawer",
    "take_out_of_drawer",
    "tip_over",
    "shake",
    "go_home",
)
IDLE = "idle"
PUSHES = ("push_left", "push_right", "push_away", "push_near")

OUTCOMES = (
    "success",
    "hands_full",  # other: what the gripper already holds
    "nothing_held",
    "covered",  # other: what stands on top
    "no_room",  # other: the neighbour that is too close
    "bumps",  # other: what is hit
    "bumps_wall",
    "bumps_cabinet",
    "bumps_drawer",
    "bumps_rail",
    "falls_off",
    "topples",  # other: what falls off the object
    "rolls_away",
    "slips_off",  # other: the object it slips off (none when the target says it)
    "lands_on",  # other: what it comes to stand on
    "already",
    "blocked",  # other: what stands in front of the drawer
    "drawer_closed",
    "drawer_full",  # other: what is inside
    "drawer_empty",
    "stays_upright",
    "with_object",  # other: what is carried home, or shut in with the drawer
)


class ObjectName(NamedTuple):
    """What an object is called: no two objects of a scene share colour and shape."""

    colour: str
    shape: str


ALL_OBJECTS = tuple(ObjectName(c, s) for c in COLOURS for s in SHAPES)

HELDOUT_OBJECTS = (
    ObjectName("red", "cone"),
    ObjectName("green", "ball"),
    ObjectName("blue", "cube"),
    ObjectName("yellow", "cylinder"),
    ObjectName("purple", "cube"),
    ObjectName("white", "ball"),
)
"""Colour-shape pairs that no scene and no sentence of the training split holds."""

TRAIN_OBJECTS = tuple(o for o in ALL_OBJECTS if o not in HELDOUT_OBJECTS)
