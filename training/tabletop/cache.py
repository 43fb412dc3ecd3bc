"""Streams of the tabletop world, rendered once and kept on disk for many passes.

A shard is a folder of `.npy` files for some dozens of episodes, written whole or not at all, so a
build that was interrupted goes on where it stopped. Frames come at the clip rate with a random
phase; their number is even in each episode, so that frames (2p, 2p+1) form tubelet p of the shard.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jsonargparse import auto_cli
from torch import Tensor
from torch.utils.data import Dataset

from training.tabletop.render import RendererName, degrade, renderer_named
from training.tabletop.world import Episode
from vljepa_ros.model.preprocessing import resize_crop_uint8

CROP_PX = 96
GRID = 24
RATE_HZ = 4.0
DIRECT_SIZE_HW = (109, 109)
"""Rendered so large that preprocessing only crops; quicker than a camera's size."""
CAMERA_SIZE_HW = (240, 320)
CAMERA_SHARE = 0.15
DEGRADED_SHARE = 0.4
MAPS = ("colour", "shape", "stance", "moving", "held")
POSE_FIELDS = ("x", "y", "z", "open", "drawer", "velocity_x", "velocity_y")


@dataclass(frozen=True)
class CachedEpisode:
    """Where one episode's frames lie: frame i was taken at `first_s + i / RATE_HZ`."""

    seed: int
    split: str
    shard: int
    start: int
    count: int
    first_s: float
    renderer: RendererName = "painter"

    def episode(self) -> Episode:
        return Episode.generate(self.seed, self.split, renderer=self.renderer)


class Shard:
    """One folder of arrays, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def array(self, name: str) -> npt.NDArray[np.generic]:
        loaded: npt.NDArray[np.generic] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return loaded

    @cached_property
    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        return {name: self.array(name) for name in ("frames", *MAPS, "pose")}

    @cached_property
    def tokens(self) -> npt.NDArray[np.generic]:
        return self.array("tokens")


class FrameCache:
    """All finished shards below a folder.

    Raises:
        FileNotFoundError: there is none yet; the message names the command that makes them.
    """

    grid = GRID

    def __init__(self, folder: Path) -> None:
        done = sorted(folder.glob("shard-*/episodes.json"))
        if not done:
            raise FileNotFoundError(
                f"no shards in {folder}; run python -m training.tabletop.cache --out {folder}"
            )
        self.shards = [Shard(path.parent) for path in done]
        self.episodes = [
            CachedEpisode(shard=index, **entry)
            for index, path in enumerate(done)
            for entry in json.loads(path.read_text())
        ]

    def split(self, aside_every: int) -> tuple[list[CachedEpisode], list[CachedEpisode]]:
        """Episodes to see and predict, and every n-th seed kept aside, however many there are."""
        aside = [e for e in self.episodes if e.seed % aside_every == 0]
        return [e for e in self.episodes if e.seed % aside_every != 0], aside


class TubeletBatches(Dataset[dict[str, Tensor]]):
    """Random pairs of neighbouring frames with the dense labels of the newer one."""

    def __init__(
        self,
        cache: FrameCache,
        episodes: Sequence[CachedEpisode],
        batch_size: int,
        seed: int,
        parts: int = 1,
    ) -> None:
        self._cache, self._episodes = cache, episodes
        self._batch_size = batch_size
        self._seed = seed
        self._parts = parts

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        step, part = divmod(index, self._parts)
        rng = np.random.default_rng([self._seed, step])
        picks = rng.integers(len(self._episodes), size=self._batch_size)
        rows: dict[str, list[npt.NDArray[np.generic]]] = {}
        chosen = [self._episodes[pick] for pick in picks]
        drawn = [(e, e.start + int(rng.integers(1, e.count))) for e in chosen]
        for episode, newer in drawn[part :: self._parts]:
            arrays = self._cache.shards[episode.shard].arrays
            rows.setdefault("pixels_BTCHW", []).append(arrays["frames"][newer - 1 : newer + 1])
            for name in MAPS:
                rows.setdefault(name, []).append(arrays[name][newer])
            rows.setdefault("pose_BP", []).append(arrays["pose"][newer])
        return {name: torch.from_numpy(np.stack(values)) for name, values in rows.items()}


def build(
    out: Path,
    first_seed: int = 0,
    episodes: int = 100,
    split: str = "train",
    episodes_per_shard: int = 25,
    workers: int = 2,
    renderer: RendererName = "painter",
) -> None:
    """Render `episodes` streams from `first_seed` on into shards below `out`.

    A shard that is there already stays, whoever drew it: give each renderer its own folder, or
    seeds of its own.
    """
    renderer_named(renderer)  # what is not installed is missed here, not in a worker
    out.mkdir(parents=True, exist_ok=True)
    firsts = range(first_seed, first_seed + episodes, episodes_per_shard)
    todo = [f for f in firsts if not (_shard_folder(out, f) / "episodes.json").exists()]
    # Not fork: a child forked from a process whose torch or OpenCV has threads waits for ever.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=spawn) as pool:
        jobs = [
            pool.submit(
                _build_shard, out, f, min(f + episodes_per_shard, firsts.stop), split, renderer
            )
            for f in todo
        ]
        for done, job in enumerate(jobs, start=1):
            job.result()
            print(f"shard {done} of {len(todo)}", flush=True)


def _shard_folder(out: Path, first_seed: int) -> Path:
    return out / f"shard-{first_seed:07d}"


def _build_shard(
    out: Path, first_seed: int, end_seed: int, split: str, renderer: RendererName
) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    columns: dict[str, list[npt.NDArray[np.generic]]] = {}
    entries = []
    start = 0
    for seed in range(first_seed, end_seed):
        first_s, arrays = _render_episode(seed, split, renderer)
        count = len(arrays["frames"])
        entries.append(
            {
                "seed": seed,
                "split": split,
                "start": start,
                "count": count,
                "first_s": first_s,
                "renderer": renderer,
            }
        )
        start += count
        for name, values in arrays.items():
            columns.setdefault(name, []).append(values)
    folder = _shard_folder(out, first_seed)
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, parts in columns.items():
        np.save(partial / f"{name}.npy", np.concatenate(parts))
    (partial / "episodes.json").write_text(json.dumps(entries))
    partial.rename(folder)


def _render_episode(
    seed: int, split: str, renderer: RendererName
) -> tuple[float, dict[str, npt.NDArray[np.generic]]]:
    rng = np.random.default_rng([seed, 1])
    episode = Episode.generate(seed, split, renderer=renderer)
    first_s = float(rng.uniform(0, 1 / RATE_HZ))
    count = int((episode.duration_s - first_s) * RATE_HZ) // 2 * 2
    times = first_s + np.arange(count) / RATE_HZ
    size_hw = CAMERA_SIZE_HW if rng.random() < CAMERA_SHARE else DIRECT_SIZE_HW
    frames = episode.frames(times, size_hw, rng)
    if rng.random() < DEGRADED_SHARE:
        frames = degrade(frames, rng)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "frames": resize_crop_uint8(frames, CROP_PX).numpy()
    }
    labels = [episode.dense_labels(float(t), CROP_PX, GRID) for t in times]
    for name in MAPS:
        arrays[name] = np.stack([getattr(label, f"{name}_GG") for label in labels]).astype(np.uint8)
    arrays["pose"] = np.array([list(_pose(label)) for label in labels], dtype=np.float32)
    return first_s, arrays


def _pose(label: object) -> Iterator[float]:
    x, y = label.gripper_xy  # type: ignore[attr-defined]
    velocity_x, velocity_y = label.gripper_velocity  # type: ignore[attr-defined]
    yield from (x, y, label.gripper_z, label.gripper_open, label.drawer_open)  # type: ignore[attr-defined]
    yield from (velocity_x, velocity_y)


if __name__ == "__main__":
    auto_cli(build, as_positional=False)
