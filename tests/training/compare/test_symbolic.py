"""The rules on true maps: what they get wrong, no head could mend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_comparison import Toy

from training.compare import question_rules, scene_rules
from training.compare.learners import make
from training.compare.scene_rules import Scene, Seen, read_scene
from training.compare.symbolic import SymbolicLearner
from training.evaluate.questions import items_of
from training.tabletop import language
from training.tabletop.cache import CROP_PX, GRID, MAPS, FrameCache
from training.tabletop.names import ObjectName
from training.tabletop.questions import example_questions, read
from training.tabletop.splits import TEST_SEEDS
from training.tabletop.windows import WindowTruth, truth
from training.tabletop.world import Episode
from training.x_encoder import to_patches


@pytest.fixture(scope="module")
def moments() -> Sequence[tuple[Scene, WindowTruth]]:
    """Still scenes as the rules read them from their true labels."""
    found = []
    for seed in TEST_SEEDS[700:712]:
        episode = Episode.generate(seed, "test")
        for segment in episode.segments:
            if segment.action is None:
                at_s = segment.end_s - 1e-3
                labels = episode.dense_labels(at_s, CROP_PX, GRID)
                maps = {name: getattr(labels, f"{name}_GG") for name in MAPS}
                found.append((read_scene(maps, labels.drawer_open), truth(episode, at_s)))
    return found


def test_true_maps_give_true_captions(moments: Sequence[tuple[Scene, WindowTruth]]) -> None:
    said = [(s.meaning(), t.scene_meaning) for s, t in moments if t.scene_meaning is not None]
    right = np.mean([a == b for a, b in said])
    assert len(said) > 40
    assert right > 0.7, [pair for pair in said if pair[0] != pair[1]][:3]


def test_true_maps_answer_questions(moments: Sequence[tuple[Scene, WindowTruth]]) -> None:
    rng = np.random.default_rng(0)
    right: dict[str, list[bool]] = {}
    for scene, about in moments:
        for item in items_of(about, rng):
            said = question_rules.answer(scene, item.query)
            right.setdefault(item.kind, []).append(said == item.candidates[item.answer])
    assert not any(right.pop("action")), "it has no answer to what happens"
    shares = {kind: float(np.mean(some)) for kind, some in right.items()}
    assert len(shares) == 12
    assert min(shares.values()) > 0.7 and np.mean(list(shares.values())) > 0.9, shares


def test_a_caption_fits_the_better_the_more_of_it_is_true() -> None:
    red, blue = ObjectName("red", "cube"), ObjectName("blue", "ball")
    scene = Scene((Seen(red, 0.2, 0.6), Seen(blue, 0.6, 0.6)), drawer_open=False)
    meaning = scene.meaning()
    rng = np.random.default_rng(1)
    exact = scene_rules.fit(scene, language.caption(meaning, rng))
    edits = [scene_rules.fit(scene, language.canonical(m)) for m in language.edits(meaning, rng, 9)]
    other = scene_rules.fit(scene, language.canonical(language.sample_meaning("scene", rng)))
    assert exact == 1.0 > max(edits) and min(edits) > other
    assert np.isnan(scene_rules.fit(scene, "the robot pushes the red cube left"))


def test_what_stands_on_what_and_lies_where_is_read() -> None:
    red, blue, held = (
        ObjectName(*n) for n in (("red", "cube"), ("blue", "cone"), ("cyan", "ball"))
    )
    scene = Scene(
        (Seen(red, 0.3, 0.6), Seen(blue, 0.31, 0.45, raised=True), Seen(held, 0.5, 0.2, held=True)),
        drawer_open=True,
    )
    said = language.canonical(scene.meaning())
    assert "a red cube with a blue cone on top" in said and "holds the cyan ball" in said
    assert question_rules.answer(scene, "Is the blue cone on top of the red cube?") == "yes"
    assert question_rules.answer(scene, "Is the red cube on top of the blue cone?") == "no"
    assert question_rules.answer(scene, "What colour is the object in the gripper?") == "cyan"
    assert question_rules.answer(scene, "How many objects can be seen?") == "three"
    assert question_rules.answer(scene, "Is the drawer closed?") == "no"
    assert question_rules.answer(scene, "What is the robot doing?") is None
    assert question_rules.answer(scene, "Will it rain?") is None


def test_every_question_of_the_world_is_read_back() -> None:
    kinds = {found[0] for text in example_questions() if (found := read(text)) is not None}
    assert len(kinds) == 13
    assert read("Is the red cube left of the blue ball?") == (
        "left_of", {"c": "red", "s": "cube", "d": "blue", "t": "ball"},
    )  # fmt: skip
    assert read("is it?") is None


def test_maps_come_back_as_they_went_into_patches(toy: Toy) -> None:
    learner = make("symbolic", toy.frozen, toy.streams, 1)
    assert isinstance(learner, SymbolicLearner)
    grid_BGG = torch.arange(2 * GRID * GRID).reshape(2, GRID, GRID)
    side = round(toy.frozen.model.predictor.places**0.5)
    assert torch.equal(learner._grid(to_patches(grid_BGG, side)), grid_BGG)


def test_labels_belong_to_their_tokens(toy: Toy) -> None:
    """Each row is found in the cache at one place: its tokens, and there its newer frame's maps."""
    batch = toy.streams.labels(3)[2]
    shard = FrameCache(Path(toy.comparison.data.cache)).shards[0]
    tokens = np.array(shard.tokens)
    for row, tokens_ND in enumerate(batch["tokens_BND"].numpy()):
        (at,) = np.flatnonzero((tokens == tokens_ND).all(axis=(1, 2)))
        for name in MAPS:
            assert (shard.arrays[name][2 * at + 1] == batch[name][row].numpy()).all()
        assert (shard.arrays["pose"][2 * at + 1] == batch["pose_BP"][row].numpy()).all()
