from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from examples.demo import picture
from examples.demo.picture import chosen_times, spread
from examples.demo.record import NS_PER_S, Event, Run, State
from examples.demo.recording import Recording
from examples.demo.scoring import summary
from examples.demo.truth import Segment
from vljepa_ros.types import EventReason

TRUTH = (
    Segment(0.0, 5.0, "nothing moves"),
    Segment(5.0, 10.0, "the gripper closes the drawer"),
    Segment(10.0, 30.0, "nothing moves"),
)


def recording(seconds: float = 30.0) -> Recording:
    image = np.full((60, 80, 3), 128, np.uint8)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    times_s = np.arange(0, seconds, 0.5)
    return Recording(Path("some.mp4"), times_s, [jpeg] * len(times_s), [12.0])


def run(caption: str) -> Run:
    stamps = [NS_PER_S * (100 + i) // 1 for i in range(30)]
    states = tuple(State(s, 1, stamps[0], 0.2, 0.5, 20.0, 0) for s in stamps)
    events = (
        Event(stamps[0], 10**7, EventReason.FIRST, 1, "nothing moves", 0.9),
        Event(stamps[6], 10**7, EventReason.CHANGE, 2, caption, 0.9),
    )
    return Run(30, tuple((s, float(i)) for i, s in enumerate(stamps)), states, events)


def colours(file: Path) -> dict[tuple[int, ...], int]:
    """Pixels by RGB colour."""
    bgr = cv2.imread(str(file))
    assert bgr is not None
    found, counts = np.unique(bgr[..., ::-1].reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(int(v) for v in colour): int(n) for colour, n in zip(found, counts, strict=True)}


def rgb(hex_colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(hex_colour[1:]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("caption", "right_s"),
    # idle is true until 5 s; the closing said at 6 s until 10 s
    [("the gripper closes the drawer", 5 + 4), ("nothing moves", 5 + 20), ("gibberish $ \\", 5)],
)
def test_the_picture_shows_for_how_long_captions_are_true(
    caption: str, right_s: float, tmp_path: Path
) -> None:
    file = tmp_path / "folder" / "demo.png"
    heard = run(caption)
    figures = summary(heard, duration_s=30.0, truth=TRUTH)
    picture.draw(file, heard, recording(), TRUTH, figures)
    found = colours(file)
    right, wrong = found[rgb(picture.RIGHT)], found[rgb(picture.WRONG)]
    assert right / (right + wrong) == pytest.approx(right_s / 30.0, abs=0.06)


@pytest.mark.slow
def test_a_run_without_truth_or_states_is_drawn_too(tmp_path: Path) -> None:
    file = tmp_path / "demo.png"
    heard = run("gibberish")
    picture.draw(file, heard, recording(), None, summary(heard, duration_s=30.0, truth=None))
    assert rgb(picture.RIGHT) not in colours(file)
    empty = Run(0, (), (), ())
    picture.draw(file, empty, recording(0.6), None, summary(empty, duration_s=0.6, truth=None))
    assert file.stat().st_size > 1000


def test_the_sentence_tells_lost_frames() -> None:
    heard = run("x")
    lossy = Run(35, heard.references, heard.states, heard.events)
    figures = summary(lossy, duration_s=30.0, truth=TRUTH)
    assert "35 frames: 30 states, 0 dropped, 5 lost" in picture.sentence(figures)


def test_frames_are_spread_without_overlap_and_stay_near() -> None:
    assert spread([5.0], 0, 20, 2) == [5.0]
    assert spread([5.0, 5.0], 0, 20, 2) == [4.0, 6.0]
    assert spread([0.0, 0.1, 9.0], 0, 20, 2) == pytest.approx([1.0, 3.0, 9.0], abs=0.06)
    for times_s in ([0.0] * 10, [20.0] * 10, [3, 4, 4.5, 19, 19.5]):
        middles = spread(times_s, 0, 20, 2)
        assert min(np.diff(middles)) >= 2 - 1e-9
        assert middles[0] >= 1 - 1e-9
        assert middles[-1] <= 19 + 1e-9


def test_rows_show_events_first_and_fill_gaps() -> None:
    assert chosen_times([1.0, 2.0], 0, 3, 1) == [1.0, 2.0]
    many = [i / 10 for i in range(100)]
    chosen = chosen_times(many, 0, 10, 1)
    assert len(chosen) == 10
    assert set(chosen) <= set(many)
    assert np.ptp(chosen) > 8
    filled = chosen_times([9.0], 0, 10, 1)
    assert 9.0 in filled
    assert 3 < len(filled) <= 10
