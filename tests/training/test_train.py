"""The whole chain at toy size: streams, five runs, a checkpoint that the robot's engine loads."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from training import train
from training.embed import EmbedData, EmbedSettings, EmbedStage
from training.evaluate.tabletop import Parts, evaluate
from training.loss import Temperature
from training.overrides import override
from training.precision import autocast
from training.runs import SFT_MIX, Recipe, tabletop_tiny
from training.tabletop.actions import next_state
from training.tabletop.batches import WindowBatches
from training.tabletop.cache import CROP_PX, DIRECT_SIZE_HW
from training.tabletop.cached_windows import Windows
from training.tabletop.tasks import TaskMix
from training.tabletop.world import Episode
from vljepa_ros.config import ConfigError
from vljepa_ros.model import checkpoint
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.preprocessing import normalise, resize_crop_uint8
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

EXPECTED_SCORES = {
    "world_version",
    "action_caption_r1_of_100",
    "action_caption_r1_of_100_blind",
    "action_caption_r1_of_100_random",
    "scene_caption_r1_of_100",
    "scene_caption_r1_of_100_blind",
    "scene_caption_r1_of_100_random",
    "action_accuracy",
    "action_accuracy_blind",
    "caption_match",
    "caption_match_blind",
    "scene_match",
    "scene_match_blind",
    "bank_match",
    "selective_gain_busy",
    "selective_gain_calm",
    "decodes_per_event_busy",
    "decodes_per_event_calm",
    "uniform_decodes_per_event_busy",
    "uniform_decodes_per_event_calm",
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> train.Chain:
    folder = tmp_path_factory.mktemp("chain")
    recipe = tabletop_tiny()
    data = dataclasses.replace(recipe.data, cache=str(folder / "cache"))
    chain = train.Chain(dataclasses.replace(recipe, data=data), folder / "runs")
    chain.run()
    chain.export(folder / "checkpoint")
    return chain


@pytest.mark.slow
def test_exported_checkpoint_runs_in_the_engine(chain: train.Chain) -> None:
    engine = Engine.load(chain.out.parent / "checkpoint")
    crop = engine.config.x_encoder.crop_px
    clip = np.zeros((1, engine.config.clip_frames, crop, crop, 3), np.uint8)
    embedding = engine.predict(engine.encode_clips(clip), [engine.config.caption_query])
    assert np.isclose(np.linalg.norm(embedding), 1.0, atol=1e-5)
    assert engine.has_decoder and isinstance(engine.decode(embedding)[0], str)
    imagined = engine.imagine(engine.encode_clips(clip), ["push the red cube left", "juggle"])
    assert 0 <= imagined.uncertainty[0] <= 1 and imagined.out_of_distribution[1]


@pytest.fixture(scope="module")
def windows(chain: train.Chain) -> Windows:
    return chain.tabletop.windows(chain.model, "cpu")[0]


def sft_batches(chain: train.Chain, windows: Windows, rollout: float) -> WindowBatches:
    mix = dataclasses.replace(SFT_MIX, rollout=rollout)
    return WindowBatches(windows, chain.tokenizer, chain.config, mix, 16, seed=0)


@pytest.mark.slow
def test_rollouts_come_first_and_their_second_questions_last(
    chain: train.Chain, windows: Windows
) -> None:
    batches = sft_batches(chain, windows, rollout=0.25)
    rows, batch = batches.rows(3), batches[3]
    assert [row.after is not None for row in rows] == [True] * 4 + [False] * 12
    assert [row.after_then is not None for row in rows] == [True] * 2 + [False] * 14
    assert len(batch["after_RFCHW"]) == 6 and len(batch["tokens_BTND"]) == 16
    assert len(batch["query_ids_BL"]) == len(batch["key_B"]) == 20
    thens = [row.then.key for row in rows[:4] if row.then is not None]
    assert batch["key_B"][16:].tolist() == thens
    again = batches[3]
    assert all(torch.equal(value, again[name]) for name, value in batch.items())


@pytest.mark.slow
def test_a_step_is_what_the_world_makes_of_its_action(windows: Windows) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        step = windows.draw_step(rng)
        assert not next_state(step.before.state, step.action)[1].ambiguous
        assert step.before.truth.segment.action is None


@pytest.mark.slow
def test_a_scene_that_no_stream_shows_looks_as_the_stream_would_show_it(windows: Windows) -> None:
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(8):
        before = windows.draw_before(rng)
        scene = windows.scene(before.state, before.stream, rng)
        assert np.array_equal(scene.labels_LGG, before.labels_LGG)
        assert scene.truth.scene_meaning == before.truth.scene_meaning
        episode = Episode.generate(before.stream)
        end_s = before.truth.segment.onset_s
        shown = resize_crop_uint8(episode.frames([end_s], DIRECT_SIZE_HW), CROP_PX).numpy()
        assert scene.pixels_FCHW.shape == (2, *shown.shape[1:])
        differences.append(np.abs(scene.pixels_FCHW.astype(int) - shown).mean())
    assert 0 < np.mean(differences) < 3.0


@pytest.mark.slow
def test_rollouts_show_what_the_world_makes_of_their_actions(
    chain: train.Chain, windows: Windows
) -> None:
    batches = sft_batches(chain, windows, rollout=1.0)
    for row in batches.rows(0):
        assert row.asked.after is not None and row.after is not None and row.then is not None
        assert row.after.truth.state.objects == row.asked.after.objects
        assert not row.after.truth.state.moving
        assert (row.after_then is None) == (row.then.after is None)
        if row.after_then is not None and row.then.after is not None:
            assert row.after_then.truth.state.objects == row.then.after.objects


@pytest.mark.slow
def test_windows_of_pixels_show_what_the_tokens_are_of(
    chain: train.Chain, windows: Windows
) -> None:
    seen = chain.tabletop.windows(chain.model, "cpu", pixels=True)[0]
    of_tokens, of_pixels = (sft_batches(chain, w, rollout=0.25)[3] for w in (windows, seen))
    tokens_BTND = of_tokens.pop("tokens_BTND").float()
    with torch.inference_mode(), autocast("cpu"):
        again_BTND = chain.model.x_encoder(normalise(of_pixels.pop("pixels_BTCHW")))
    torch.testing.assert_close(
        again_BTND.float(), tokens_BTND, atol=5e-3, rtol=5e-3
    )  # kept in float16
    assert of_tokens.keys() == of_pixels.keys()
    assert all(torch.equal(of_tokens[name], of_pixels[name]) for name in of_tokens)


@pytest.mark.slow
def test_an_x_encoder_can_be_unfrozen_late(chain: train.Chain, tmp_path: Path) -> None:
    """With rollouts and dense labels as ever; what comes after it has its new tokens."""
    start = chain.out.parent / "checkpoint"
    recipe = dataclasses.replace(
        chain.recipe,
        start=str(start),
        runs=("sft", "y_decoder"),
        data=dataclasses.replace(chain.recipe.data, cache=str(tmp_path / "cache")),
    )
    recipe = override(recipe, {"sft": {"learn": {"x_lr_share": 0.5}, "fit": {"steps": 2}}})
    later = train.Chain(recipe, tmp_path / "runs")
    later.run()
    before, after = checkpoint.load(start)[0].state_dict(), later.model.state_dict()
    changed = {name.split(".")[0] for name in after if not after[name].equal(before[name])}
    assert changed == {"x_encoder", "predictor", "y_decoder"}
    marks = {path.read_text() for path in (tmp_path / "cache").glob("*/tokens.fingerprint")}
    assert len(marks) == 1
    later.tabletop.windows(later.model, "cpu")  # nothing to encode: they are of these weights
    again = {path.read_text() for path in (tmp_path / "cache").glob("*/tokens.fingerprint")}
    assert again == marks
    old = {path.read_text() for path in Path(chain.recipe.data.cache).glob("*/*.fingerprint")}
    assert old.isdisjoint(marks)


@pytest.mark.slow
def test_a_second_question_teaches_the_first_step(chain: train.Chain, windows: Windows) -> None:
    model, config = VLJepa(chain.config), chain.config
    batches = WindowBatches(windows, chain.tokenizer, config, TaskMix(rollout=1.0), 4, seed=0)
    data = EmbedData(batches, pixels=False, grid=windows.grid)
    stage = EmbedStage(model, Temperature(), data, EmbedSettings(token_dropout=0.0))
    stage.module().eval()
    predicted_BE, next_RND = stage.predict(batches[0])
    assert next_RND is not None and len(predicted_BE) == 8 and len(next_RND) == 6
    head = model.predictor.next_projection
    assert head is not None
    for second in (predicted_BE[4:, 0].sum(), next_RND[4:].sum()):
        (gradient,) = torch.autograd.grad(second, head.weight, retain_graph=True)
        assert gradient.abs().sum() > 0
    # Untrained, the imagined scenes are the scenes before, without the dropped values.
    before_RND = batches[0]["tokens_BTND"][:4, -1].float()
    torch.testing.assert_close(next_RND, torch.cat([before_RND, before_RND[:2]]))


@pytest.mark.slow
def test_other_wordings_are_drawn_to_their_targets(chain: train.Chain, windows: Windows) -> None:
    model, config = VLJepa(chain.config), chain.config
    batches = WindowBatches(windows, chain.tokenizer, config, TaskMix(), 6, seed=0)
    batch = batches[0]
    rows = list(zip(batch["target_row_B"], batch["reworded_row_B"], strict=True))
    assert any(target != reworded for target, reworded in rows)
    losses = []
    for weight in (0.0, 0.5):
        settings = EmbedSettings(y_lr_share=1.0, token_dropout=0.0, reworded_weight=weight)
        torch.manual_seed(0)  # of the heads beside the model
        stage = EmbedStage(
            model, Temperature(), EmbedData(batches, pixels=False, grid=windows.grid), settings
        )
        stage.module().eval()
        losses.append(stage.loss(batch)[0])
    assert losses[1] > losses[0]
    # What is added is of texts alone: it teaches the Y-encoder and not the predictor.
    learnt = [*model.predictor.parameters(), *model.y_encoder.parameters()]
    gradients = torch.autograd.grad(losses[1] - losses[0], learnt, allow_unused=True)
    of_predictor = gradients[: len(list(model.predictor.parameters()))]
    assert all(g is None or g.abs().max() < 1e-6 for g in of_predictor)
    assert any(g is not None and g.abs().max() > 1e-6 for g in gradients[len(of_predictor) :])


def test_a_model_grows_imagination_and_nothing_else() -> None:
    grown = tabletop_tiny().model
    plain = dataclasses.replace(
        grown, predictor=dataclasses.replace(grown.predictor, next_tokens=False)
    )
    assert train._grows_from(grown, plain) and train._grows_from(grown, grown)
    assert not train._grows_from(plain, grown)
    assert not train._grows_from(grown, dataclasses.replace(plain, clip_frames=4))


@pytest.mark.slow
def test_x_encoder_of_the_checkpoint_is_the_trained_one(chain: train.Chain) -> None:
    torch.manual_seed(chain.recipe.x_encoder.fit.seed)
    untrained = train.VLJepa(chain.config).state_dict()
    trained = chain.model.state_dict()
    for part in ("x_encoder.", "y_encoder.", "predictor.", "y_decoder."):
        changed = [n for n in trained if n.startswith(part) and not trained[n].equal(untrained[n])]
        assert changed, f"{part} did not learn"


@pytest.mark.slow
def test_a_finished_chain_is_not_trained_again(chain: train.Chain) -> None:
    before = {name: value.clone() for name, value in chain.model.state_dict().items()}
    again = train.Chain(chain.recipe, chain.out)
    again.run()
    assert all(torch.equal(before[n], v) for n, v in again.model.state_dict().items())


@pytest.mark.slow
def test_evaluation_gives_every_score(chain: train.Chain) -> None:
    # The parts about actions and questions train blind models; test_world_scores has them.
    apart = Parts(transitions=False, inverse=False, questions=False, rollouts=False, novelty=False)
    folder = str(chain.out.parent / "checkpoint")
    scores = evaluate(folder, seed=5_000_000, episodes=6, streams=2, threads=1, parts=apart)
    assert set(scores) >= EXPECTED_SCORES
    assert 0 <= scores["action_caption_r1_of_100"] <= 1


def test_override_replaces_one_setting_and_keeps_the_rest() -> None:
    recipe = tabletop_tiny()
    changed = override(recipe, {"sft": {"mix": {"label": 0.5}}})
    assert changed.sft.mix == dataclasses.replace(recipe.sft.mix, label=0.5)
    assert changed.sft.fit == recipe.sft.fit


def test_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"sft\.fit\.stepps"):
        override(tabletop_tiny(), {"sft": {"fit": {"stepps": 3}}})


def test_mix_draws_only_what_has_a_share() -> None:
    rng = np.random.default_rng(0)
    drawn = {TaskMix(0.5, 0.5, 0.0, 0.0).draw(rng) for _ in range(50)}
    assert drawn == {"action_caption", "scene_caption"}
    assert isinstance(tabletop_tiny(), Recipe)


@pytest.mark.slow
def test_a_chain_starts_from_a_checkpoint_and_trains_only_its_runs(
    chain: train.Chain, tmp_path: Path
) -> None:
    start = chain.out.parent / "checkpoint"
    recipe = dataclasses.replace(chain.recipe, start=str(start), runs=("sft", "y_decoder"))
    further = train.Chain(recipe, tmp_path / "runs")
    before = {name: value.clone() for name, value in further.model.state_dict().items()}
    further.run()
    changed = {
        n.split(".")[0] for n, v in further.model.state_dict().items() if not v.equal(before[n])
    }
    assert changed == {"predictor", "y_decoder"}
    further.export(tmp_path / "checkpoint")
    meta = checkpoint.describe(tmp_path / "checkpoint").meta
    assert set(meta["trained_seconds"]) == {"sft", "y_decoder"}


def test_a_checkpoint_of_another_shape_is_no_start(tmp_path: Path) -> None:
    recipe = tabletop_tiny()
    model = VLJepa(recipe.model)
    checkpoint.save(model, train_tokenizer(["a red cube"], 300), tmp_path, {"temperature": 0.07})
    other = dataclasses.replace(recipe.model, embedding_width=16)
    with pytest.raises(ConfigError, match="not that of"):
        train.Chain(dataclasses.replace(recipe, model=other, start=str(tmp_path)), tmp_path / "out")
