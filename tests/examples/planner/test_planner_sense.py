"""What the planner reads off words."""

from __future__ import annotations

import pytest

from examples.planner.sense import (
    DOUBT,
    HOLDING,
    OPEN,
    apartness,
    came_off,
    comes_to_nothing,
    ends,
    fitness,
    handles_itself,
    hands_over,
    leaves,
    leaving,
    needs,
    related,
    shared_words,
    shows,
    tells,
    things,
    unmended,
)
from examples.tabletop_world.skills import skill_texts
from training.tabletop.world import Episode

KNOWN = frozenset({"red cube", "blue cube", "green cone"})


@pytest.mark.parametrize(
    ("skill", "wanted"),
    [
        ("pick up the red cube", {HOLDING: False}),
        ("push the red cube to the left", {HOLDING: False}),
        ("stack what you hold on the red cube", {HOLDING: True}),
        ("put what you hold in the drawer", {HOLDING: True, OPEN: True}),
        ("take the object out of the drawer", {HOLDING: False, OPEN: True}),
        ("open the drawer", {HOLDING: False, OPEN: False}),
        ("close the drawer", {HOLDING: False, OPEN: True}),
        ("go home", {}),
    ],
)
def test_what_a_skill_needs(skill: str, wanted: dict[str, bool]) -> None:
    assert needs(skill) == wanted


def test_a_skill_fits_while_its_needs_are_rather_met_than_not() -> None:
    assert fitness("shake what you hold", {HOLDING: 0.6}) == 1.0
    assert fitness("shake what you hold", {HOLDING: 0.25}) == pytest.approx(0.5)
    assert fitness("shake what you hold", {HOLDING: 0.0}) == DOUBT


def test_what_is_held_is_left_alone_by_name() -> None:
    held = {"red cube": 0.8, "blue cube": 0.1}
    assert apartness("stack what you hold on the red cube", held) == pytest.approx(0.2)
    assert apartness("put down what you hold", held) == 1.0


def test_what_was_taken_is_not_put_on_itself() -> None:
    take, put = "pick up the red cube", "stack what you hold on the {}"
    assert handles_itself((take, put.format("red cube")), KNOWN)
    assert handles_itself((take, "go home", put.format("red cube")), KNOWN)
    assert not handles_itself((take, put.format("blue cube")), KNOWN)
    assert not handles_itself((take, "put down what you hold", put.format("red cube")), KNOWN)


def test_what_a_skill_leaves_behind() -> None:
    assert leaves("pick up the red cube") == {HOLDING: True}
    assert leaves("put what you hold in the drawer") == {HOLDING: False}
    assert leaves("close the drawer") == {OPEN: False}
    assert leaves("shake what you hold") == {}
    after = leaving("stack what you hold on the red cube", {HOLDING: 0.9, OPEN: 0.8})
    assert after == {HOLDING: DOUBT, OPEN: 0.8}


def test_the_goals_own_thing_is_what_is_handed_over() -> None:
    goal, put = "the gripper stacks the red cube on the blue cube", "stack what you hold on the {}"
    on_blue = put.format("blue cube")
    assert hands_over(("pick up the red cube", on_blue), goal, {}, KNOWN) == 1.0
    assert hands_over(("pick up the green cone", on_blue), goal, {}, KNOWN) == 0.0
    assert hands_over(("take the object out of the drawer", on_blue), goal, {}, KNOWN) == 1.0
    held = {"red cube": 0.6, "green cone": 0.2}
    assert hands_over((on_blue,), goal, held, KNOWN) == pytest.approx(0.75)
    assert hands_over(("pick up the green cone",), goal, held, KNOWN) == 1.0


def test_the_last_word_on_a_skill_says_whether_it_came_off() -> None:
    failed, worked = "the gripper tries to push the red cube away but", "the gripper pushes it away"
    assert came_off("push the red cube away", [failed, worked, "nothing moves"]) is True
    assert came_off("push the red cube away", [worked, failed, "the gripper goes home"]) is False
    assert came_off("push the red cube away", ["nothing moves"]) is None


def test_things_are_what_several_skills_speak_of() -> None:
    state = Episode.generate(4_200_000, "test", max_actions=1).state(0.0)
    names = {f"{o.name.colour} {o.name.shape}" for o in state.objects}
    assert things(skill_texts(state)) == names


def test_an_outcome_that_names_a_thing_twice_is_none() -> None:
    assert comes_to_nothing("the gripper stacks the red cube on the red cube")
    assert comes_to_nothing("the gripper tries to open the drawer but it is already open")
    assert not comes_to_nothing("the gripper stacks the red cube on the blue cube")


def test_what_hinders_matters_and_what_hinders_that() -> None:
    foreseen = {
        "pick up the red cube": "the gripper tries to but the blue cube stands on top",
        "pick up the blue cube": "the gripper tries to but the green cone is too close",
        "push the green cone away": "the gripper pushes the green cone away",
    }
    goal = "the gripper picks up the red cube"
    assert related(goal, foreseen, KNOWN) == KNOWN
    del foreseen["pick up the red cube"]
    assert related(goal, foreseen, KNOWN) == {"red cube"}


def test_the_last_step_acts_on_what_the_goal_names_last() -> None:
    goal = "the gripper stacks the red cube on the blue cube"
    assert ends("stack what you hold on the blue cube", goal, KNOWN)
    assert not ends("stack what you hold on the red cube", goal, KNOWN)
    assert ends("put what you hold in the drawer", "the gripper puts the red cube in it", KNOWN)


def test_words_are_shared_with_whatever_endings() -> None:
    goal = "the gripper takes the red cube out of the drawer"
    assert shared_words("take the object out of the drawer", goal, KNOWN) == 6
    assert shared_words("pick up the red cube", goal, KNOWN) == 1


def test_a_goal_is_told_by_what_was_said_and_done() -> None:
    goal = "the gripper stacks the red cube on the blue cube"
    said = "the robot puts the blue cube on top of the red cube"
    done = "stack what you hold on the {}"
    assert tells(goal, ["nothing moves", said], done.format("blue cube"), KNOWN) == [said]
    assert tells(goal, [said], done.format("red cube"), KNOWN) == []
    other = "the gripper stacks the green cone on the blue cube"
    assert tells(goal, [other], done.format("blue cube"), KNOWN) == []


def test_whose_colour_was_whose_does_not_count_in_the_last_word_on_it() -> None:
    known = KNOWN | {"red cone"}
    goal, done = "the gripper stacks the red cone on the blue cube", "stack it on the blue cube"
    swapped = "the gripper stacks the blue cone on the red cube"
    fell = "the gripper stacks the red cube on the blue cube but it slips off"
    assert tells(goal, [swapped, "nothing moves"], done, known) == [swapped]
    assert tells(goal, [swapped, fell], done, known) == []


def test_what_a_skill_leaves_behind_shows_where_it_was_not_before() -> None:
    pick, empty, full = "pick up the red cube", {HOLDING: 0.1}, {HOLDING: 0.9}
    assert shows(pick, empty, full)
    assert not shows(pick, full, full)
    assert not shows(pick, empty, empty)
    assert not shows("go home", empty, full)


def test_what_is_in_the_way_is_not_mended_by_something_else() -> None:
    pick, close = "pick up the red cube", "close the drawer"
    foreseen = {pick: "the gripper tries to pick up the red cube but the blue cube stands on top"}
    assert unmended((close, pick), {HOLDING: 0.0}, foreseen)
    assert not unmended(("push the blue cube away", pick), {HOLDING: 0.0}, foreseen)
    assert not unmended((close, pick), {HOLDING: 1.0}, foreseen)
    assert not unmended((close, pick), {HOLDING: 0.0}, {pick: "the gripper picks up the red cube"})
