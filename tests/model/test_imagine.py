"""What the model expects after an action: embedding, tokens, uncertainty, novelty."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vljepa_ros.config import ModelConfig
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine, EngineError
from vljepa_ros.model.reliability import Actions, Reliability, SceneAfter, Scenes, token_pairs
from vljepa_ros.model.text import TextError, Tokenizer
from vljepa_ros.model.vljepa import VLJepa

KNOWN = ["push the cube", "open the drawer"]


def imagining(**changes: Any) -> ModelConfig:
    config = presets.tiny()
    predictor = dataclasses.replace(config.predictor, next_tokens=True, **changes)
    return dataclasses.replace(config, predictor=predictor)


def a_model(config: ModelConfig) -> VLJepa:
    torch.manual_seed(0)
    model = VLJepa(config).eval()
    assert model.predictor.next_projection is not None
    torch.nn.init.normal_(model.predictor.next_projection.weight, std=0.1)
    return model


def a_reliability(config: ModelConfig, tokenizer: Tokenizer) -> Reliability:
    torch.manual_seed(1)
    width, token_width = config.predictor.width, config.x_encoder.width
    directions = torch.linalg.qr(torch.randn(token_width, 4)).Q.T.contiguous()
    return Reliability(
        Actions(
            hidden_HW=torch.randn(8, width),
            hidden_bias_H=torch.zeros(8),
            doubt_H=torch.randn(8),
            doubt_bias=torch.zeros(1),
            outcomes_KH=torch.randn(3, 8),
            outcomes_bias_K=torch.zeros(3),
            undecided=torch.ones(1),
            pairs_P=token_pairs(*tokenizer.encode_batch(KNOWN, 40)).unique(),
        ),
        Scenes(
            mean_D=torch.zeros(token_width),
            directions_KD=directions,
            deviation_K=torch.ones(4),
            residual=torch.ones(1),
            limit=torch.full((1,), 100.0),
        ),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("imagining")
    config = imagining()
    checkpoint.save(
        a_model(config), tokenizer, folder, {}, reliability=a_reliability(config, tokenizer)
    )
    return folder


@pytest.fixture(scope="module")
def dreamer(folder: Path) -> Engine:
    return Engine.load(folder, device="cpu")


def clips(engine: Engine, count: int) -> torch.Tensor:
    crop = engine.config.x_encoder.crop_px
    shape = (count, engine.config.clip_frames, crop, crop, 3)
    return engine.encode_clips(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def a_scene_after(config: ModelConfig, still: bool = False) -> SceneAfter:
    torch.manual_seed(2)
    width, inputs = config.embedding_width, config.predictor.width + config.embedding_width
    step_EH = torch.zeros(width, 8) if still else torch.randn(width, 8)
    return SceneAfter(torch.randn(8, inputs), torch.randn(8), step_EH, torch.zeros(width))


def with_scene_after(folder: Path, tokenizer: Tokenizer, part: SceneAfter) -> Engine:
    config = imagining()
    checkpoint.save(
        a_model(config), tokenizer, folder, {}, reliability=Reliability(scene_after=part)
    )
    return Engine.load(folder, device="cpu")


def test_without_a_learnt_way_the_imagined_scenes_are_asked(dreamer: Engine) -> None:
    clip, scene = clips(dreamer, 1), dreamer.config.scene_query
    imagined = dreamer.imagine(clip, KNOWN)
    found = dreamer.scenes_after(imagined, dreamer.predict(clip, [scene])[0])
    np.testing.assert_allclose(found, dreamer.predict(imagined.tokens, [scene] * 2), atol=1e-6)


def test_where_it_was_learnt_no_pass_is_made(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = with_scene_after(tmp_path, tokenizer, a_scene_after(imagining()))
    clip = clips(engine, 1)
    imagined = engine.imagine(clip, KNOWN)
    before_E = engine.predict(clip, [engine.config.scene_query])[0]
    monkeypatch.setattr(engine, "predict", None)
    found = engine.scenes_after(imagined, before_E)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    alone = engine.scenes_after(engine.imagine(clip, KNOWN[:1]), before_E)
    np.testing.assert_allclose(found[:1], alone, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3  # the actions tell


def test_an_action_without_a_step_leaves_the_scene(tmp_path: Path, tokenizer: Tokenizer) -> None:
    engine = with_scene_after(tmp_path, tokenizer, a_scene_after(imagining(), still=True))
    clip = clips(engine, 1)
    before_E = engine.predict(clip, [engine.config.scene_query])[0]
    found = engine.scenes_after(engine.imagine(clip, KNOWN), before_E)
    np.testing.assert_allclose(found, np.stack([before_E] * 2), atol=1e-6)


def test_an_action_predicts_what_it_predicts_as_a_query(dreamer: Engine) -> None:
    clip = clips(dreamer, 1)
    found = dreamer.imagine(clip, KNOWN)
    np.testing.assert_allclose(found.embeddings, dreamer.predict(clip, KNOWN), atol=1e-6)
    assert found.tokens.shape == (2, *clip.shape[1:])


def test_one_batch_equals_single_actions(dreamer: Engine) -> None:
    clip = clips(dreamer, 2)
    whole = dreamer.imagine(clip, KNOWN)
    for row, action in enumerate(KNOWN):
        alone = dreamer.imagine(clip[row : row + 1], [action])
        np.testing.assert_allclose(whole.embeddings[row], alone.embeddings[0], atol=1e-5)
        torch.testing.assert_close(whole.tokens[row], alone.tokens[0], atol=1e-5, rtol=0)
        np.testing.assert_allclose(whole.uncertainty[row], alone.uncertainty[0], atol=1e-5)


def test_the_scene_after_depends_on_the_action_and_is_still(dreamer: Engine) -> None:
    after = dreamer.imagine(clips(dreamer, 1), KNOWN).tokens
    assert not torch.allclose(after[0], after[1], atol=1e-4)
    assert torch.equal(after[:, 0], after[:, -1])
    assert dreamer.predict(after, ["What?", "What?"]).shape == (2, dreamer.embedding_width)


@torch.no_grad()
def test_before_it_has_learnt_nothing_changes() -> None:
    torch.manual_seed(0)
    model = VLJepa(imagining()).eval()
    tokens = torch.randn(1, 2, model.predictor.places, 24)
    ids = torch.tensor([[5, 6]])
    found = model.predictor.imagine(tokens, ids, torch.ones_like(ids))
    assert torch.equal(found.next_BND, tokens[:, -1])


@torch.no_grad()
def test_unmerged_frames_change_the_last_tubelet() -> None:
    model = a_model(imagining(merge_frames=False))
    tokens = torch.randn(1, 2, model.predictor.places, 24)
    ids = torch.tensor([[5, 6]])
    found = model.predictor.imagine(tokens, ids, torch.ones_like(ids))
    visual, _ = model.predictor.hidden(tokens, ids, torch.ones_like(ids))
    assert model.predictor.next_projection is not None
    change = model.predictor.next_projection(visual[:, model.predictor.places :])
    torch.testing.assert_close(found.next_BND, tokens[:, 1] + change)


def test_joined_states_are_still_then_still(dreamer: Engine) -> None:
    first, second = clips(dreamer, 2).split(1)
    joined = dreamer.join_states(first, second)
    assert joined.shape == first.shape
    assert torch.equal(joined[0, 0], first[0, -1]) and torch.equal(joined[0, -1], second[0, -1])


def test_unknown_words_are_novel_and_known_ones_are_not(dreamer: Engine) -> None:
    found = dreamer.imagine(clips(dreamer, 1), [*KNOWN, "kick the cube", "drawer open"])
    assert found.out_of_distribution.tolist() == [False, False, True, True]
    assert ((found.uncertainty > 0) & (found.uncertainty < 1)).all()


def test_a_scene_beyond_the_limit_is_novel(folder: Path) -> None:
    reliability = checkpoint.load_reliability(folder)
    assert reliability is not None and reliability.scenes is not None
    scenes = reliability.scenes
    near, far = torch.zeros(1, 3, 24), torch.full((1, 3, 24), 1e4)
    assert float(scenes.novelty(near)) < 1 < float(scenes.novelty(far))
    along = scenes.directions_KD[0] * 2
    distance = float(scenes.distance(along.expand(1, 3, -1)))
    assert distance == pytest.approx((4 / 5) ** 0.5, rel=1e-4)


def test_padding_does_not_change_the_pairs(tokenizer: Tokenizer) -> None:
    short = token_pairs(*tokenizer.encode_batch(KNOWN[:1], 40))
    padded = token_pairs(*tokenizer.encode_batch([KNOWN[0], "a much longer text than that"], 40))
    assert set(short[0].tolist()) <= set(padded[0].tolist())


def test_a_model_that_was_not_measured_is_not_trusted(tmp_path: Path, tokenizer: Tokenizer) -> None:
    checkpoint.save(a_model(imagining()), tokenizer, tmp_path, {})
    engine = Engine.load(tmp_path, device="cpu")
    found = engine.imagine(clips(engine, 1), KNOWN)
    assert found.uncertainty.tolist() == [1.0, 1.0] and found.out_of_distribution.all()


def test_what_cannot_be_imagined_is_refused(engine: Engine, dreamer: Engine) -> None:
    assert dreamer.can_imagine and not engine.can_imagine
    with pytest.raises(EngineError, match="not trained to predict what actions lead to"):
        engine.imagine(clips(engine, 1), KNOWN)
    with pytest.raises(EngineError, match="at least one"):
        dreamer.imagine(clips(dreamer, 1), [])
    with pytest.raises(EngineError, match="do not pair"):
        dreamer.imagine(clips(dreamer, 3), KNOWN)
    with pytest.raises(TextError, match="empty"):
        dreamer.imagine(clips(dreamer, 1), [" "])


def test_changed_or_missing_reliability_is_refused(
    folder: Path, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    config = imagining()
    kept = a_reliability(config, tokenizer)
    checkpoint.save(a_model(config), tokenizer, tmp_path, {}, reliability=kept)
    file = tmp_path / checkpoint.RELIABILITY
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(checkpoint.CheckpointError, match="sha256"):
        Engine.load(tmp_path, device="cpu")
    file.unlink()
    with pytest.raises(checkpoint.CheckpointError, match="missing"):
        Engine.load(tmp_path, device="cpu")
    with pytest.raises(ValueError, match="pairs_P"):
        Reliability.from_tensors(
            {k: v for k, v in kept.tensors().items() if k != "actions.pairs_P"}
        )
