"""Which actions change what there is to say about a scene, and which leave it as it is."""

from __future__ import annotations

from training.tabletop.actions import Action, next_state, possible
from training.tabletop.meaning import scene_meaning
from training.tabletop.state import SceneState


def by_effect(state: SceneState) -> dict[bool, list[tuple[Action, SceneState]]]:
    """Actions and the scenes after them, by whether the scene's caption is another one then.

    What is too close to call is left out, and so are scenes without a caption.
    """
    before = scene_meaning(state)
    groups: dict[bool, list[tuple[Action, SceneState]]] = {True: [], False: []}
    for action, result in possible(state):
        scene = next_state(state, action)[0]
        after = scene_meaning(scene)
        if before is not None and after is not None and not result.ambiguous:
            groups[after != before].append((action, scene))
    return groups
