"""The tabletop without ROS: words to actions, time, pictures, the truth as text."""

from __future__ import annotations

import numpy as np
import pytest

from examples.tabletop_world.skills import SkillError, after, read_skill, skill_texts, skills
from examples.tabletop_world.table import Table
from examples.tabletop_world.truth import read_truth, write_truth
from training.tabletop.actions import Action, possible_actions
from training.tabletop.language import action_instruction

SEED = 4_000_018
"""A red cylinder and others, the drawer closed."""
SIZE_HW = (120, 160)


@pytest.fixture
def table() -> Table:
    return Table(SEED, "test")


def test_skills_are_every_action_with_every_object(table: Table) -> None:
    found = skills(table.rest)
    assert len(set(found)) == len(found) == 7 + 7 * len(table.rest.objects)
    assert set(possible_actions(table.rest)) <= set(found)
    assert "pick up the red cylinder" in table.skills


def test_every_wording_of_a_skill_is_understood(table: Table) -> None:
    rng = np.random.default_rng(0)
    for action, text in zip(skills(table.rest), skill_texts(table.rest), strict=True):
        assert read_skill(text, table.rest) == action
        assert read_skill(action_instruction(action, rng).upper() + ".", table.rest) == action


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no skill"),
        ("dance", "is no skill"),
        ("the gripper opens the drawer", "is no skill"),
        ("pick up the red cone", "not in this scene"),
        ("put the red cylinder in the drawer", "is no skill"),
    ],
)
def test_a_text_that_asks_for_nothing_here_is_refused(table: Table, text: str, reason: str) -> None:
    with pytest.raises(SkillError, match=reason):
        table.act(text, 0.0)
    assert not table.busy


def test_what_makes_no_sense_in_the_scene_is_refused_and_changes_nothing(table: Table) -> None:
    senseless = set(skills(table.rest)) - set(possible_actions(table.rest))
    assert senseless
    for action in senseless:
        with pytest.raises(SkillError, match="makes no sense"):
            table.act(action_instruction(action), 0.0)
        assert after(table.rest, action) == table.rest


def test_an_action_takes_its_time_and_ends_in_the_next_state(table: Table) -> None:
    start = table.rest
    table.act("open the drawer", 10.0)
    assert table.busy
    with pytest.raises(SkillError, match="under way"):
        table.act("open the drawer", 10.1)
    assert not table.advance(11.0)
    assert 0 < table.state(11.2).drawer < 1
    assert table.state(11.2).moving
    assert table.advance(13.0)
    assert not table.busy
    assert table.rest == after(start, Action("open_drawer"))
    assert not table.advance(14.0)


def test_pictures_show_the_scene_with_noise(table: Table) -> None:
    one, other = table.picture(0.0, SIZE_HW), table.picture(0.0, SIZE_HW)
    assert one.shape == (*SIZE_HW, 3)
    assert one.dtype == np.uint8
    still = np.abs(one.astype(int) - other).mean()
    assert 0 < still < 5
    table.act("open the drawer", 0.0)
    moved = np.abs(table.picture(1.5, SIZE_HW).astype(int) - other).mean()
    assert moved > 1.5 * still


def test_the_same_seed_puts_the_same_scene_on_the_table(table: Table) -> None:
    assert Table(SEED, "test").rest == table.rest
    assert Table(SEED + 1, "test").rest != table.rest


def test_the_truth_survives_being_written(table: Table) -> None:
    state = after(table.rest, Action("open_drawer"))
    assert read_truth(write_truth(SEED, state)) == (SEED, state)
