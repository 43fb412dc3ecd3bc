"""Streams: no holes, no jumps, the same for a seed, and the splits hold out what they say."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from training.tabletop import splits
from training.tabletop.catalogue import plausible
from training.tabletop.looks import HELDOUT_TEXTURES, TRAIN_TEXTURES
from training.tabletop.meaning import idle_meaning
from training.tabletop.names import ACTIONS, HELDOUT_OBJECTS, TRAIN_OBJECTS
from training.tabletop.world import Episode, Segment, next_state

SEEDS = range(4_000_000, 4_000_040)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return [Episode.generate(seed) for seed in SEEDS]


def acted(episodes: list[Episode]) -> list[Segment]:
    return [s for e in episodes for s in e.segments if s.action is not None]


def test_segments_cover_the_stream_and_alternate_with_idle(episodes: list[Episode]) -> None:
    for episode in episodes:
        assert episode.segments[0].onset_s == 0
        for a, b in pairwise(episode.segments):
            assert a.end_s == b.onset_s
            assert a.meaning != b.meaning
            assert (a.action is None) != (b.action is None)
        assert episode.duration_s == episode.segments[-1].end_s
        for s in episode.segments:
            assert s.onset_s <= s.decided_s < s.end_s
            assert episode.segment_at(s.onset_s) is s
            assert episode.segment_at((s.onset_s + s.end_s) / 2) is s
        assert episode.segment_at(episode.duration_s + 5) is episode.segments[-1]


def test_actions_last_as_long_as_people_need_to_see_them(episodes: list[Episode]) -> None:
    lengths = [s.end_s - s.onset_s for s in acted(episodes)]
    assert min(lengths) >= 1.5
    assert max(lengths) <= 2.7


def test_state_changes_smoothly_and_idle_stands_still(episodes: list[Episode]) -> None:
    for episode in episodes[:12]:
        times = np.arange(0, episode.duration_s, 0.02)
        poses = np.array([_pose(episode, t) for t in times])
        steps = np.abs(np.diff(poses, axis=0)).max(axis=(1, 2))
        # Falling off the table is the fastest thing there is.
        assert steps.max() < 6.0
        for segment in episode.segments:
            if segment.action is None:
                ends = [_pose(episode, t) for t in (segment.onset_s, segment.end_s - 1e-6)]
                assert np.array_equal(*ends)


def _pose(episode: Episode, t: float) -> np.ndarray:
    state = episode.state(float(t))
    g = state.gripper
    objects = [(o.x, o.y, o.z, 10 * o.tilt) for o in state.objects]
    return np.array([*objects, (g.x, g.y, g.z, 20 * state.drawer)])


def test_motion_keys_run_forward_in_time(episodes: list[Episode]) -> None:
    for segment in acted(episodes):
        m = segment.motion
        for keys in (m.gripper, m.drawer, *m.objects.values()):
            shares = [key.u for key in keys]
            assert shares == sorted(shares)
            assert shares[-1] <= 1.0


def test_segments_end_as_next_state_says(episodes: list[Episode]) -> None:
    for segment in acted(episodes):
        assert segment.action is not None
        after, result = next_state(segment.motion.start, segment.action)
        assert segment.motion.at(1.0) == after
        assert (segment.outcome, segment.ambiguous) == (result.outcome, result.ambiguous)
        assert plausible(segment.meaning)


def test_every_outcome_comes_up_and_none_rules(episodes: list[Episode]) -> None:
    more = [Episode.generate(seed) for seed in range(4_000_100, 4_000_160)]
    outcomes = Counter(s.outcome for s in acted(more))
    names = Counter(s.action.name for s in acted(more) if s.action)
    assert set(names) == set(ACTIONS)
    assert min(names.values()) > 0.03 * names.total()
    assert len(outcomes) >= 20
    assert outcomes["success"] < 0.5 * outcomes.total()


def test_a_seed_is_one_stream_and_splits_share_none() -> None:
    first, again = Episode.generate(4_000_000), Episode.generate(4_000_000)
    assert [s.meaning for s in first.segments] == [s.meaning for s in again.segments]
    assert first.state(7.3) == again.state(7.3)
    assert np.array_equal(first.render(7.3, (109, 109)), again.render(7.3, (109, 109)))
    other = Episode.generate(4_000_000, "test")
    assert [s.meaning for s in other.segments] != [s.meaning for s in first.segments]


def test_own_seed_ranges_are_disjoint_and_leave_acceptance_alone() -> None:
    ranges = (splits.TRAIN_SEEDS, splits.TUNE_SEEDS, splits.TEST_SEEDS, splits.SAMPLE_SEEDS)
    for a, b in pairwise(ranges):
        assert a.stop <= b.start
    assert ranges[-1].stop <= 9_000_000


@pytest.mark.parametrize("idle_fraction", [0.2, 0.5, 0.8])
def test_idle_fraction_is_kept(idle_fraction: float) -> None:
    idle = total = 0.0
    for seed in range(4_000_000, 4_000_020):
        episode = Episode.generate(seed, idle_fraction=idle_fraction, max_actions=6)
        assert sum(s.action is not None for s in episode.segments) == 6
        idle += sum(s.end_s - s.onset_s for s in episode.segments if s.action is None)
        total += episode.duration_s
    assert idle / total == pytest.approx(idle_fraction, abs=0.06)


def test_bad_arguments_say_the_mend() -> None:
    with pytest.raises(ValueError, match="use one of train"):
        Episode.generate(1, "training")
    with pytest.raises(ValueError, match=r"0\.1 to 0\.95"):
        Episode.generate(1, idle_fraction=1.0)
    with pytest.raises(ValueError, match="1 or more"):
        Episode.generate(1, max_actions=0)
    with pytest.raises(ValueError, match="negative"):
        Episode.generate(-1)


def test_objects_are_two_to_five_and_named_apart(episodes: list[Episode]) -> None:
    for episode in episodes:
        names = [o.name for o in episode.segments[0].motion.start.objects]
        assert 2 <= len(names) <= 5
        assert len(set(names)) == len(names)
        assert set(names) <= set(TRAIN_OBJECTS)


def test_heldout_combinations_are_in_their_split_only() -> None:
    for seed in range(4_000_000, 4_000_010):
        held_out = Episode.generate(seed, "heldout_combination").segments[0].motion.start
        assert any(o.name in HELDOUT_OBJECTS for o in held_out.objects)
    assert len(HELDOUT_OBJECTS) == 6
    assert len({n.colour for n in HELDOUT_OBJECTS}) >= 5


def test_heldout_looks_and_cameras_lie_outside_of_training(episodes: list[Episode]) -> None:
    assert not set(HELDOUT_TEXTURES) & set(TRAIN_TEXTURES)
    trained = [e.camera for e in episodes]
    for seed in range(4_000_000, 4_000_020):
        assert Episode.generate(seed, "heldout_background").look.texture in HELDOUT_TEXTURES
        camera = Episode.generate(seed, "heldout_camera").camera
        assert abs(camera.roll_deg) > max(abs(c.roll_deg) for c in trained)
        scales = [c.scale for c in trained]
        assert camera.scale > max(scales) or camera.scale < min(scales)


def test_idle_has_one_meaning(episodes: list[Episode]) -> None:
    idle = [s for e in episodes for s in e.segments if s.action is None]
    assert {s.meaning for s in idle} == {idle_meaning()}
