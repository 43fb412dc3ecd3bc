"""The curve's command, from a model to its files; and the forms of a stream."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from synthetic_streams import synthetic_stream

from training.evaluate.selective import number_meanings
from training.evaluate.selective_curve import COMPARED, main, measure
from training.evaluate.selective_plot import LINES
from training.evaluate.selective_samples import (
    Sample,
    looks_idle,
    sample,
    samples,
    trailing_means,
    with_gate,
)
from training.tabletop import language
from training.tabletop.splits import TUNE_SEEDS
from training.tabletop.world import Episode
from vljepa_ros.config import SelectiveConfig
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine, EngineError
from vljepa_ros.model.text import Tokenizer, train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

SEED = TUNE_SEEDS.start
SETTING = SelectiveConfig(distance_threshold=0.2, settle=10.0, min_interval_s=0.0, noise_factor=0.0)


def tiny_model(*, decoder: bool = True) -> tuple[VLJepa, Tokenizer]:
    torch.manual_seed(0)
    config = dataclasses.replace(presets.tiny(), clip_frames=4)
    if not decoder:
        config = dataclasses.replace(config, y_decoder=None)
    texts = [config.caption_query, *language.action_labels()]
    return VLJepa(config), train_tokenizer(texts, config.predictor.vocab_size)


def make_engine(*, decoder: bool = True) -> Engine:
    return Engine(*tiny_model(decoder=decoder), sha256="0" * 64, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine()


def synthetic_sample(seed: int) -> Sample:
    stream = synthetic_stream(seed, idle_share=0.6, duration_s=60.0)
    return Sample(
        exact=stream,
        pooled=dataclasses.replace(stream, embeddings_SE=trailing_means(stream.embeddings_SE)),
        gated=with_gate(stream, stream.truth_G[stream.segment_S] == 0, 0),
        speak=lambda embeddings: np.zeros(len(embeddings), np.int64),
    )


# --- the forms of a stream -----------------------------------------------------------------------


def test_pooling_looks_back_only() -> None:
    embeddings = synthetic_stream(1, idle_share=0.5, duration_s=20.0).embeddings_SE
    pooled = trailing_means(embeddings, 3)
    np.testing.assert_allclose(pooled[0], embeddings[0], atol=1e-6)
    for at in (1, 2, 10, len(embeddings) - 1):
        mean = embeddings[max(at - 2, 0) : at + 1].mean(axis=0)
        np.testing.assert_allclose(pooled[at], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(trailing_means(embeddings, 1), embeddings, atol=1e-6)


def test_a_gate_speaks_for_idle_steps_alone() -> None:
    stream = synthetic_stream(2, idle_share=0.5, duration_s=30.0)
    idle_S = np.arange(len(stream.times_s_S)) % 3 == 0
    gated = with_gate(stream, idle_S, 0)
    np.testing.assert_array_equal(gated.gated_S, idle_S)
    assert (gated.decoded_S[idle_S] == 0).all()
    np.testing.assert_array_equal(gated.decoded_S[~idle_S], stream.decoded_S[~idle_S])


def test_idle_is_what_lies_nearest_to_its_label(engine: Engine) -> None:
    labels = language.action_labels()
    found = looks_idle(engine, engine.encode_texts(labels))
    assert found.tolist() == [label == language.action_label("idle") for label in labels]
    assert found.sum() == 1


def test_all_forms_tell_of_the_same_stream(engine: Engine) -> None:
    episode = Episode.generate(SEED, "train", 0.5, 1)
    taken = sample(engine, episode)
    np.testing.assert_array_equal(taken.exact.embeddings_SE, taken.gated.embeddings_SE)
    np.testing.assert_allclose(
        taken.pooled.embeddings_SE, trailing_means(taken.exact.embeddings_SE)
    )
    for form in (taken.pooled, taken.gated):
        np.testing.assert_array_equal(form.times_s_S, taken.exact.times_s_S)
        np.testing.assert_array_equal(form.truth_G, taken.exact.truth_G)
    truth = [segment.meaning for segment in episode.segments]
    texts = engine.decode(taken.exact.embeddings_SE[:5])
    spoken, _ = number_meanings([language.parse(text) for text in texts], truth)
    np.testing.assert_array_equal(taken.speak(taken.exact.embeddings_SE[:5]), spoken)


def test_without_words_there_is_nothing_to_select() -> None:
    with pytest.raises(EngineError, match="Y-decoder"):
        samples(make_engine(decoder=False), SEED, 1, "train", 0.5, 1)


# --- figures -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_figures_agree_with_each_other() -> None:
    taken = [synthetic_sample(seed) for seed in range(3)]
    figures = measure(taken, SETTING)
    areas = {name: found["value"] for name, found in figures["areas"].items()}
    assert figures["streams"] == 3
    assert figures["gate_right"] == 1.0
    # Six tenths of the time nothing moves, more or less.
    assert 0.4 < figures["first_only_quality"] < 0.8
    assert figures["first_only_quality"] < figures["every_step_quality"]
    assert set(LINES) <= set(figures["curves"])
    # Here the best is known: the oracle, then ours, then whoever does not look.
    assert areas["oracle"] > areas["online"] > areas["uniform"] > areas["ward_publish"]
    assert areas["ward_start"] > areas["ward_middle"] > areas["ward_publish"]
    for name, other in COMPARED:
        gap = figures["differences"][f"{name} - {other}"]
        assert gap["value"] == pytest.approx(areas[name] - areas[other])
        assert gap["low"] <= gap["value"] <= gap["high"]
    assert figures["differences"]["online - ward_publish"]["low"] > 0.0
    # A mean that is always said to be idle is right for a part of the time at most.
    assert areas["ward_start_pooled"] < areas["ward_start"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_command_writes_figures_and_a_picture(tmp_path: Path) -> None:
    model, tokenizer = tiny_model()
    checkpoint.save(model, tokenizer, tmp_path / "model", {"world_version": 1})
    command = [sys.executable, "-m", "training.evaluate.selective_curve"]
    command += ["--model", str(tmp_path / "model"), "--seed", str(SEED), "--streams", "1"]
    command += ["--split", "train", "--idle_fractions", "[0.2]", "--actions", "1"]
    command += ["--threads", "1", "--selective.threshold", "0.5", "--out", str(tmp_path / "curve")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.splitlines()[-1], parse_constant=_refuse)
    written = json.loads((tmp_path / "curve.json").read_text(), parse_constant=_refuse)
    assert set(printed["by_idle_fraction"]) == {"0.20"}
    for name in ("sha256", "seed", "commit", "date", "machine", "world_version", "command"):
        assert printed[name] == written[name]
    assert printed["seed"] == SEED
    for fraction, figures in printed["by_idle_fraction"].items():
        assert figures["events"] == 2
        # Random weights speak no sentence of the world.
        assert figures["every_step_quality"] == 0.0
        points = written["by_idle_fraction"][fraction]["curves"]["uniform"]
        assert len(points["quality"]) == len(points["decodes_per_event"]) > 3
    picture = cv2.imread(str(tmp_path / "curve.png"))
    assert picture is not None
    assert picture.std() > 1.0


def test_a_share_of_idle_time_that_cannot_be_is_refused(tmp_path: Path) -> None:
    checkpoint.save(*tiny_model(), tmp_path, {})
    with pytest.raises(ValueError, match=r"idle_fraction is 0\.99; use 0\.1 to 0\.95"):
        main(str(tmp_path), SEED, 1, "train", idle_fractions=(0.99,), out=str(tmp_path / "curve"))


def _refuse(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")
