"""Contact sheets for human eyes: `python -m training.tabletop.preview --out sheet.png`.

`--renderer painter mujoco` draws each row twice, by one above the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import numpy.typing as npt

from training.tabletop.language import canonical
from training.tabletop.render import RendererName, renderer_named
from training.tabletop.world import Episode, Segment

MOMENTS = (0.02, 0.2, 0.35, 0.5, 0.6, 0.72, 0.85, 1.0)


def crop_of(image_HWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The 96 px centre of a 109 px picture: what the model sees."""
    return image_HWC[6:102, 6:102]


def strip(
    episodes: Sequence[Episode], segment: Segment, zoom: int, size_hw: tuple[int, int] | None
) -> npt.NDArray[np.uint8]:
    """Moments of a segment side by side, with its caption underneath.

    Args:
        episodes: the same episode with each of the renderers; a row of pictures for each.
    """
    length = segment.end_s - segment.onset_s
    times = [segment.onset_s + u * length * 0.9999 for u in MOMENTS]
    rows = [_row(episode, times, zoom, size_hw) for episode in episodes]
    label = np.full((22, rows[0].shape[1], 3), 20, np.uint8)
    text = f"{canonical(segment.meaning)}{'  (ambiguous)' if segment.ambiguous else ''}"
    cv2.putText(
        label, text, (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA
    )
    return np.concatenate([*rows, label])


def _row(
    episode: Episode, times: Sequence[float], zoom: int, size_hw: tuple[int, int] | None
) -> npt.NDArray[np.uint8]:
    if size_hw is None:
        tiles = [crop_of(episode.render(t, (109, 109))) for t in times]
        tiles = [
            cv2.resize(t, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST) for t in tiles
        ]
    else:
        tiles = [episode.render(t, size_hw) for t in times]
    return np.concatenate(tiles, axis=1)


def sheet(
    seeds: Sequence[int],
    split: str,
    actions: Sequence[str],
    *,
    rows: int,
    zoom: int,
    size_hw: tuple[int, int] | None,
    renderers: Sequence[RendererName] = ("painter",),
) -> npt.NDArray[np.uint8]:
    """One row for each new (action, outcome) met in the episodes of `seeds`."""
    met: dict[tuple[str, str], npt.NDArray[np.uint8]] = {}
    for seed in seeds:
        episode = Episode.generate(seed, split)
        shown = [replace(episode, renderer=renderer_named(name)) for name in renderers]
        for segment in episode.segments:
            if segment.action is None or (actions and segment.action.name not in actions):
                continue
            key = (segment.action.name, segment.outcome)
            if key not in met and len(met) < rows:
                met[key] = strip(shown, segment, zoom, size_hw)
    return np.concatenate([met[key] for key in sorted(met)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=4_000_000)
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--split", default="train")
    parser.add_argument("--actions", nargs="*", default=[])
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--zoom", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"))
    parser.add_argument(
        "--renderer", nargs="+", choices=get_args(RendererName), default=["painter"]
    )
    args = parser.parse_args()
    size_hw = tuple(args.size) if args.size else None
    seeds = range(args.seed, args.seed + args.episodes)
    image = sheet(
        seeds,
        args.split,
        args.actions,
        rows=args.rows,
        zoom=args.zoom,
        size_hw=size_hw,
        renderers=args.renderer,
    )
    if not cv2.imwrite(str(args.out), image[..., ::-1]):
        raise OSError(f"cannot write {args.out}; name a .png file in an existing folder")


if __name__ == "__main__":
    main()
