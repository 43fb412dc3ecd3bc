"""Windows of cached streams: clips and what is true at their newest frame, for each task.

Shapes: T tubelets of a clip, N tokens, D token width, F frames of a tubelet, L dense labels of
G x G cells. A clip is tokens (T, N, D), or pixels (T, F, C, H, W) for an X-encoder that learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.tabletop.actions import possible
from training.tabletop.cache import CROP_PX, DIRECT_SIZE_HW, RATE_HZ, CachedEpisode, FrameCache
from training.tabletop.grounding import LABELS, LabelsLGG, labels_of
from training.tabletop.rarity import RARE, RARE_ACTIONS
from training.tabletop.render import SLIGHT_NOISE, sensor_noise
from training.tabletop.tasks import EASY_OUTCOMES, IDLE_SHARE
from training.tabletop.windows import WindowTruth, still_truth, truth
from training.tabletop.world import Action, Episode, SceneState, Segment
from vljepa_ros.model.preprocessing import resize_crop_uint8

UNDECIDED_SHARE = 0.3
"""Windows whose outcome cannot be seen yet are kept this often: the stream shows them too."""
Clip = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Window:
    """A clip, what is true at its newest frame and what lies where in it."""

    clip_T: Clip
    truth: WindowTruth
    labels_LGG: LabelsLGG
    stream: int
    """Seed of the stream it is from."""


@dataclass(frozen=True, eq=False)
class Before:
    """A clip that ends while nothing moves: somebody could ask what an action would do."""

    clip_T: Clip
    truth: WindowTruth
    labels_LGG: LabelsLGG
    stream: int
    """Seed of the stream it is from."""

    @property
    def state(self) -> SceneState:
        return self.truth.state


@dataclass(frozen=True, eq=False)
class Step:
    """An action of a stream between two stretches in which nothing moves."""

    before: Before
    action: Action
    after: Clip
    """The last tubelet of a still moment after it."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A still scene that no stream shows, as a stream's camera would see it."""

    pixels_FCHW: npt.NDArray[np.uint8]
    truth: WindowTruth
    labels_LGG: LabelsLGG


class Windows:
    """Random windows of cached streams that suit a task."""

    def __init__(
        self,
        cache: FrameCache,
        episodes: Sequence[CachedEpisode],
        tubelets: int,
        pixels: bool = False,
    ) -> None:
        """`pixels`: clips of pixels instead of tokens."""
        self._cache = cache
        self.pixels = pixels
        self._episodes = [e for e in episodes if e.count // 2 >= tubelets]
        self._tubelets = tubelets
        self._worlds: dict[int, Episode] = {}
        self._tubelets_of: dict[int, Clip] = {}
        self._labels: dict[int, npt.NDArray[np.uint8]] = {}

    @property
    def grid(self) -> int:
        """Cells of a side of the dense labels."""
        return self._cache.grid

    def draw(self, task: str, rng: np.random.Generator) -> Window:
        while True:
            cached = self._any(rng)
            last = int(rng.integers(self._tubelets, cached.count // 2 + 1))
            window = Window(
                self._clip(cached, last),
                self._truth(cached, last),
                self._labels[cached.seed][last - 1],
                cached.seed,
            )
            if _suits(window.truth, task, rng):
                return window

    def draw_before(self, rng: np.random.Generator) -> Before:
        """A random still moment."""
        while True:
            cached = self._any(rng)
            idle = [s for s in self._worlds[cached.seed].segments if s.action is None]
            lasts = self._still(cached, idle[int(rng.integers(len(idle)))])
            if len(lasts):
                return self._before(cached, lasts[int(rng.integers(len(lasts)))])

    def draw_rare(self, rng: np.random.Generator) -> tuple[Before, Action] | None:
        """A still moment and an action that can have a rare outcome, whatever it has there.

        All its outcomes alike often, but the easy ones: with the rare ones alone the others would
        be unlearnt. None where no stream has a rare one.
        """
        if not self._rare:
            return None
        moments = self._rare[int(rng.integers(len(self._rare)))]
        cached, idle, action = moments[int(rng.integers(len(moments)))]
        lasts = self._still(self._opened(cached), idle)
        return self._before(cached, lasts[int(rng.integers(len(lasts)))]), action

    def draw_step(self, rng: np.random.Generator) -> Step:
        """A random action whose outcome is clear, with still moments on both sides."""
        while True:
            cached = self._any(rng)
            steps = list(self._steps(cached))
            if steps:
                before, acted, after = steps[int(rng.integers(len(steps)))]
                first = before[int(rng.integers(len(before)))]
                last = after[int(rng.integers(len(after)))]
                assert acted.action is not None
                return Step(
                    self._before(cached, first),
                    acted.action,
                    self._tubelets_of[cached.seed][last - 1],
                )

    def scene(self, state: SceneState, stream: int, rng: np.random.Generator) -> Scene:
        """What a stream's camera would see of a scene: one tubelet, with slight noise."""
        world = self._worlds[stream]
        image_HWC = world.renderer.render(state, DIRECT_SIZE_HW, world.camera, world.look)
        frames = sensor_noise(np.stack([image_HWC] * 2), rng, float(rng.uniform(*SLIGHT_NOISE)))
        pixels_FCHW = resize_crop_uint8(frames, CROP_PX).numpy()
        return Scene(pixels_FCHW, still_truth(state), self.labels_of(state, stream))

    def labels_of(self, state: SceneState, stream: int) -> LabelsLGG:
        """What would lie where in a scene that a stream does not show."""
        return labels_of(state, self._worlds[stream], CROP_PX, self._cache.grid)

    @cached_property
    def _rare(self) -> list[list[tuple[CachedEpisode, Segment, Action]]]:
        """For each outcome: where it can be had. Four seconds for 1,000 streams, and all at once: a
        batch is to depend on no other that was drawn before."""
        found: dict[tuple[str, str], list[tuple[CachedEpisode, Segment, Action]]] = {}
        for cached in self._episodes:
            for idle in self._world(cached).segments:
                if idle.action is not None or not len(self._still(cached, idle)):
                    continue
                for action, result in possible(idle.state(idle.onset_s)):
                    easy = result.ambiguous or result.outcome in EASY_OUTCOMES
                    if action.name in RARE_ACTIONS and not easy:
                        pair = (action.name, result.outcome)
                        found.setdefault(pair, []).append((cached, idle, action))
        return [found[pair] for pair in sorted(found)] if found.keys() & RARE else []

    def _any(self, rng: np.random.Generator) -> CachedEpisode:
        return self._opened(self._episodes[int(rng.integers(len(self._episodes)))])

    def _opened(self, cached: CachedEpisode) -> CachedEpisode:
        if cached.seed not in self._tubelets_of:
            self._world(cached)
            self._read(cached)
        return cached

    def _world(self, cached: CachedEpisode) -> Episode:
        if cached.seed not in self._worlds:
            self._worlds[cached.seed] = cached.episode()
        return self._worlds[cached.seed]

    def _read(self, cached: CachedEpisode) -> None:
        """Copy an episode's tokens and labels: small random reads of a mapped file are slow.

        Pixels stay in the file: they are too many.
        """
        shard = self._cache.shards[cached.shard]
        first = cached.start // 2
        if self.pixels:
            frames = shard.arrays["frames"][cached.start : cached.start + cached.count]
            self._tubelets_of[cached.seed] = frames.reshape(-1, 2, *frames.shape[1:])
        else:
            tokens = shard.tokens[first : first + cached.count // 2]
            self._tubelets_of[cached.seed] = np.array(tokens)
        newest = slice(cached.start + 1, cached.start + cached.count, 2)
        labels = [shard.arrays[name][newest] for name in LABELS]
        self._labels[cached.seed] = np.stack(labels, axis=1).astype(np.uint8)

    def _clip(self, cached: CachedEpisode, last: int) -> Clip:
        """The clip that ends with tubelet `last` - 1."""
        return self._tubelets_of[cached.seed][last - self._tubelets : last]

    def _truth(self, cached: CachedEpisode, last: int) -> WindowTruth:
        end_s = cached.first_s + (2 * last - 1) / RATE_HZ
        return truth(self._worlds[cached.seed], end_s)

    def _before(self, cached: CachedEpisode, last: int) -> Before:
        labels_LGG = self._labels[cached.seed][last - 1]
        return Before(self._clip(cached, last), self._truth(cached, last), labels_LGG, cached.seed)

    def _still(self, cached: CachedEpisode, idle: Segment) -> range:
        """Ends of the clips whose last tubelet lies inside this stretch."""
        first = np.ceil((idle.onset_s - cached.first_s) * RATE_HZ / 2 + 1)
        last = np.floor(((idle.end_s - cached.first_s) * RATE_HZ + 1) / 2)
        return range(max(self._tubelets, int(first)), min(cached.count // 2, int(last)) + 1)

    def _steps(self, cached: CachedEpisode) -> Iterator[tuple[range, Segment, range]]:
        segments = self._worlds[cached.seed].segments
        for index in range(1, len(segments) - 1):
            if segments[index].action is not None and not segments[index].ambiguous:
                before = self._still(cached, segments[index - 1])
                after = self._still(cached, segments[index + 1])
                if len(before) and len(after):
                    yield before, segments[index], after


def _suits(seen: WindowTruth, task: str, rng: np.random.Generator) -> bool:
    if task not in ("action_caption", "label"):
        return True
    if not seen.decided and rng.random() > UNDECIDED_SHARE:
        return False
    idle = seen.segment.action is None
    return not idle or bool(rng.random() < IDLE_SHARE)
