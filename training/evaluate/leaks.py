"""Whether a scene that is asked about was trained on; the last line is one JSON object.

    python -m training.evaluate.leaks --seed 5000000 --episodes 3000

Streams are compared by what they show: a hash of how everything stands and lies before each
action, to a whole pixel, whatever camera and light. Pictures would not do: each has noise
of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

from jsonargparse import auto_cli

from training.tabletop.splits import TEST_SEEDS, TRAIN_SEEDS
from training.tabletop.state import SceneState
from training.tabletop.world import Episode
from vljepa_ros.config import ConfigError

TRAINED = ((0, 5_700), (10_000, 13_200))
"""Seeds of the streams of which `models/tabletop` saw any, first and end (its card says when)."""


def digest(state: SceneState) -> str:
    """A hash of what a scene shows."""
    things = sorted(
        (o.name.colour, o.name.shape, o.place, round(o.x), round(o.y)) for o in state.objects
    )
    hand = (round(state.gripper.x), round(state.gripper.y), round(state.gripper.open, 1))
    said = json.dumps([things, hand, round(state.drawer, 1)])
    return hashlib.sha256(said.encode()).hexdigest()


def scenes(seeds: Iterable[int], split: str) -> Iterator[str]:
    """Of each still stretch of these streams, without a picture."""
    for seed in seeds:
        for segment in Episode.generate(seed, split).segments:
            if segment.action is None:
                yield digest(segment.motion.start)


def main(
    seed: int = TEST_SEEDS.start,
    episodes: int = 60,
    split: str = "test",
    trained: tuple[tuple[int, int], ...] = TRAINED,
) -> None:
    """Compare, and print how many scenes are equal.

    Args:
        trained: first seeds and ends of the streams that were trained on.

    Raises:
        ConfigError: seeds that were trained on do not belong to training.
    """
    for first, end in trained:
        if first not in TRAIN_SEEDS or end - 1 not in TRAIN_SEEDS:
            raise ConfigError(f"streams {first} to {end - 1} are no training streams")
    seeds = [seed_ for first, end in trained for seed_ in range(first, end)]
    known = set(scenes(seeds, "train"))
    asked = list(scenes(range(seed, seed + episodes), split))
    said = {"seed": seed, "split": split, "streams": episodes, "scenes": len(asked)}
    said |= {"trained_streams": len(seeds), "trained_scenes": len(known)}
    print(json.dumps(said | {"scenes_trained_on": sum(scene in known for scene in asked)}))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
