from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from examples.demo.record import NS_PER_S, Event, Run, State
from examples.demo.recording import Recording
from examples.demo.screen import LiveScreen, PlainScreen, bar, blocks, open_screen, sparks
from examples.demo.truth import Segment
from vljepa_ros.types import EventReason

TRUTH = (Segment(0.0, 5.0, "nothing moves"), Segment(5.0, 30.0, "the gripper closes the drawer"))


@pytest.fixture
def recording() -> Recording:
    jpeg = cv2.imencode(".jpg", np.full((60, 80, 3), 128, np.uint8))[1].tobytes()
    return Recording(Path("some [b].mp4"), np.arange(0, 30.0, 0.5), [jpeg] * 60, [])


def run(seconds: int, *captions: tuple[float, str]) -> Run:
    stamps = [NS_PER_S * (100 + i) for i in range(seconds)]
    return Run(
        None,
        tuple((s, float(i)) for i, s in enumerate(stamps)),
        tuple(State(s, 3, stamps[0], 0.25, 0.5, 20.0, 0) for s in stamps),
        tuple(
            Event(int(NS_PER_S * (100 + t)), 10**6, EventReason.CHANGE, 3, caption, 0.9)
            for t, caption in captions
        ),
    )


def test_plain_lines_say_each_event_once_with_its_truth(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = open_screen(recording, TRUTH, plain=True)
    assert isinstance(screen, PlainScreen)
    screen.show(run(4, (1.0, "nothing moves")))
    screen.show(run(9, (1.0, "nothing moves"), (6.0, "red\x1b[2J\ncube")))
    screen.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "nothing moves  [right]" in lines[0]
    assert "red [2J cube  [truth: the gripper closes the drawer]" in lines[1]


def test_without_a_terminal_there_is_no_live_view(recording: Recording) -> None:
    assert isinstance(open_screen(recording, None, plain=False), PlainScreen)


@pytest.mark.parametrize("width", [60, 140])
def test_the_live_view_shows_state_score_and_captions(recording: Recording, width: int) -> None:
    output = io.StringIO()
    console = Console(file=output, width=width, height=40, force_terminal=True)
    screen = LiveScreen(console, recording, TRUTH)
    screen.say("loading [the] model")
    screen.show(run(9, (6.0, "the gripper closes the drawer")))
    screen.show(run(20, (6.0, "the gripper closes the drawer"), (8.0, "[bold]not markup[/nope]")))
    screen.close()
    shown = output.getvalue()
    for words in ("loading [the] model", "some [b].mp4", "0.25", "0.50", "✓", "✗", "not markup"):
        assert words in shown
    assert shown.rindex("loading [the] model") > shown.index("some [b].mp4")


def test_the_bar_is_filled_to_the_score_and_marked_at_the_threshold() -> None:
    assert bar(0.3, 0.5, 10).plain == "███░░┃░░░░"
    assert bar(0.9, 0.5, 10).plain == "█████┃███░"
    assert bar(0.0, 1.0, 10).plain == "░░░░░░░░░┃"
    assert {span.style for span in bar(0.9, 0.5, 10).spans} >= {"red"}


def test_sparks_and_blocks() -> None:
    assert sparks([0.0, 0.5, 1.0, 2.0], 3) == "▄██"
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = (255, 0, 0)
    text = blocks(image, 2)
    assert text.plain == "▀▀\n"
    assert {str(span.style) for span in text.spans} == {"#ff0000 on #000000"}
