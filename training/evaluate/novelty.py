"""Does the model know what it does not know? Known states and actions against strange ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.evaluate.choices import imagined
from training.evaluate.measures import auroc
from training.evaluate.observe import Observed, clip_times, observe_still
from training.tabletop.actions import possible_actions
from training.tabletop.language import action_instruction
from training.tabletop.render import RendererName
from training.tabletop.world import Episode
from vljepa_ros.model.engine import Engine, Tokens

MOST_KNOWN = 400
CAMERA_EPISODES = 16
FOOTAGE_STEP_S = 0.25

UNSEEN_VERBS = (
    "kick the {thing}", "paint the {thing}", "eat the {thing}", "wash the {thing}",
    "throw the {thing} at the wall", "cut the {thing} in half", "juggle with the {thing}",
    "wrap the {thing} in paper", "spin the {thing}", "hide the {thing}", "melt the {thing}",
    "photograph the {thing}",
)  # fmt: skip
UNSEEN_SHAPES = ("pyramid", "star", "ring", "bottle", "spoon", "book", "banana", "teapot")
SHAPED = (
    "pick up the {thing}", "push the {thing} to the left", "push the {thing} away",
    "push the {thing} to the right", "tip over the {thing}",
)  # fmt: skip
NONSENSE = (
    "The stock market fell by two per cent yesterday.",
    "She plays the violin in a small orchestra.",
    "How many moons does Saturn have?",
    "Please book a table for four at eight.",
    "My grandmother was born in a village by the sea.",
    "The parliament debated the new tax law until midnight.",
    "Add two spoons of sugar and stir until it boils.",
    "Our train to Vienna leaves from platform nine.",
    "Photosynthesis turns light into chemical energy.",
    "He scored a goal in the last minute of the match.",
    "The cat sleeps on a warm roof in the afternoon.",
    "Quarterly revenue exceeded the forecast of the analysts.",
    "It will rain in the mountains tomorrow.",
    "Translate this poem into Portuguese.",
    "asdf qwer zxcv uiop",
    "The square root of sixteen is four.",
)


def score_novelty(
    engine: Engine,
    moments: Sequence[Observed],
    seed: int,
    footage: str = "",
    renderer: RendererName = "painter",
) -> dict[str, float]:
    """AUROC of the model's novelty, named as in docs/evaluation.md; NaN where it was not measured.

    Each group of strange things is held against the same known ones and weighs the same in the
    mean.

    Args:
        footage: a video of something else; none = only nonsense actions are far.
        renderer: who drew the moments; strange cameras are drawn by the same.

    Raises:
        ValueError: the video cannot be read or is shorter than a clip.
    """
    names = ("ood_far_footage_auroc", "ood_far_nonsense_auroc", "ood_near_verb_auroc",
             "ood_near_shape_auroc", "ood_near_camera_auroc")  # fmt: skip
    scores = dict.fromkeys(names, float("nan"))
    if engine.can_imagine:
        rng = np.random.default_rng([seed, 22])
        picks = sorted(rng.permutation(len(moments))[:MOST_KNOWN])
        some = [moments[i] for i in picks]
        known_R = _novelty(engine, *_known(some, rng))
        for name, (clips, actions) in _strange(engine, some, seed, footage, renderer, rng):
            scores[name] = auroc(known_R, _novelty(engine, clips, actions))
    return {
        "ood_far_auroc": _mean_of_measured([scores[name] for name in names[:2]]),
        "ood_near_auroc": _mean_of_measured([scores[name] for name in names[2:]]),
        **scores,
    }


Asked = tuple[list[Tokens], list[str]]


def _strange(
    engine: Engine,
    some: Sequence[Observed],
    seed: int,
    footage: str,
    renderer: RendererName,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Asked]]:
    """Groups of clips and actions, one of which is strange in each."""
    clips, actions = _known(some, rng)
    if footage:
        filmed = footage_clips(engine, Path(footage))
        rows = [i % len(filmed) for i in range(len(actions))]
        yield "ood_far_footage_auroc", ([filmed[row] for row in rows], actions)
    yield "ood_far_nonsense_auroc", (clips, _drawn(NONSENSE, len(clips), rng))
    things = [_thing(moment, rng) for moment in some]
    verbs = _drawn(UNSEEN_VERBS, len(clips), rng)
    yield "ood_near_verb_auroc", (clips, _filled(verbs, things))
    shapes = _drawn(UNSEEN_SHAPES, len(clips), rng)
    unseen = [f"{thing.split()[0]} {shape}" for thing, shape in zip(things, shapes, strict=True)]
    yield "ood_near_shape_auroc", (clips, _filled(_drawn(SHAPED, len(clips), rng), unseen))
    seeds = range(seed, seed + CAMERA_EPISODES)
    worlds = [Episode.generate(other, "heldout_camera", renderer=renderer) for other in seeds]
    yield "ood_near_camera_auroc", _known(observe_still(engine, worlds, seed), rng)


def _known(moments: Sequence[Observed], rng: np.random.Generator) -> Asked:
    """Each moment's clip and an action that is possible there, in any wording."""
    actions = []
    for moment in moments:
        options = possible_actions(moment.truth.state)
        actions.append(action_instruction(options[int(rng.integers(len(options)))], rng))
    return [moment.tokens_TND for moment in moments], actions


def _novelty(
    engine: Engine, clips: Sequence[Tokens], actions: Sequence[str]
) -> npt.NDArray[np.float32]:
    return np.concatenate([batch.novelty for batch in imagined(engine, clips, actions)])


def _thing(moment: Observed, rng: np.random.Generator) -> str:
    """An object of the scene, by its plain name."""
    state = moment.truth.state
    visible = state.visible()
    name = state.objects[visible[int(rng.integers(len(visible)))]].name
    return f"{name.colour} {name.shape}"


def _drawn(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    return [texts[int(i)] for i in rng.integers(len(texts), size=count)]


def _filled(templates: Sequence[str], things: Sequence[str]) -> list[str]:
    return [text.format(thing=thing) for text, thing in zip(templates, things, strict=True)]


def _mean_of_measured(values: Sequence[float]) -> float:
    measured = [value for value in values if not np.isnan(value)]
    return float(np.mean(measured)) if measured else float("nan")


def footage_clips(engine: Engine, path: Path) -> list[Tokens]:
    """Tokens (T', N, D) of a clip every quarter of a second of a video.

    Raises:
        ValueError: the video cannot be read or is shorter than a clip.
    """
    config = engine.config
    frames, rate_hz = _read(path)
    prepared = [engine.prepare(frame) for frame in frames]
    ends_s = np.arange((config.clip_frames - 1) / config.clip_rate_hz, len(frames) / rate_hz,
                       FOOTAGE_STEP_S)  # fmt: skip
    if not len(ends_s):
        raise ValueError(f"{path} is shorter than a clip of {config.clip_frames} frames")
    found: list[Tokens] = []
    for end_s in ends_s:
        times_s = clip_times(float(end_s), config.clip_frames, config.clip_rate_hz)
        rows = np.minimum((times_s * rate_hz).astype(int), len(frames) - 1)
        found.append(engine.encode_clips(np.stack([prepared[row] for row in rows])[None])[0])
    return found


def _read(path: Path) -> tuple[list[npt.NDArray[np.uint8]], float]:
    """RGB frames of a video, and how many there are a second."""
    capture = cv2.VideoCapture(str(path))
    try:
        rate_hz = float(capture.get(cv2.CAP_PROP_FPS))
        frames = []
        while True:
            there, bgr_HWC = capture.read()
            if not there:
                break
            frames.append(np.asarray(cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB), np.uint8))
    finally:
        capture.release()
    if not frames or rate_hz <= 0:
        raise ValueError(f"{path} holds no frames that OpenCV can read; give a video file")
    return frames, rate_hz
