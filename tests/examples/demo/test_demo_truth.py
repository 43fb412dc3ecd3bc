from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from examples.demo.truth import Segment, TruthError, cuts, load_truth, meaning, small, truth_at

SHIPPED = Path(__file__).resolve().parents[3] / "samples" / "tabletop.json"


def test_the_shipped_truth_is_one_story_without_gaps() -> None:
    segments = load_truth(SHIPPED)
    assert len(segments) > 20
    assert segments[0].start_s == 0.0
    assert 60.0 <= segments[-1].end_s <= 120.0
    for one, other in pairwise(segments):
        assert one.end_s == other.start_s
        assert meaning(one.caption) != meaning(other.caption)


def test_truth_at_a_time() -> None:
    segments = (Segment(0.0, 1.0, "a"), Segment(1.0, 2.0, "b"))
    assert truth_at(segments, 0.0) is segments[0]
    assert truth_at(segments, 1.0) is segments[1]
    assert truth_at(segments, 2.0) is None
    assert truth_at((), 0.5) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"segments": 3}', '{"segments": [{"onset_s": 0}]}', '{"segments": [{"onset_s": '],
)
def test_a_file_that_is_no_truth_is_an_error_that_says_what_is_missing(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "truth.json"
    file.write_text(text)
    with pytest.raises(TruthError, match=r"truth\.json .*onset_s, end_s and caption"):
        load_truth(file)


def test_a_truth_of_another_world_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    row = {"onset_s": 0.0, "end_s": 1.0, "caption": "a dog barks"}
    file.write_text(json.dumps({"segments": [row]}))
    with pytest.raises(TruthError, match="a dog barks"):
        load_truth(file)
    with pytest.raises(TruthError, match="cannot be read"):
        load_truth(tmp_path / "none.json")


def scene(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (3, 4, 3)), np.ones((30, 40, 1))).astype(np.uint8)


def test_hard_cuts_are_found_and_fades_and_movement_are_not() -> None:
    frames = [scene(0)] * 10 + [scene(1)] * 10
    for share in np.linspace(0.0, 1.0, 15):  # a fade
        frames.append((scene(1) * (1 - share) + scene(2) * share).astype(np.uint8))
    frames += [np.roll(scene(2), 3 * shift, axis=1) for shift in range(10)]
    smalls = [small(frame) for frame in frames]
    assert cuts(smalls, [i / 10 for i in range(len(smalls))]) == [1.0]


def test_no_cut_in_one_frame_or_none() -> None:
    assert cuts([], []) == []
    assert cuts([small(scene(0))], [0.0]) == []
