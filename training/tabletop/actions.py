"""Actions and what they lead to: ⟨state, action⟩ → next state."""

from __future__ import annotations

from dataclasses import dataclass

from training.tabletop.choreography import Staged, stage
from training.tabletop.contact import Result
from training.tabletop.names import ACTIONS, PUSHES, ObjectName
from training.tabletop.physics import resolve
from training.tabletop.state import SceneState

DURATIONS_S = {
    "pick_up": 2.2,
    "put_down": 1.8,
    "stack_on": 2.2,
    "push_left": 2.1,
    "push_right": 2.1,
    "push_away": 2.1,
    "push_near": 2.1,
    "open_drawer": 2.2,
    "close_drawer": 2.1,
    "put_in_drawer": 2.3,
    "take_out_of_drawer": 2.4,
    "tip_over": 2.1,
    "shake": 1.8,
    "go_home": 1.7,
}
"""At normal speed; an episode's actions take 0.9 to 1.1 of it."""


@dataclass(frozen=True)
class Action:
    """One thing the robot is told to do. `target`: the object it is done to (None: what is held,
    the drawer, or the gripper itself)."""

    name: str
    target: ObjectName | None = None


@dataclass(frozen=True, eq=False)
class Happening:
    """An action in a scene: how it goes and what comes of it."""

    action: Action
    result: Result
    staged: Staged

    @property
    def duration_s(self) -> float:
        return DURATIONS_S[self.action.name]

    @property
    def outcome(self) -> str:
        return self.result.outcome


def index_of(state: SceneState, name: ObjectName | None) -> int:
    """Index of the object of that name, -1 for None.

    Raises:
        ValueError: no object of the scene is called that.
    """
    if name is None:
        return -1
    for i, o in enumerate(state.objects):
        if o.name == name:
            return i
    raise ValueError(f"no {name.colour} {name.shape} in the scene; name one of its objects")


def happen(state: SceneState, action: Action) -> Happening:
    """Play out `action` in `state`.

    Raises:
        ValueError: the action makes no sense in this scene; see `possible_actions`.
    """
    target = index_of(state, action.target)
    result = resolve(state, action.name, target)
    if result is None:
        raise ValueError(f"{action} cannot be tried in this scene; take one of possible_actions()")
    return Happening(action, result, stage(state, action.name, target, result))


def next_state(state: SceneState, action: Action) -> tuple[SceneState, Result]:
    """The scene after `action`, and how it went. Pure.

    Raises:
        ValueError: as `happen`.
    """
    happening = happen(state, action)
    return happening.staged.motion.at(1.0), happening.result


def possible(state: SceneState) -> list[tuple[Action, Result]]:
    """Every action that can be tried here with its outcome, well or ill."""
    found = []
    for name in ACTIONS:
        for target in _targets(state, name):
            result = resolve(state, name, target)
            if result is not None:
                object_name = state.objects[target].name if target >= 0 else None
                found.append((Action(name, object_name), result))
    return found


def possible_actions(state: SceneState) -> tuple[Action, ...]:
    """Every action that can be tried here, well or ill."""
    return tuple(action for action, _ in possible(state))


def _targets(state: SceneState, name: str) -> tuple[int, ...]:
    if name in ("pick_up", "stack_on", "tip_over", *PUSHES):
        return tuple(i for i, o in enumerate(state.objects) if o.place in ("table", "object"))
    return (-1,)
