"""All scores of a world model, from a small engine that can imagine and from one that cannot."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from training.evaluate import (
    blind_choices,
    change,
    inverse,
    novelty,
    rare,
    reliability,
    rollouts,
    transitions,
)
from training.evaluate.choices import answered, by_kind, macro
from training.evaluate.observe import Observed, observe, observe_still
from training.evaluate.questions import score_questions
from training.evaluate.tabletop import Parts, evaluate
from training.evaluate.text_only import TextOnly
from training.tabletop import language
from training.tabletop.actions import Action, possible
from training.tabletop.names import ACTIONS, ALL_OBJECTS
from training.tabletop.rarity import RARE, RARE_ACTIONS
from training.tabletop.splits import TEST_SEEDS
from training.tabletop.world import Episode
from vljepa_ros.config import ModelConfig
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine, EngineError
from vljepa_ros.model.reliability import Actions, Reliability, Scenes, token_pairs
from vljepa_ros.model.text import Tokenizer, train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

SEED = TEST_SEEDS[500]
ACCURACIES = ("transition_accuracy", "transition_macro", "inverse_accuracy", "vqa_macro",
              "rollout_accuracy_1", "rollout_accuracy_2", "rollout_accuracy_3")  # fmt: skip
"""Each has its blind score beside it."""
ALONE = ("ece", "brier", "uncertainty_auroc", "change_auroc", "ood_far_auroc", "ood_near_auroc",
         "ood_far_footage_auroc", "ood_far_nonsense_auroc", "ood_near_verb_auroc",
         "ood_near_shape_auroc", "ood_near_camera_auroc", "candidate_only_excess")  # fmt: skip


@pytest.fixture(autouse=True)
def few_fitted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blind models fitted on few streams in few steps: what they find is tested elsewhere."""
    monkeypatch.setattr(blind_choices, "TextOnly", partial(TextOnly, steps=40))
    monkeypatch.setattr(blind_choices, "FIT_EPISODES", 6)
    monkeypatch.setattr(blind_choices, "CHECK_EPISODES", 2)
    monkeypatch.setattr(novelty, "CAMERA_EPISODES", 2)
    blind_choices.fit_worlds.cache_clear()
    yield
    blind_choices.fit_worlds.cache_clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained small model whose reliability knows the world's instructions and no others."""
    torch.manual_seed(0)
    config = dataclasses.replace(presets.tiny(), clip_frames=8)
    predictor = dataclasses.replace(config.predictor, next_tokens=True)
    config = dataclasses.replace(config, predictor=predictor)
    corpus = language.corpus(np.random.default_rng(0), 3000)
    tokenizer = train_tokenizer(list(corpus), config.predictor.vocab_size)
    model = VLJepa(config)
    assert model.predictor.next_projection is not None
    torch.nn.init.normal_(model.predictor.next_projection.weight, std=0.1)
    folder = tmp_path_factory.mktemp("imagining")
    checkpoint.save(model, tokenizer, folder, {}, reliability=a_reliability(config, tokenizer))
    return folder


def a_reliability(config: ModelConfig, tokenizer: Tokenizer) -> Reliability:
    width, token_width = config.predictor.width, config.x_encoder.width
    return Reliability(
        Actions(
            hidden_HW=torch.randn(8, width),
            hidden_bias_H=torch.zeros(8),
            doubt_H=torch.randn(8),
            doubt_bias=torch.zeros(1),
            outcomes_KH=torch.randn(3, 8),
            outcomes_bias_K=torch.zeros(3),
            undecided=torch.ones(1),
            pairs_P=token_pairs(*tokenizer.encode_batch(instructions(), 40)).unique(),
        ),
        Scenes(
            mean_D=torch.zeros(token_width),
            directions_KD=torch.linalg.qr(torch.randn(token_width, 4)).Q.T.contiguous(),
            deviation_K=torch.ones(4),
            residual=torch.ones(1),
            limit=torch.full((1,), 1e6),
        ),
    )


def instructions() -> list[str]:
    """Every skill and object, in many wordings."""
    rng = np.random.default_rng(0)
    objects = [(name, thing) for name in ACTIONS for thing in ALL_OBJECTS]
    return [language.action_instruction(Action(*pair), rng) for pair in objects for _ in range(25)]


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine.load(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def worlds() -> list[Episode]:
    return [Episode.generate(SEED + i, "test", max_actions=5) for i in range(3)]


@pytest.fixture(scope="module")
def moments(engine: Engine, worlds: list[Episode]) -> list[Observed]:
    return observe_still(engine, worlds, SEED)


@pytest.mark.slow
def test_every_score_is_there_beside_its_blind_one_and_the_same_again(folder: Path) -> None:
    parts = Parts(retrieval=False, actions=False, captions=False, streams=False)

    def scores() -> dict[str, float | int | str]:
        return evaluate(str(folder), SEED, episodes=2, parts=parts)

    first, second = scores(), scores()
    assert json.dumps(first) == json.dumps(second)
    for name in ACCURACIES:
        assert 0.0 <= float(first[name]) <= 1.0, name
        assert 0.0 <= float(first[f"{name}_blind"]) <= 1.0, name
    for name in ALONE:
        assert name == "ood_far_footage_auroc" or math.isfinite(float(first[name])), name
    assert math.isnan(float(first["ood_far_footage_auroc"]))
    outcomes = [name for name in first if f"{name}_items" in first and name != "transition"]
    assert first["transition_macro"] == pytest.approx(np.mean([first[o] for o in outcomes]))


def test_parts_can_be_left_out(folder: Path) -> None:
    none = Parts(*[False] * len(dataclasses.fields(Parts)))
    scores = evaluate(str(folder), SEED, episodes=1, parts=none)
    assert not any(name in scores for name in (*ACCURACIES, *ALONE, "still_moments"))


@pytest.mark.slow
def test_without_imagination_there_is_no_score_but_a_blind_one(
    worlds: list[Episode],
) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(presets.tiny(), clip_frames=8)
    tokenizer = train_tokenizer(["what is the robot doing?"], config.predictor.vocab_size)
    engine = Engine(VLJepa(config), tokenizer, sha256="0" * 64, device=torch.device("cpu"))
    moments = observe_still(engine, worlds, SEED)
    scores = transitions.score_transitions(engine, moments, SEED)
    scores |= rollouts.score_rollouts(engine, moments, SEED)
    scores |= change.score_change(engine, moments, SEED)
    scores |= inverse.score_inverse(engine, moments, [], worlds, SEED)
    scores |= novelty.score_novelty(engine, moments, SEED)
    for name in (*ACCURACIES, *ALONE):
        if name not in ("candidate_only_excess", "vqa_macro"):
            assert math.isnan(scores[name]), name
    assert 0.0 < scores["transition_accuracy_blind"] < 1.0
    assert scores["inverse_clips_accuracy_blind"] == 0.25


def test_a_still_moment_shows_two_frames_of_nothing_moving(moments: list[Observed]) -> None:
    assert len(moments) == 3 * 6
    assert all(m.truth.segment.action is None and not m.truth.state.moving for m in moments)


def test_an_answer_is_right_where_the_embedding_is_the_truths(
    engine: Engine, moments: list[Observed]
) -> None:
    items, seen = transitions.asked_of(moments, SEED)
    assert len(items) == len(seen) > 50
    truth_RE = engine.encode_texts([item.candidates[item.answer] for item in items])
    wrong_RE = engine.encode_texts([item.candidates[item.answer - 1] for item in items])
    right_R = answered(engine, truth_RE, items)
    assert right_R.all() and not answered(engine, wrong_RE, items).any()
    right_R[0] = False
    count = sum(item.kind == items[0].kind for item in items)
    kinds = by_kind(right_R, items)
    assert kinds[items[0].kind] == pytest.approx(1 - 1 / count)
    assert macro(right_R, items) == pytest.approx(1 - 1 / count / len(kinds))


def test_an_item_is_asked_of_the_clip_that_shows_its_state(moments: list[Observed]) -> None:
    items, seen = transitions.asked_of(moments, SEED)
    for item, moment in zip(items, seen, strict=True):
        meaning = language.parse(item.query)
        assert meaning is not None
        names = [o.name for o in moment.truth.state.objects]
        assert meaning.target is None or meaning.target in names


def test_a_step_lies_between_its_moments(moments: list[Observed], worlds: list[Episode]) -> None:
    asked = inverse.steps(moments, worlds, "which?", SEED)
    assert asked
    for step in asked:
        assert step.before.truth.segment.end_s == step.acted.onset_s
        assert step.acted.end_s == step.after.truth.segment.onset_s
        assert step.acted.action is not None
        truth = step.item.candidates[step.item.answer]
        assert truth == language.action_instruction(step.acted.action)


def test_what_is_imagined_depends_on_the_steps_before(
    engine: Engine, moments: list[Observed]
) -> None:
    rng = np.random.default_rng(0)
    walks = [rollouts.walk(m.truth.state, rng) for m in moments]
    clips = [m.tokens_TND for m in moments]
    once, twice = (rollouts.imagine_along(engine, w, clips) for w in (walks, walks))
    for walked, tokens, again in zip(walks, once, twice, strict=True):
        assert len(tokens) == len(walked.actions) + 1
        torch.testing.assert_close(tokens[-1], again[-1])
        expected_BTND = clips_after(engine, tokens[0], walked.actions)
        torch.testing.assert_close(tokens[-1], expected_BTND[0], atol=1e-4, rtol=1e-3)
        if len(tokens) > 1:
            assert not torch.allclose(tokens[0][-1], tokens[1][-1])


def clips_after(engine: Engine, clip_TND: torch.Tensor, actions: tuple[str, ...]) -> torch.Tensor:
    tokens_BTND = clip_TND[None]
    for action in actions:
        tokens_BTND = engine.imagine(tokens_BTND, [action]).tokens
    return tokens_BTND


def test_strange_words_are_told_from_known_ones(engine: Engine, moments: list[Observed]) -> None:
    scores = novelty.score_novelty(engine, moments, SEED)
    assert scores["ood_far_nonsense_auroc"] == 1.0
    assert scores["ood_near_verb_auroc"] > 0.9
    assert scores["ood_far_auroc"] == 1.0
    parts = [scores[f"ood_near_{part}_auroc"] for part in ("verb", "shape", "camera")]
    assert scores["ood_near_auroc"] == pytest.approx(np.mean(parts))


def test_footage_counts_as_far(engine: Engine, moments: list[Observed], tmp_path: Path) -> None:
    video = tmp_path / "noise.avi"
    write_video(video, seconds=3.0)
    scores = novelty.score_novelty(engine, moments, SEED, str(video))
    expected = (scores["ood_far_footage_auroc"] + scores["ood_far_nonsense_auroc"]) / 2
    assert scores["ood_far_auroc"] == pytest.approx(expected)
    # A clip spans 1.75 s; then one each quarter of a second.
    assert len(novelty.footage_clips(engine, video)) == 5


def test_footage_that_is_none_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give a video file"):
        novelty.footage_clips(engine, tmp_path / "missing.avi")
    write_video(tmp_path / "short.avi", seconds=1.0)
    with pytest.raises(ValueError, match="shorter than a clip"):
        novelty.footage_clips(engine, tmp_path / "short.avi")


def write_video(path: Path, seconds: float) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(round(seconds * 10)):
        writer.write(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()


def test_questions_are_scored_by_type(
    engine: Engine, moments: list[Observed], worlds: list[Episode]
) -> None:
    windows = [o for o in observe(engine, worlds, SEED) if o.truth.segment.action is not None]
    scores = score_questions(engine, moments, windows, SEED)
    types = [name for name in scores if f"{name}_majority" in scores and name != "vqa_macro"]
    assert {"vqa_count", "vqa_drawer", "vqa_left_of", "vqa_action"} <= set(types)
    assert scores["vqa_macro"] == pytest.approx(np.mean([scores[name] for name in types]))


def test_the_diagram_is_drawn(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "reliability.png"
    reliability.main(str(folder), SEED, episodes=2, out=str(out))
    assert cv2.imread(str(out)).shape[0] > 300


def test_without_imagination_there_is_no_diagram(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = presets.tiny()
    tokenizer = train_tokenizer(["what is the robot doing?"], config.predictor.vocab_size)
    checkpoint.save(VLJepa(config), tokenizer, tmp_path, {})
    with pytest.raises(EngineError, match="give another"):
        reliability.main(str(tmp_path), SEED, episodes=1, out=str(tmp_path / "none.png"))


def test_rare_outcomes_are_asked_where_they_can_be_had(engine: Engine) -> None:
    worlds = rare.offering(SEED, 100, "test")
    assert 0 < len(worlds) < 100
    items, seen = rare.ask(engine, worlds, SEED)
    for item, moment in zip(items, seen, strict=True):
        assert moment.truth.segment.action is None
        outcomes = {r.outcome for a, r in possible(moment.truth.state) if a.name in RARE_ACTIONS}
        assert item.kind in outcomes
    assert {("put_down", item.kind) for item in items} & RARE
    found = rare.scores(engine, items, seen, SEED)
    assert sum(score["items"] for score in found.values()) == len(items)
    for score in found.values():
        assert 0 <= score["accuracy"] <= 1 and 0 <= score["accuracy_blind"] <= 1
