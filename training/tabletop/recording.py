"""Records a stream as a video with its truth:
`python -m training.tabletop.recording --seed 8000000 --out tabletop.mp4 --truth tabletop.json`.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from training.data.encode import EXACT
from training.tabletop.language import action_label, canonical
from training.tabletop.meaning import scene_meaning
from training.tabletop.names import IDLE, WORLD_VERSION
from training.tabletop.splits import SAMPLE_SEEDS, SPLITS
from training.tabletop.world import Episode, Segment

TIME_BASE = 1000
"""Ticks per second of the video's time stamps."""


def write_video(
    episode: Episode, path: Path, size_hw: tuple[int, int], rate_hz: float, quality: int = 24
) -> int:
    """Write the episode as H.264 (yuv420p) and return the number of frames.

    Args:
        size_hw: even numbers of pixels.
        quality: constant rate factor of x264; smaller is better and larger in bytes.

    Raises:
        ValueError: an odd size, or a rate that is not above 0.
    """
    if size_hw[0] % 2 or size_hw[1] % 2:
        raise ValueError(f"{size_hw[1]}x{size_hw[0]} is odd; H.264 needs even sizes")
    if rate_hz <= 0:
        raise ValueError(f"rate_hz is {rate_hz}; use more than 0")
    count = int(episode.duration_s * rate_hz)
    rng = np.random.default_rng(episode.seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        stream.height, stream.width = size_hw
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TIME_BASE)
        stream.options = EXACT | {"crf": str(quality), "preset": "slow"}
        for i in range(count):
            image = episode.frames([i / rate_hz], size_hw, rng)[0]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round(i / rate_hz * TIME_BASE)
            frame.time_base = Fraction(1, TIME_BASE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return count


def truth_of(episode: Episode, rate_hz: float, frames: int) -> dict[str, Any]:
    """What is true in the recording: its segments, with times in seconds from the first frame."""
    return {
        "world_version": WORLD_VERSION,
        "seed": episode.seed,
        "split": episode.split,
        "rate_hz": rate_hz,
        "frames": frames,
        "duration_s": round(episode.duration_s, 3),
        "segments": [_segment(segment) for segment in episode.segments],
    }


def _segment(segment: Segment) -> dict[str, Any]:
    idle = segment.action is None
    scene = scene_meaning(segment.motion.at(1.0))
    return {
        "onset_s": round(segment.onset_s, 3),
        "end_s": round(segment.end_s, 3),
        "decided_s": round(segment.decided_s, 3),
        "action": IDLE if segment.action is None else segment.action.name,
        "label": action_label(IDLE if segment.action is None else segment.action.name),
        "outcome": "" if idle else segment.outcome,
        "caption": canonical(segment.meaning),
        "scene_after": None if scene is None else canonical(scene),
        "ambiguous": segment.ambiguous,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SAMPLE_SEEDS[0])
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("--out", type=Path, required=True, help="the video, .mp4")
    parser.add_argument("--truth", type=Path, required=True, help="its truth, .json")
    parser.add_argument("--actions", type=int, default=16)
    parser.add_argument("--idle-fraction", type=float, default=0.5)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 320), metavar=("H", "W"))
    parser.add_argument("--rate-hz", type=float, default=10.0)
    parser.add_argument("--crf", type=int, default=24, help="x264's constant rate factor")
    args = parser.parse_args()
    episode = Episode.generate(args.seed, args.split, args.idle_fraction, args.actions)
    frames = write_video(episode, args.out, tuple(args.size), args.rate_hz, args.crf)
    truth = truth_of(episode, args.rate_hz, frames)
    args.truth.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    print(
        f"{args.out}: {frames} frames, {episode.duration_s:.1f} s, {len(episode.segments)} segments"
    )


if __name__ == "__main__":
    main()
