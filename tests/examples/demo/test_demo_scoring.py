"""Scores of synthetic runs whose right answer is known by construction."""

from __future__ import annotations

import pytest

from examples.demo.record import NS_PER_S, Event, Run, State
from examples.demo.scoring import Window, cut_windows, match, summary, true_events
from examples.demo.truth import Segment
from vljepa_ros.types import EventReason

IDLE = "nothing moves"
PUSH = "the gripper pushes the purple cone away"
PUSH_OTHERWISE = "the purple cone is pushed away by the robot"
SHUT = "the gripper closes the drawer"
TRUTH = (
    Segment(0.0, 4.0, IDLE),
    Segment(4.0, 6.0, PUSH),
    Segment(6.0, 10.0, IDLE),
    Segment(10.0, 12.0, SHUT),
    Segment(12.0, 20.0, IDLE),
)
START_NS = 1_700_000_000 * NS_PER_S
LATENCY_NS = 200_000_000


def at_ns(time_s: float) -> int:
    return START_NS + round(time_s * NS_PER_S)


def event(published_s: float, caption: str, reason: EventReason = EventReason.CHANGE) -> Event:
    """Published then; the frame it speaks of is older by the latency."""
    return Event(at_ns(published_s) - LATENCY_NS, LATENCY_NS, reason, 1, caption, 0.5)


def run(*events: Event, frames: int = 200, dropped: int = 0, lost: int = 0) -> Run:
    states = [
        State(at_ns(i / 10), 1, START_NS, 0.1, 0.5, 10.0 + i, 0)
        for i in range(frames - dropped - lost)
    ]
    last = states[-1]
    states[-1] = State(last.stamp_ns, 1, START_NS, 0.1, 0.5, last.latency_ms, dropped)
    references = tuple((at_ns(i / 10), i / 10) for i in range(frames))
    return Run(frames, references, tuple(states), tuple(events))


def scores(*events: Event) -> tuple[int, int]:
    figures = summary(run(*events), duration_s=20.0, truth=TRUTH)
    return figures["events_hit"], figures["captions_right"]


def test_a_perfect_run() -> None:
    first = event(0.3, IDLE, EventReason.FIRST)
    figures = summary(
        run(first, event(5, PUSH_OTHERWISE), event(7, IDLE), event(11, SHUT), event(13, IDLE)),
        duration_s=20.0,
        truth=TRUTH,
    )
    assert figures["true_events"] == 4
    assert figures["events_hit"] == figures["captions_right"] == 4
    assert figures["decodes_per_true_event"] == 1.25  # the first one counts
    assert figures["changes_per_minute"] == 12.0
    assert figures["false_changes_per_minute"] == 0.0


def test_the_first_segment_is_no_event() -> None:
    assert true_events(TRUTH) == TRUTH[1:]


@pytest.mark.parametrize(
    ("published_s", "hit"), [(3.9, 0), (4.1, 1), (6.9, 1), (7.2, 1), (11.2, 1), (2.0, 0)]
)
def test_an_event_is_hit_from_its_onset_to_a_second_after_its_end(
    published_s: float, hit: int
) -> None:
    assert scores(event(published_s, "anything"))[0] == hit


def test_what_counts_is_when_it_was_published_not_what_it_speaks_of() -> None:
    assert scores(event(4.1, PUSH)) == (1, 1)  # its frame is from before the onset
    assert scores(event(7.1, PUSH)) == (1, 0)  # its frame is from before end + 1 s: a hit of idle


def test_a_change_hits_one_event_only() -> None:
    assert scores(event(6.5, IDLE))[0] == 1
    assert scores(event(6.5, PUSH), event(6.6, IDLE))[0] == 2


def test_heartbeats_hit_nothing_but_their_caption_counts() -> None:
    assert scores(event(5, PUSH, EventReason.HEARTBEAT)) == (0, 0)
    assert scores(event(5, SHUT), event(5.5, PUSH, EventReason.HEARTBEAT)) == (1, 1)


def test_a_caption_is_right_by_meaning_and_text_of_no_meaning_is_wrong() -> None:
    assert scores(event(5, PUSH_OTHERWISE)) == (1, 1)
    assert scores(event(5, "the gripper pushes the purple ball away")) == (1, 0)
    assert scores(event(5, "")) == (1, 0)
    assert scores(event(5, "cone purple")) == (1, 0)


def test_a_run_with_nothing_to_say_and_an_open_gate() -> None:
    assert scores() == (0, 0)
    always = [event(i / 10, IDLE) for i in range(1, 200)]
    figures = summary(run(*always), duration_s=20.0, truth=TRUTH)
    assert figures["events_hit"] == 4
    assert figures["decodes_per_true_event"] == 49.75
    assert figures["false_changes_per_minute"] == 585.0


def test_as_many_windows_as_possible_are_matched() -> None:
    windows = [Window(0, 4), Window(3, 6)]
    assert match(windows, [3.5, 2.0]) == [2.0, 3.5]
    assert match(windows, [3.5]) == [3.5, None]
    assert match(windows, [5.0]) == [None, 5.0]


def test_without_truth_the_hard_cuts_explain_changes() -> None:
    figures = summary(
        run(event(5.4, "x"), event(9, "y")), duration_s=20.0, truth=None, cuts_s=[5.0, 19.5]
    )
    for name in ("true_events", "events_hit", "captions_right", "decodes_per_true_event"):
        assert figures[name] is None
    assert (figures["cuts"], figures["cuts_hit"]) == (1, 1)
    assert figures["changes_per_minute"] == 6.0
    assert figures["false_changes_per_minute"] == 3.0


def test_a_cut_at_the_end_cannot_be_noticed() -> None:
    assert [w.start_s for w in cut_windows([5.0, 9.5], 10.0)] == [5.0]


def test_every_frame_is_accounted_for() -> None:
    whole = run(frames=200, dropped=30)
    assert whole.complete and whole.lost == 0
    figures = summary(run(frames=200, dropped=30, lost=2), duration_s=20.0, truth=TRUTH)
    assert figures["frames"] == figures["states"] + figures["dropped"] + figures["lost"]
    assert (figures["states"], figures["dropped"], figures["lost"]) == (168, 30, 2)
    assert not run(frames=200, lost=1).complete


def test_a_camera_that_has_not_ended_is_not_complete() -> None:
    whole = run()
    assert not Run(None, whole.references, whole.states, whole.events).complete


def test_latency_percentiles() -> None:
    figures = summary(run(frames=101), duration_s=10.0, truth=None)
    assert figures["latency_ms_p50"] == 60.0
    assert figures["latency_ms_p99"] == 109.0


def test_time_in_the_recording_follows_a_camera_that_fell_behind() -> None:
    references = ((at_ns(0.0), 0.0), (at_ns(0.1), 0.1), (at_ns(5.2), 0.2))
    late = Run(3, references, (), ())
    assert late.time_s(at_ns(0.1)) == pytest.approx(0.1)
    assert late.time_s(at_ns(0.15)) == pytest.approx(0.15)
    assert late.time_s(at_ns(5.2)) == pytest.approx(0.2)
    assert late.time_s(at_ns(5.7)) == pytest.approx(0.7)
    assert late.time_s(at_ns(-0.5)) == pytest.approx(-0.5)
