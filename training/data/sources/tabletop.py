"""Streams of the simulated tabletop, as short clips with what is asked of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from training.data.encode import encode_clip
from training.data.errors import DataError
from training.data.samples import MediaSample, same_meaning
from training.data.skips import Skips
from training.data.writer import Draft
from training.tabletop.names import WORLD_VERSION
from training.tabletop.splits import SPLITS, TEST_SEEDS
from training.tabletop.tasks import Sample, sample, transition_sample
from training.tabletop.windows import WindowTruth, clip_times, truth
from training.tabletop.world import Episode
from vljepa_ros.config import ModelConfig

TASKS = ("action_caption", "scene_caption", "label", "question", "transition")
SIZE_HW = (240, 320)
TRIES = 50
"""Moments of a stream that are tried for a task: not every one suits each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first stream")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--clips", type=int, default=10, help="clips of each stream")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)


def run(given: argparse.Namespace, skips: Skips) -> Iterator[Draft]:
    """Nothing of the simulated world can be bad, so nothing is skipped."""
    if given.first_seed < 0 or given.streams < 1 or given.clips < 1:
        raise DataError("--first-seed must be 0 or more, --streams and --clips 1 or more")
    seeds = range(given.first_seed, given.first_seed + given.streams)
    if given.split == "train" and seeds.stop > TEST_SEEDS.start:
        raise DataError(
            f"streams from {TEST_SEEDS.start} on are asked about, not trained on; "
            "choose a smaller --first-seed, or another --split for shards to be asked about"
        )
    return (
        draft
        for seed in seeds
        for draft in drafts(Episode.generate(seed, given.split), given.clips, given.tasks)
    )


def drafts(episode: Episode, clips: int, tasks: tuple[str, ...] | list[str]) -> Iterator[Draft]:
    """Clips of one stream, the tasks in turn; a task that suits no moment of it is left out.

    A clip is as long as the model's, and ends at the moment that is asked about.
    """
    rng = np.random.default_rng([episode.seed, SPLITS.index(episode.split)])
    config = ModelConfig()
    for number in range(clips):
        task = tasks[number % len(tasks)]
        moment = _moment(episode, task, config, rng)
        if moment is None:
            continue
        end_s, asked = moment
        times_s = clip_times(end_s, config.clip_frames, config.clip_rate_hz)
        frames = episode.frames(times_s, SIZE_HW, rng)
        first_s = end_s - (config.clip_frames - 1) / config.clip_rate_hz
        # Before its beginning a stream stands still, so that no time stamp comes twice.
        stamps_s = [first_s + i / config.clip_rate_hz for i in range(len(times_s))]
        media = encode_clip(zip(stamps_s, frames, strict=True))
        yield Draft(_sample(asked, task, episode, end_s), media, "mp4")


def _moment(
    episode: Episode, task: str, config: ModelConfig, rng: np.random.Generator
) -> tuple[float, Sample] | None:
    """A time at which there is something true to ask, and the question."""
    for _ in range(TRIES):
        end_s = float(rng.uniform(0, episode.duration_s))
        seen = truth(episode, end_s)
        asked = _ask(task, seen, episode.split, config, rng)
        if asked is not None:
            return end_s, asked
    return None


def _ask(
    task: str, seen: WindowTruth, split: str, config: ModelConfig, rng: np.random.Generator
) -> Sample | None:
    if task == "transition":
        idle = seen.segment.action is None
        return transition_sample(seen.state, rng) if idle else None
    if task in ("action_caption", "label") and not seen.decided:
        return None
    return sample(task, seen, config, rng, split)


def _sample(asked: Sample, task: str, episode: Episode, end_s: float) -> MediaSample:
    right = same_meaning(asked.target)
    return MediaSample(
        query=asked.query,
        target=asked.target,
        task=task,
        source=(f"tabletop {WORLD_VERSION} {episode.split} seed {episode.seed} at {end_s:.2f} s"),
        # Two wordings of an edit may come down to the target's own.
        candidates=tuple(text for text in asked.candidates if same_meaning(text) != right),
    )
