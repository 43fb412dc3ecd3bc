"""Clips come at the model's rate from any camera, and no stamp can break the buffer."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.stream.clip_buffer import FRAMES_PER_PERIOD, NS_PER_S, Added, ClipBuffer
from vljepa_ros.types import Frame

MS = 1_000_000
START_NS = 1_700_000_000 * NS_PER_S


def frame(stamp_ns: int, size: int = 2) -> Frame:
    return Frame(stamp_ns, np.zeros((size, size, 3), np.uint8), "cam")


def fill(buffer: ClipBuffer, rate_hz: float, frames: int, jitter_ms: float = 0.0) -> list[int]:
    """Add `frames` frames at `rate_hz`; returns their stamps."""
    rng = np.random.default_rng(0)
    stamps = [
        START_NS + round(i * NS_PER_S / rate_hz) + round(rng.uniform(-1, 1) * jitter_ms * MS)
        for i in range(frames)
    ]
    for stamp_ns in stamps:
        assert buffer.add(frame(stamp_ns)) is Added.ADDED
    return stamps


def clip_ms(buffer: ClipBuffer) -> list[float]:
    """Times of the clip's frames before its newest [ms], oldest first."""
    clip = buffer.clip()
    assert clip is not None
    return [(f.stamp_ns - clip.stamp_ns) / MS for f in clip.frames]


def test_no_clip_before_the_first_frame() -> None:
    buffer = ClipBuffer(8, 4.0)
    assert buffer.clip() is None
    buffer.add(frame(START_NS))
    assert clip_ms(buffer) == [0.0] * 8


def test_oldest_frame_repeats_until_the_buffer_is_full() -> None:
    buffer = ClipBuffer(4, 4.0)
    fill(buffer, 4.0, 3)
    assert clip_ms(buffer) == [-500.0, -500.0, -250.0, 0.0]


@pytest.mark.parametrize("rate_hz", [4.0, 8.0, 20.0, 40.0, 100.0])
@pytest.mark.parametrize("pass_frames", [2, 8])
def test_multiples_of_the_clip_rate_are_hit_exactly(rate_hz: float, pass_frames: int) -> None:
    buffer = ClipBuffer(8, 4.0, pass_frames=pass_frames)
    fill(buffer, rate_hz, 300)
    assert clip_ms(buffer) == [-250.0 * k for k in range(7, -1, -1)]


@pytest.mark.parametrize("rate_hz", [2.0, 5.0, 9.7, 15.0, 24.0, 29.97, 30.0, 60.0])
@pytest.mark.parametrize("pass_frames", [2, 8])
def test_any_rate_with_jitter_stays_within_one_frame_of_the_grid(
    rate_hz: float, pass_frames: int
) -> None:
    buffer = ClipBuffer(8, 4.0, pass_frames=pass_frames)
    jitter_ms = 200.0 / rate_hz
    fill(buffer, rate_hz, 200, jitter_ms)
    times = clip_ms(buffer)
    grid = [-250.0 * k for k in range(7, -1, -1)]
    # Half a frame for the nearest; within a pass the newest frame's own half comes on top.
    bound_ms = (0.5 if pass_frames == 8 else 1.0) * 1000.0 / rate_hz + 2 * jitter_ms
    assert max(abs(t - g) for t, g in zip(times, grid, strict=True)) <= bound_ms
    assert times == sorted(times)
    assert times[-1] == 0.0


def test_nearest_frame_is_chosen_and_the_older_of_two_equally_near() -> None:
    buffer = ClipBuffer(2, 4.0)
    for before_ms in (500, 300, 260, 235, 0):
        buffer.add(frame(START_NS - before_ms * MS))
    assert clip_ms(buffer) == [-260.0, 0.0]
    buffer.reset()
    for before_ms in (260, 240, 0):
        buffer.add(frame(START_NS - before_ms * MS))
    assert clip_ms(buffer) == [-260.0, 0.0]


def test_slow_camera_repeats_its_frames() -> None:
    buffer = ClipBuffer(8, 4.0, pass_frames=2)
    fill(buffer, 1.0, 10)
    assert clip_ms(buffer) == [-2000, -2000, -1000, -1000, -1000, -1000, 0, 0]


@pytest.mark.parametrize("rate_hz", [4.0, 10.0, 15.0, 30.0, 33.3])
def test_a_pass_is_the_same_in_every_clip_that_it_is_part_of(rate_hz: float) -> None:
    buffer = ClipBuffer(8, 4.0, pass_frames=2)
    rng = np.random.default_rng(1)
    older_of: dict[int, int] = {}
    for i in range(150):
        jitter_ns = round(rng.uniform(-0.2, 0.2) * NS_PER_S / rate_hz)
        buffer.add(frame(START_NS + round(i * NS_PER_S / rate_hz) + jitter_ns))
        clip = buffer.clip()
        assert clip is not None
        for older, newer in zip(clip.frames[::2], clip.frames[1::2], strict=True):
            assert older_of.setdefault(newer.stamp_ns, older.stamp_ns) == older.stamp_ns
    assert len(older_of) == 150  # each frame ends one pass: nothing is encoded twice


def test_irregular_slow_camera_never_runs_time_back() -> None:
    rng = np.random.default_rng(2)
    buffer = ClipBuffer(8, 4.0, pass_frames=2)
    stamp_ns = START_NS
    for _ in range(500):
        stamp_ns += round(rng.uniform(0.01, 3.0) * NS_PER_S)
        buffer.add(frame(stamp_ns))
        times = clip_ms(buffer)
        assert times == sorted(times)


@pytest.mark.parametrize("stamp_ns", [0, -1, -START_NS])
def test_unstamped_frames_are_ignored_and_counted(stamp_ns: int) -> None:
    buffer = ClipBuffer(4, 4.0)
    assert buffer.add(frame(stamp_ns)) is Added.UNSTAMPED
    assert buffer.clip() is None
    buffer.add(frame(START_NS))
    assert buffer.add(frame(stamp_ns)) is Added.UNSTAMPED
    assert clip_ms(buffer) == [0.0] * 4
    assert buffer.counts[Added.UNSTAMPED] == 2


def test_repeated_stamp_is_ignored_and_counted() -> None:
    buffer = ClipBuffer(4, 4.0)
    first = frame(START_NS)
    buffer.add(first)
    assert buffer.add(frame(START_NS)) is Added.REPEATED
    assert buffer.counts == {Added.ADDED: 1, Added.REPEATED: 1}
    clip = buffer.clip()
    assert clip is not None
    assert all(f is first for f in clip.frames)


def test_late_frame_is_ignored_but_a_jump_back_restarts() -> None:
    buffer = ClipBuffer(4, 4.0)
    fill(buffer, 10.0, 20)
    newest_ns = START_NS + 1900 * MS
    assert buffer.add(frame(newest_ns - 250 * MS)) is Added.LATE
    assert clip_ms(buffer)[0] < -700
    assert buffer.add(frame(newest_ns - 251 * MS)) is Added.RESTARTED_BACKWARD
    assert clip_ms(buffer) == [0.0] * 4
    assert len(buffer) == 1


def test_bag_loop_goes_on_after_the_jump() -> None:
    buffer = ClipBuffer(4, 4.0)
    for _ in range(3):
        for i in range(40):
            buffer.add(frame(START_NS + i * 100 * MS))
    assert buffer.counts[Added.RESTARTED_BACKWARD] == 2
    assert clip_ms(buffer) == [-800.0, -500.0, -300.0, 0.0]


def test_silence_and_far_future_restart() -> None:
    buffer = ClipBuffer(4, 4.0, max_gap_s=10.0)
    fill(buffer, 10.0, 20)
    newest_ns = START_NS + 1900 * MS
    assert buffer.add(frame(newest_ns + 10 * NS_PER_S)) is Added.ADDED
    assert buffer.add(frame(newest_ns + 20 * NS_PER_S + 1)) is Added.RESTARTED_GAP
    assert clip_ms(buffer) == [0.0] * 4
    assert buffer.add(frame(2**62)) is Added.RESTARTED_GAP
    # Back from one wild stamp: the camera's own time again.
    assert buffer.add(frame(newest_ns + 21 * NS_PER_S)) is Added.RESTARTED_BACKWARD
    assert clip_ms(buffer) == [0.0] * 4


@pytest.mark.parametrize("step_ns", [1, 1000, MS, 3 * MS, 16 * MS, 33 * MS])
def test_memory_is_bounded_however_dense_the_camera(step_ns: int) -> None:
    buffer = ClipBuffer(8, 4.0, pass_frames=2)
    for i in range(5000):
        buffer.add(frame(START_NS + i * step_ns))
    assert len(buffer) <= (8 + 1) * FRAMES_PER_PERIOD + 3


def test_dense_camera_keeps_the_grid_and_its_newest_frame() -> None:
    buffer = ClipBuffer(8, 4.0)
    fill(buffer, 1000.0, 3000)
    grid = [-250.0 * k for k in range(7, -1, -1)]
    spacing_ms = 250.0 / FRAMES_PER_PERIOD
    assert clip_ms(buffer)[-1] == 0.0
    assert max(abs(t - g) for t, g in zip(clip_ms(buffer), grid, strict=True)) <= spacing_ms


def test_old_frames_leave() -> None:
    buffer = ClipBuffer(8, 4.0)
    fill(buffer, 10.0, 1000)
    assert len(buffer) <= 22


def test_frames_of_different_sizes_live_together() -> None:
    buffer = ClipBuffer(2, 4.0)
    buffer.add(frame(START_NS, size=2))
    buffer.add(frame(START_NS + 250 * MS, size=7))
    clip = buffer.clip()
    assert clip is not None
    assert [f.image_HWC.shape[0] for f in clip.frames] == [2, 7]


def test_check_changes_nothing() -> None:
    buffer = ClipBuffer(2, 4.0)
    buffer.add(frame(START_NS))
    assert buffer.check(START_NS - NS_PER_S) is Added.RESTARTED_BACKWARD
    assert len(buffer) == 1
    assert buffer.counts == {Added.ADDED: 1}


@pytest.mark.parametrize(
    ("clip_frames", "rate_hz", "pass_frames", "max_gap_s"),
    [(0, 4.0, None, 1.0), (8, 0.0, None, 1.0), (8, float("nan"), None, 1.0), (8, 4.0, 3, 1.0),
     (8, 4.0, 0, 1.0), (8, 4.0, 2, 0.0)],
)  # fmt: skip
def test_impossible_settings_are_refused(
    clip_frames: int, rate_hz: float, pass_frames: int | None, max_gap_s: float
) -> None:
    with pytest.raises(ValueError, match="clip"):
        ClipBuffer(clip_frames, rate_hz, pass_frames=pass_frames, max_gap_s=max_gap_s)
