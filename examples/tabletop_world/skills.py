"""What the robot can be asked to do, in words."""

from __future__ import annotations

from training.tabletop.actions import Action, Happening, happen, possible_actions
from training.tabletop.language import action_instruction, parse
from training.tabletop.names import ACTIONS, PUSHES
from training.tabletop.state import SceneState

OBJECT_ACTIONS = ("pick_up", "stack_on", "tip_over", *PUSHES)
"""These name an object; the others are about what is held, the drawer or the gripper."""


class SkillError(ValueError):
    """A text that the robot does not act on; the message says why."""


def skills(state: SceneState) -> tuple[Action, ...]:
    """Every skill with every object of the scene, whether or not it is possible now."""
    names = [o.name for o in state.objects]
    return tuple(
        Action(action, target)
        for action in ACTIONS
        for target in (names if action in OBJECT_ACTIONS else (None,))
    )


def skill_texts(state: SceneState) -> tuple[str, ...]:
    """The same in their plain wording."""
    return tuple(action_instruction(action) for action in skills(state))


def read_skill(text: str, state: SceneState) -> Action:
    """The action that a text asks for, in any wording of the world's language.

    Raises:
        SkillError: the text asks for nothing the robot can do, or names what is not there.
    """
    meaning = parse(text)
    if meaning is None or meaning.kind != "instruction":
        raise SkillError(f"{text!r} is no skill of this robot; the topic skills lists them")
    action = Action(meaning.action, meaning.target)
    if action not in skills(state):
        raise SkillError(f"{text!r} names an object that is not in this scene")
    return action


def attempt(state: SceneState, action: Action) -> Happening:
    """How the action goes, well or ill.

    Raises:
        SkillError: it makes no sense here, so that the robot does not even try.
    """
    if action not in possible_actions(state):
        raise SkillError(f"'{action_instruction(action)}' makes no sense in this scene")
    return happen(state, action)


def after(state: SceneState, action: Action) -> SceneState:
    """The scene once the robot was told to do this: the same one where that makes no sense."""
    try:
        return attempt(state, action).staged.motion.at(1.0)
    except SkillError:
        return state
