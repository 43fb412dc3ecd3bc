"""The true state of the scene as text, for who judges. A planner must not read it."""

from __future__ import annotations

import dataclasses
import json

from training.tabletop.names import ObjectName
from training.tabletop.state import GripperState, ObjectState, SceneState


def write_truth(seed: int, state: SceneState) -> str:
    """JSON of the scene and the seed it came from."""
    return json.dumps({"scene_seed": seed, "state": dataclasses.asdict(state)})


def read_truth(text: str) -> tuple[int, SceneState]:
    """What `write_truth` wrote, exactly."""
    truth = json.loads(text)
    fields = truth["state"]
    objects = tuple(ObjectState(**o | {"name": ObjectName(*o["name"])}) for o in fields["objects"])
    gripper, home = GripperState(**fields["gripper"]), tuple(fields["home"])
    state = SceneState(**fields | {"objects": objects, "gripper": gripper, "home": home})
    return int(truth["scene_seed"]), state
