from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vljepa_ros import paths
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.engine import Engine, EngineError
from vljepa_ros.model.preprocessing import ImageError, preprocess
from vljepa_ros.model.text import TextError, Tokenizer
from vljepa_ros.model.vljepa import VLJepa


def image(seed: int = 0, height: int = 50, width: int = 70) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def prepared_clip(engine: Engine, seed: int = 0) -> Any:
    frames = [engine.prepare(image(seed + i)) for i in range(engine.config.clip_frames)]
    return np.stack(frames)[None]


def embedding(engine: Engine, seed: int = 0) -> Any:
    return engine.predict(engine.encode_clips(prepared_clip(engine, seed)), ["What?"])[0]


def saved(folder: Path, tokenizer: Tokenizer, **changes: Any) -> Path:
    torch.manual_seed(0)
    model = VLJepa(dataclasses.replace(presets.tiny(), **changes))
    checkpoint.save(model, tokenizer, folder, {})
    return folder


@torch.no_grad()
def test_pixels_and_query_to_embedding_as_the_bare_model_computes_it(
    engine: Engine, shared_folder: Path
) -> None:
    model, tokenizer = checkpoint.load(shared_folder)
    frames = np.stack([image(i) for i in range(4)])
    ids, mask = tokenizer.encode_batch(["What is the robot doing?"], 48)
    pixels = preprocess(frames, 32).unsqueeze(0)
    wanted = model.predictor(model.x_encoder(pixels), ids, mask).numpy()
    clip = np.stack([engine.prepare(frame) for frame in frames])[None]
    found = engine.predict(engine.encode_clips(clip), ["What is the robot doing?"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_kept_tubelets_are_the_clips_tokens(engine: Engine) -> None:
    clip = prepared_clip(engine)
    whole = engine.encode_clips(clip)
    pairs = clip.reshape(2, 2, 32, 32, 3)
    apart = engine.stack_tubelets(list(engine.encode_tubelets(pairs)))
    assert engine.tubelets_are_independent
    torch.testing.assert_close(apart, whole, atol=1e-5, rtol=1e-4)


def test_one_clip_answers_many_queries_and_many_clips_one_each(engine: Engine) -> None:
    first = engine.encode_clips(prepared_clip(engine, 0))
    second = engine.encode_clips(prepared_clip(engine, 9))
    queries = ["What is it?", "Describe the scene and the gripper."]
    both = engine.predict(first, queries)
    np.testing.assert_allclose(both[1], engine.predict(first, queries[1:])[0], atol=1e-5)
    assert np.abs(both[0] - both[1]).max() > 1e-3
    pair = engine.predict(torch.cat([first, second]), queries)
    np.testing.assert_allclose(pair[1], engine.predict(second, queries[1:])[0], atol=1e-5)
    assert engine.predict(first, []).shape == (0, 16)
    with pytest.raises(EngineError, match="2 clips and 3 queries"):
        engine.predict(torch.cat([first, second]), ["a", "b", "c"])


def test_texts_keep_their_order_and_come_from_the_cache(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"the cube number {i}" for i in range(70)]
    fresh = engine.encode_texts([*texts, texts[0]])
    assert fresh.shape == (71, 16)
    np.testing.assert_allclose(np.linalg.norm(fresh, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(fresh[70], fresh[0])

    def fails(*_: Any, **__: Any) -> Any:
        raise AssertionError("a known text was computed again")

    monkeypatch.setattr(engine, "_encode_fresh", fails)
    np.testing.assert_array_equal(engine.encode_texts(texts[::-1]), fresh[69::-1])
    assert engine.encode_texts([]).shape == (0, 16)


def test_a_query_is_tokenised_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = engine.encode_clips(prepared_clip(engine))
    first = engine.predict(tokens, ["a query of its own"])
    monkeypatch.setattr(engine._tokenizer, "encode_batch", None)
    np.testing.assert_array_equal(engine.predict(tokens, ["a query of its own"]), first)


def test_label_scores_are_cosines_and_their_softmax(engine: Engine) -> None:
    labels = ["the red cube", "the blue ball", "the drawer"]
    scores = engine.score_labels(embedding(engine), labels)
    assert [score.label for score in scores] == labels
    cosines = engine.encode_texts(labels) @ embedding(engine)
    np.testing.assert_allclose([s.similarity for s in scores], cosines, atol=1e-6)
    weights = np.exp(cosines / 0.1)  # the temperature in this checkpoint's meta
    expected = weights / weights.sum()
    np.testing.assert_allclose([s.probability for s in scores], expected, rtol=1e-4)
    assert engine.score_labels(embedding(engine), []) == ()


def test_decoding_always_gives_texts(engine: Engine, tmp_path: Path, tokenizer: Tokenizer) -> None:
    captions = engine.decode(np.stack([embedding(engine, i) for i in range(3)]))
    assert len(captions) == 3
    assert all(isinstance(caption, str) for caption in captions)
    for caption in captions:
        assert -1.0 <= engine.caption_score(caption, embedding(engine)) <= 1.0
    assert engine.decode(np.empty((0, 16), np.float32)) == []
    assert len(engine.decode(np.full((1, 16), np.nan, np.float32))) == 1
    mute = Engine.load(saved(tmp_path, tokenizer, y_decoder=None), device="cpu")
    assert not mute.has_decoder
    assert mute.decode(np.zeros((2, 16), np.float32)) == ["", ""]
    assert engine.has_decoder


def test_caption_score_is_the_captions_cosine(engine: Engine) -> None:
    text = "the red cube"
    assert engine.caption_score(text, engine.encode_texts([text])[0]) == pytest.approx(1, abs=1e-5)
    assert engine.caption_score("", embedding(engine)) == 0.0
    assert abs(engine.caption_score("the cube " * 300, embedding(engine))) <= 1.0


def test_a_caption_is_embedded_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    score = engine.caption_score("the cup falls over", embedding(engine))
    monkeypatch.setattr(engine, "_encode_fresh", None)
    assert engine.caption_score("the cup falls over", embedding(engine)) == score


@torch.no_grad()
def test_a_captions_probability_is_that_of_its_tokens_one_by_one(
    engine: Engine, shared_folder: Path
) -> None:
    model, tokenizer = checkpoint.load(shared_folder)
    assert model.y_decoder is not None
    two_NE = np.stack([embedding(engine, seed) for seed in (0, 20)])
    ids, _ = tokenizer.encode_batch(["the red cube"], 12, eos=True)
    wanted = []
    for row_E in torch.from_numpy(two_NE):
        log_probability = 0.0
        for end in range(1, ids.shape[1] + 1):
            so_far = ids[:, :end]
            last = model.y_decoder(row_E[None], so_far, torch.ones_like(so_far))[0, -1]
            log_probability += float(last.log_softmax(-1)[ids[0, end - 1]])
        wanted.append(log_probability)
    found_N = engine.caption_log_probability("the red cube", two_NE)
    np.testing.assert_allclose(found_N, wanted, atol=1e-4)
    assert found_N[0] != found_N[1]


def test_no_text_and_a_long_text_have_a_probability_too(
    engine: Engine, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    one_NE = embedding(engine)[None]
    for text in ("", "red cube " * 200):
        assert np.isfinite(engine.caption_log_probability(text, one_NE)).all()
    mute = Engine.load(saved(tmp_path, tokenizer, y_decoder=None), device="cpu")
    with pytest.raises(EngineError, match="no Y-decoder"):
        mute.caption_log_probability("red", one_NE)


def test_the_space_is_named_by_its_weights(
    engine: Engine, shared_folder: Path, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    digest = json.loads((shared_folder / "config.json").read_text())["sha256"]["model.safetensors"]
    assert engine.sha256 == digest
    assert engine.space_id == f"tiny:{digest[:16]}:16"
    other = Engine.load(saved(tmp_path, tokenizer, embedding_width=8), device="cpu")
    assert other.space_id != engine.space_id
    assert other.embedding_width == 8


@pytest.mark.parametrize("bad", ["", "  ", "a\0b", "\ud800", "x" * 5000, "word " * 200])
def test_bad_text_is_refused_everywhere(engine: Engine, bad: str) -> None:
    tokens = engine.encode_clips(prepared_clip(engine))
    for call in (
        lambda: engine.predict(tokens, [bad]),
        lambda: engine.check_query(bad),
        lambda: engine.encode_texts(["fine", bad]),
        lambda: engine.score_labels(embedding(engine), [bad]),
    ):
        with pytest.raises(TextError):
            call()
    engine.check_query("fine")


def test_wrong_arrays_are_refused(engine: Engine) -> None:
    clip = prepared_clip(engine)
    for frames in (clip[:, :3], clip.astype(np.float32), clip[:, :, :31], clip[0]):
        with pytest.raises(EngineError, match="use prepare"):
            engine.encode_clips(frames)
    with pytest.raises(EngineError, match="have 16 values"):
        engine.decode(np.zeros((1, 8), np.float32))
    with pytest.raises(EngineError, match="have 16 values"):
        engine.score_labels(np.zeros(8, np.float32), ["a"])
    with pytest.raises(ImageError):
        engine.prepare(np.zeros((0, 5, 3), np.uint8))


def test_joint_tubelets_are_never_handed_out_alone(tmp_path: Path, tokenizer: Tokenizer) -> None:
    x_encoder = dataclasses.replace(presets.tiny().x_encoder, frames_per_pass=4)
    engine = Engine.load(saved(tmp_path, tokenizer, x_encoder=x_encoder), device="cpu")
    assert not engine.tubelets_are_independent
    with pytest.raises(EngineError, match="use encode_clips"):
        engine.encode_tubelets(prepared_clip(engine)[:, :2])
    engine.warm_up()


def test_many_threads_get_the_answers_of_one(engine: Engine) -> None:
    clips = [prepared_clip(engine, seed) for seed in range(4)]
    alone = [engine.predict(engine.encode_clips(clip), ["What?"]) for clip in clips]
    together: list[Any] = [None] * 4

    def work(i: int) -> None:
        for _ in range(5):
            together[i] = engine.predict(engine.encode_clips(clips[i]), ["What?"])
            engine.encode_texts([f"text {i}"])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.stack(together), np.stack(alone))


def test_loading_says_what_is_wrong(
    shared_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match="no folder"):
        Engine.load(tmp_path / "nowhere", device="cpu")
    with pytest.raises(CheckpointError, match="sha256"):
        Engine.load(shared_folder, device="cpu", expected_sha256="ab" * 32)
    with pytest.raises(EngineError, match="threads"):
        Engine.load(shared_folder, device="cpu", threads=-1)
    folder = Path(shutil.copytree(shared_folder, tmp_path / "copy"))
    values = json.loads((folder / "config.json").read_text())
    values["meta"]["temperature"] = 0
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="temperature"):
        Engine.load(folder, device="cpu")

    def lost() -> Path:
        raise paths.PathsError("no default model: give model_path")

    monkeypatch.setattr("vljepa_ros.model.engine.default_model", lost)
    with pytest.raises(CheckpointError, match="give model_path"):
        Engine.load(device="cpu")


def test_no_path_means_the_packages_own_model(
    shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_ros.model.engine.default_model", lambda: shared_folder)
    assert Engine.load("", device="cpu").config.name == "tiny"


def test_threads_and_number_types(shared_folder: Path, engine: Engine) -> None:
    before = torch.get_num_threads()
    try:
        Engine.load(shared_folder, device="cpu", threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert engine.device == "cpu"
    assert engine.dtype == "float32"
    short = Engine.load(shared_folder, device="cpu", dtype="bfloat16")
    assert short.dtype == "bfloat16"
    short.warm_up()
    assert embedding(short).dtype == np.float32
    assert float(embedding(short) @ embedding(engine)) > 0.98
