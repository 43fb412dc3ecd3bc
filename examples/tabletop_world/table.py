"""One scene, its camera, and the motion that is under way in it. Knows no ROS.

Times are seconds of any one clock, the same in all calls.
"""

from __future__ import annotations

import numpy as np

from examples.tabletop_world.skills import SkillError, attempt, read_skill, skill_texts
from training.tabletop.actions import Happening
from training.tabletop.render import sensor_noise
from training.tabletop.state import SceneState
from training.tabletop.world import Episode
from vljepa_ros.types import ImageHWC

NOISE = (0.5, 2.5)
"""Range of the camera's noise, in grey levels, as in the streams the model learns from."""
SLOWNESS = (0.9, 1.1)
"""Range of an action's duration, as a share of the usual one."""


class Table:
    """The scene of a seed, as in training, and what is done to it."""

    def __init__(self, seed: int, split: str) -> None:
        """
        Raises:
            ValueError: a negative seed or an unknown split.
        """
        self.seed = seed
        self._episode = Episode.generate(seed, split, max_actions=1)
        self._rng = np.random.default_rng(seed)
        self._noise = float(self._rng.uniform(*NOISE))
        self._rest = self._episode.state(0.0)
        self._under_way: tuple[Happening, float, float] | None = None

    @property
    def rest(self) -> SceneState:
        """The scene when last nothing moved."""
        return self._rest

    @property
    def busy(self) -> bool:
        """Whether an action is under way."""
        return self._under_way is not None

    @property
    def skills(self) -> tuple[str, ...]:
        """What the robot can be asked to do, in plain words."""
        return skill_texts(self._rest)

    def act(self, text: str, now_s: float) -> None:
        """Start what the text asks for.

        Raises:
            SkillError: it cannot be started; the message says why, and nothing moves.
        """
        if self.busy:
            raise SkillError("another action is under way; ask again when it has finished")
        happening = attempt(self._rest, read_skill(text, self._rest))
        length_s = happening.duration_s * float(self._rng.uniform(*SLOWNESS))
        self._under_way = happening, now_s, length_s

    def advance(self, now_s: float) -> bool:
        """Let time pass; True when the action under way has just come to its end."""
        if self._under_way is None:
            return False
        happening, onset_s, length_s = self._under_way
        if now_s < onset_s + length_s:
            return False
        self._rest = happening.staged.motion.at(1.0)
        self._under_way = None
        return True

    def state(self, now_s: float) -> SceneState:
        """The truth now."""
        if self._under_way is None:
            return self._rest
        happening, onset_s, length_s = self._under_way
        return happening.staged.motion.at(min(max((now_s - onset_s) / length_s, 0.0), 1.0))

    def picture(self, now_s: float, size_hw: tuple[int, int]) -> ImageHWC:
        """What the camera sees, with its noise."""
        episode = self._episode
        clean = episode.renderer.render(self.state(now_s), size_hw, episode.camera, episode.look)
        noisy: ImageHWC = sensor_noise(clean[None], self._rng, self._noise)[0]
        return noisy
