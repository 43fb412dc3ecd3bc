"""Every outcome of the world from a scene built by hand for it, and the scene afterwards."""

from __future__ import annotations

import pytest

from training.tabletop.actions import Action, next_state, possible_actions
from training.tabletop.catalogue import OUTCOMES_OF, names_other
from training.tabletop.names import ACTIONS, ObjectName
from training.tabletop.state import (
    CONTENT_BACK,
    CONTENT_Z,
    DRAWER_X,
    HOVER_Z,
    GripperState,
    ObjectState,
    SceneState,
    drawer_front_y,
)


def thing(words: str, x: float, y: float, lying: bool = False) -> ObjectState:
    return ObjectState(ObjectName(*words.split()), x, y, tilt=float(lying))


def scene(
    *objects: ObjectState, drawer: float = 0.0, at: tuple[float, float] = (30, 60)
) -> SceneState:
    return SceneState(objects, GripperState(*at, HOVER_Z, 0.5), drawer, home=(50.0, 45.0))


def on_top(words: str, base: ObjectState, index: int) -> ObjectState:
    return ObjectState(ObjectName(*words.split()), base.x, base.y, base.top, "object", index)


def inside(words: str, drawer: float) -> ObjectState:
    y = drawer_front_y(drawer) - CONTENT_BACK
    return ObjectState(ObjectName(*words.split()), DRAWER_X, y, CONTENT_Z, "drawer")


def holding(
    words: str, *others: ObjectState, drawer: float = 0.0, at: tuple[float, float] = (30, 60)
) -> SceneState:
    held = ObjectState(ObjectName(*words.split()), *at, place="held")
    held = ObjectState(held.name, *at, HOVER_Z - held.grip_z, "held")
    return scene(held, *others, drawer=drawer, at=at)


RED, BLUE = thing("red cube", 45, 60), thing("blue cube", 45, 60)
BASE = thing("blue cylinder", 45, 60)

CASES = [
    # pick_up
    (scene(RED), "pick_up", "red cube", "success", None),
    (holding("green cone", RED), "pick_up", "red cube", "hands_full", "green cone"),
    (scene(BASE, on_top("red cube", BASE, 0)), "pick_up", "blue cylinder", "covered", "red cube"),
    (scene(RED, thing("blue ball", 65, 62)), "pick_up", "red cube", "no_room", "blue ball"),
    (scene(RED, thing("blue ball", 71, 62)), "pick_up", "red cube", "success", None),
    # put_down
    (holding("red cube"), "put_down", None, "success", None),
    (scene(RED), "put_down", None, "nothing_held", None),
    (holding("red cube", thing("blue ball", 42, 60)), "put_down", None, "bumps", "blue ball"),
    (holding("red cube", thing("blue cube", 32, 61)), "put_down", None, "lands_on", "blue cube"),
    (holding("red cube", thing("blue cone", 32, 61)), "put_down", None, "slips_off", "blue cone"),
    (holding("red cube", drawer=1.0, at=(77, 62)), "put_down", None, "bumps_drawer", None),
    # stack_on
    (holding("red cube", BASE), "stack_on", "blue cylinder", "success", None),
    (holding("red ball", BASE), "stack_on", "blue cylinder", "slips_off", None),
    (holding("red cube", thing("blue cone", 45, 60)), "stack_on", "blue cone", "slips_off", None),
    (
        holding("red cube", thing("blue cylinder", 45, 60, True)),
        "stack_on",
        "blue cylinder",
        "slips_off",
        None,
    ),
    (scene(BASE), "stack_on", "blue cylinder", "nothing_held", None),
    (
        holding("red cube", BASE, on_top("cyan cone", BASE, 1)),
        "stack_on",
        "blue cylinder",
        "covered",
        "cyan cone",
    ),
    # pushes
    (scene(RED), "push_left", "red cube", "success", None),
    (scene(thing("red cube", 20, 60)), "push_left", "red cube", "falls_off", None),
    (scene(thing("red ball", 70, 66)), "push_left", "red ball", "rolls_away", None),
    (scene(RED, thing("blue cone", 20, 62)), "push_left", "red cube", "bumps", "blue cone"),
    (scene(RED, thing("blue cone", 66, 62)), "push_left", "red cube", "no_room", "blue cone"),
    (holding("green cone", RED), "push_left", "red cube", "hands_full", "green cone"),
    (scene(BASE, on_top("red cube", BASE, 0)), "push_left", "blue cylinder", "topples", "red cube"),
    (
        scene(BASE, on_top("red cube", BASE, 0)),
        "push_left",
        "red cube",
        "slips_off",
        "blue cylinder",
    ),
    (scene(thing("red cube", 45, 46)), "push_right", "red cube", "bumps_cabinet", None),
    (scene(thing("red cube", 45, 62), drawer=1.0), "push_right", "red cube", "bumps_drawer", None),
    (scene(thing("red cube", 72, 70)), "push_right", "red cube", "bumps_rail", None),
    (scene(thing("red cube", 45, 43)), "push_away", "red cube", "bumps_wall", None),
    (scene(thing("red cube", 77, 62)), "push_away", "red cube", "bumps_cabinet", None),
    (scene(thing("red cube", 77, 78), drawer=1.0), "push_away", "red cube", "bumps_drawer", None),
    (scene(thing("red cylinder", 45, 75, True)), "push_away", "red cylinder", "rolls_away", None),
    (scene(thing("red cylinder", 45, 70)), "push_away", "red cylinder", "success", None),
    (scene(thing("red cube", 45, 75)), "push_near", "red cube", "falls_off", None),
    (
        scene(thing("red cube", 45, 50), thing("blue cone", 48, 66)),
        "push_near",
        "red cube",
        "bumps",
        "blue cone",
    ),
    # tip_over
    (scene(thing("red cone", 45, 60)), "tip_over", "red cone", "success", None),
    (scene(RED), "tip_over", "red cube", "stays_upright", None),
    (scene(thing("red cone", 45, 60, True)), "tip_over", "red cone", "already", None),
    (
        scene(thing("red cone", 45, 60), thing("blue ball", 23, 61)),
        "tip_over",
        "red cone",
        "bumps",
        "blue ball",
    ),
    (
        scene(thing("red cone", 45, 60), thing("blue ball", 66, 61)),
        "tip_over",
        "red cone",
        "no_room",
        "blue ball",
    ),
    (scene(BASE, on_top("red cube", BASE, 0)), "tip_over", "blue cylinder", "topples", "red cube"),
    # the drawer
    (scene(RED), "open_drawer", None, "success", None),
    (scene(RED, drawer=1.0), "open_drawer", None, "already", None),
    (scene(thing("red cube", 70, 66)), "open_drawer", None, "blocked", "red cube"),
    (holding("red cube"), "open_drawer", None, "hands_full", "red cube"),
    (scene(RED, drawer=1.0), "close_drawer", None, "success", None),
    (scene(inside("red ball", 1.0), drawer=1.0), "close_drawer", None, "with_object", "red ball"),
    (scene(RED), "close_drawer", None, "already", None),
    (holding("red cube", drawer=1.0), "close_drawer", None, "hands_full", "red cube"),
    (holding("red cube", drawer=1.0), "put_in_drawer", None, "success", None),
    (holding("red cube"), "put_in_drawer", None, "drawer_closed", None),
    (
        holding("red cube", inside("blue ball", 1.0), drawer=1.0),
        "put_in_drawer",
        None,
        "drawer_full",
        "blue ball",
    ),
    (scene(RED, drawer=1.0), "put_in_drawer", None, "nothing_held", None),
    (scene(inside("red ball", 1.0), drawer=1.0), "take_out_of_drawer", None, "success", "red ball"),
    (scene(inside("red ball", 0.0)), "take_out_of_drawer", None, "drawer_closed", None),
    (scene(RED, drawer=1.0), "take_out_of_drawer", None, "drawer_empty", None),
    (holding("red cube", drawer=1.0), "take_out_of_drawer", None, "hands_full", "red cube"),
    # the gripper alone
    (holding("red cube"), "shake", None, "success", None),
    (scene(RED), "shake", None, "nothing_held", None),
    (scene(RED), "go_home", None, "success", None),
    (scene(RED, at=(50, 45)), "go_home", None, "already", None),
    (holding("red cube"), "go_home", None, "with_object", "red cube"),
]


def act(state: SceneState, name: str, target: str | None) -> tuple[SceneState, str, str | None]:
    after, result = next_state(state, Action(name, ObjectName(*target.split()) if target else None))
    other = " ".join(state.objects[result.other].name) if result.other >= 0 else None
    return after, result.outcome, other


@pytest.mark.parametrize(
    ("state", "name", "target", "outcome", "other"),
    CASES,
    ids=[f"{c[1]}-{c[3]}-{i}" for i, c in enumerate(CASES)],
)
def test_outcome(
    state: SceneState, name: str, target: str | None, outcome: str, other: str | None
) -> None:
    after, came, whom = act(state, name, target)
    assert (came, whom) == (outcome, other)
    assert after.gripper.z == pytest.approx(HOVER_Z)
    assert not after.moving
    assert len([o for o in after.objects if o.place == "held"]) <= 1


def test_cases_cover_every_action_and_ten_kinds_of_failure() -> None:
    assert {case[1] for case in CASES} == set(ACTIONS)
    assert len({case[3] for case in CASES} - {"success"}) >= 10
    for _, name, _, outcome, other in CASES:
        assert outcome in OUTCOMES_OF[name]
        taken_out = (name, outcome) == ("take_out_of_drawer", "success")
        assert taken_out or names_other(name, outcome) == (other is not None)


def test_pushed_object_moves_its_way_and_stops_at_what_it_hits() -> None:
    free, _, _ = act(scene(RED), "push_left", "red cube")
    assert free.objects[0].x == pytest.approx(45 - 18)
    blocked, _, _ = act(scene(RED, thing("blue cone", 20, 62)), "push_left", "red cube")
    assert blocked.objects[0].x == pytest.approx(20 + 19)
    assert blocked.objects[1].x == 20


def test_what_falls_off_is_gone_and_what_topples_lies_on_the_table() -> None:
    fallen, _, _ = act(scene(thing("red cube", 20, 60)), "push_left", "red cube")
    assert fallen.objects[0].place == "gone"
    assert fallen.visible() == ()
    toppled, _, _ = act(scene(BASE, on_top("red cone", BASE, 0)), "push_left", "blue cylinder")
    cone = toppled.objects[1]
    assert (cone.place, cone.on, cone.z, cone.lying) == ("table", -1, 0.0, True)
    assert toppled.objects[0].x == pytest.approx(BASE.x)


def test_held_object_follows_and_comes_to_stand_where_it_is_put() -> None:
    picked, _, _ = act(scene(RED, thing("blue ball", 75, 70)), "pick_up", "red cube")
    assert picked.held == 0
    assert picked.objects[0].z > 10
    carried, _, _ = act(picked, "go_home", None)
    assert (carried.objects[0].x, carried.objects[0].y) == pytest.approx((50, 45))
    stacked, outcome, _ = act(holding("red cube", BASE), "stack_on", "blue cylinder")
    assert outcome == "success"
    top = stacked.objects[0]
    assert (top.place, top.on, top.x, top.z) == ("object", 1, BASE.x, BASE.top)
    assert stacked.held == -1


def test_content_goes_with_the_drawer_and_is_hidden_when_it_is_shut() -> None:
    opened = scene(RED, inside("green ball", 1.0), drawer=1.0)
    closed, _, _ = act(opened, "close_drawer", None)
    assert closed.objects[1].y == pytest.approx(opened.objects[1].y - 20)
    assert closed.visible() == (0,)
    again, _, _ = act(closed, "open_drawer", None)
    assert again.objects[1].y == pytest.approx(opened.objects[1].y)
    assert again.visible() == (0, 1)


def test_next_state_is_pure_and_says_what_cannot_be_tried() -> None:
    state = scene(RED, thing("blue ball", 20, 50))
    before = repr(state)
    for action in possible_actions(state):
        assert next_state(state, action)[0] == next_state(state, action)[0]
    assert repr(state) == before
    with pytest.raises(ValueError, match="no green cone in the scene"):
        next_state(state, Action("pick_up", ObjectName("green", "cone")))
    with pytest.raises(ValueError, match="possible_actions"):
        next_state(state, Action("tip_over", ObjectName("blue", "ball")))


@pytest.mark.parametrize(
    ("gap", "ambiguous", "outcome"),
    [
        (22.0, False, "no_room"),
        (24.2, True, "no_room"),
        (24.9, True, "success"),
        (27.0, False, "success"),
    ],
)
def test_outcomes_near_their_threshold_are_ambiguous(
    gap: float, ambiguous: bool, outcome: str
) -> None:
    state = scene(RED, thing("blue ball", 45 + gap, 60))
    _, result = next_state(state, Action("pick_up", ObjectName("red", "cube")))
    assert (result.outcome, result.ambiguous) == (outcome, ambiguous)
