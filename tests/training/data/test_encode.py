"""Clips are written from frames, and cut out of videos without loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_media import LEVELS, shown, video

from training.data.decode import read_timeline, spread_frames
from training.data.encode import cut, encode_clip
from training.data.errors import MediaError
from training.tabletop.world import Episode


def grey(level: int, size_hw: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.full((*size_hw, 3), level, np.uint8)


def numbers(media: bytes, count: int, start_s: float | None, end_s: float | None) -> list[int]:
    return [shown(float(f.mean())) for f in spread_frames(media, count, start_s, end_s)]


def test_frames_keep_their_times_whatever_the_rate() -> None:
    times_s = [5.0, 5.1, 5.5, 6.75]
    media = encode_clip(zip(times_s, map(grey, LEVELS), strict=False))
    timeline = read_timeline(media)
    assert [round(p * timeline.tick_s, 3) for p in timeline.pts] == [0.0, 0.1, 0.5, 1.75]
    assert numbers(media, 1, 0.5, 0.6) == [2]


def test_equal_frames_are_equal_bytes_every_time() -> None:
    rng = np.random.default_rng(0)
    times_s = [5 + i / 8 for i in range(8)]
    shown_now = Episode.generate(3).frames(times_s, (240, 320), rng)
    kept = []  # memory is laid out otherwise each time
    for size in rng.integers(1_000, 900_000, 40):
        kept.append((np.zeros(size), encode_clip(zip(times_s, shown_now, strict=True))))
    assert len({media for _, media in kept}) == 1


def test_frames_that_come_at_one_moment_are_written_once() -> None:
    media = encode_clip([(1.0, grey(0)), (1.0, grey(0)), (1.2, grey(0)), (1.1, grey(0))])
    assert len(read_timeline(media).pts) == 2


def test_an_odd_last_row_and_column_are_dropped() -> None:
    [frame] = spread_frames(encode_clip([(0.0, grey(9, (33, 47)))]), 1, None, None)
    assert frame.shape == (32, 46, 3)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([], "no frames"),
        ([(0.0, grey(0)), (1.0, grey(0, (32, 34)))], "of one size"),
        ([(0.0, grey(0, (1, 40)))], "too small"),
    ],
)
def test_what_is_no_clip_says_the_mend(frames: list[tuple[float, np.ndarray]], said: str) -> None:
    with pytest.raises(MediaError, match=said):
        encode_clip(frames)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """30 frames at 4 Hz, a keyframe every five; with B-frames where the container can."""
    folder = tmp_path_factory.mktemp("long")
    for suffix, container in {"mp4": "mp4", "mkv": "matroska", "mov": "mov"}.items():
        (folder / f"long.{suffix}").write_bytes(video(30, 4.0, gop=5, container=container))
    avi = video(30, 4.0, gop=5, container="avi", codec="mpeg4", b_frames=0)
    (folder / "long.avi").write_bytes(avi)
    return {path.suffix: path for path in folder.iterdir()}


@settings(deadline=None, max_examples=25)
@given(
    suffix=st.sampled_from([".mp4", ".mkv", ".mov"]),
    first=st.integers(0, 29),
    length=st.integers(1, 30),
)
def test_any_segment_is_cut_out_exactly(
    long: dict[str, Path], suffix: str, first: int, length: int
) -> None:
    last = min(first + length, 30)
    media = cut(long[suffix], first / 4, last / 4)
    assert numbers(media, last - first, None, None) == list(range(first, last))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi"])
def test_without_times_the_whole_is_taken(long: dict[str, Path], suffix: str) -> None:
    assert len(read_timeline(cut(long[suffix])).pts) == 30


def test_what_cannot_be_cut_says_the_mend(long: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="choose a segment"):
        cut(long[".mp4"], 50.0, 60.0)
    text = tmp_path / "a.mov"
    text.write_text("no video")
    with pytest.raises(MediaError, match=r"convert it to \.mp4"):
        cut(text)
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        cut(tmp_path / "gone.mp4")


def test_time_stamps_that_go_backwards_are_refused(tmp_path: Path) -> None:
    """As B-frames in an .avi, which has no time stamps for them."""
    path = tmp_path / "b.avi"
    path.write_bytes(video(9, container="avi"))
    with pytest.raises(MediaError, match="go backwards"):
        cut(path)
