"""The planner in one process: the shipped model looks at a simulated table."""

from __future__ import annotations

import pytest

from examples.planner.offline import EngineMind, OfflineWorld
from examples.planner.sense import HOLDING, OPEN, QUESTIONS

TUNE_SEED = 4_200_000


@pytest.fixture(scope="module")
def world() -> OfflineWorld:
    found = OfflineWorld("")
    found.show(TUNE_SEED)
    return found


def test_what_is_done_is_seen_and_said(world: OfflineWorld) -> None:
    skills = world.arrive()
    assert world.do("dance") != ""
    assert world.seen() == ()
    before = world.truth()
    slide = "close the drawer" if before.drawer_is_open else "open the drawer"
    assert slide in skills
    assert world.do(slide) == ""
    assert any(world.seen())
    assert world.truth() != before or before.held >= 0


def test_the_mind_answers_as_the_node_does(world: OfflineWorld) -> None:
    mind, skills = EngineMind(world), world.arrive()
    foreseen = mind.foresee(skills)
    assert list(foreseen) == list(skills)
    assert all(text.startswith("the gripper") for text in foreseen.values())
    now, after = mind.believe(QUESTIONS, [(), (skills[0],)])
    assert set(now) == set(after) == {HOLDING, OPEN}
    assert (now[OPEN] > 0.5) == world.truth().drawer_is_open
    plans = [(one,) for one in skills[:3]] + [tuple(skills[:2])]
    found = mind.roll_out(foreseen[skills[0]], plans)
    assert {plan for plan, _, _ in found} == set(plans)
    assert found[0][0] == (skills[0],)
    assert mind.roll_out("nothing moves", []) == []


def test_another_scene_is_another_table(world: OfflineWorld) -> None:
    first = world.truth()
    assert world.show(TUNE_SEED + 1) != first
    with pytest.raises(RuntimeError, match="nothing was seen"):
        EngineMind(world).foresee(["go home"])
