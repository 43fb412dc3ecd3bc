"""What is evaluated is what the robot would see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from training.evaluate.selective import UNPARSED
from training.evaluate.streams import (
    PACES,
    START_NS,
    STEPS_HZ,
    STILLS,
    embed,
    record,
    records,
    score_streams,
    still_records,
)
from training.tabletop.render import renderer_named
from training.tabletop.splits import TUNE_SEEDS
from training.tabletop.world import Episode
from vljepa_ros.config import PerceptionConfig
from vljepa_ros.model import presets
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.stream.perceiver import Perceiver
from vljepa_ros.types import Frame

SEED = TUNE_SEEDS.start


def make_engine(frames_per_pass: int) -> Engine:
    torch.manual_seed(0)
    config = dataclasses.replace(presets.tiny(), clip_frames=8)
    x_encoder = dataclasses.replace(config.x_encoder, frames_per_pass=frames_per_pass)
    config = dataclasses.replace(config, x_encoder=x_encoder)
    tokenizer = train_tokenizer(["what is the robot doing?"], config.predictor.vocab_size)
    return Engine(VLJepa(config), tokenizer, sha256="0" * 64, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine(2)


@pytest.mark.parametrize("frames_per_pass", [2, 8])
@pytest.mark.parametrize("rate_hz", [4.0, 10.0])
def test_embeddings_are_those_of_the_perceiver(frames_per_pass: int, rate_hz: float) -> None:
    engine = make_engine(frames_per_pass)
    images = np.random.default_rng(0).integers(0, 256, (45, 40, 48, 3), dtype=np.uint8)
    times_s = 0.1 + np.arange(45) / rate_hz
    perceiver = Perceiver(engine, PerceptionConfig())
    steps = [
        perceiver.step(Frame(START_NS + round(float(t) * 1e9), image))
        for image, t in zip(images, times_s, strict=True)
    ]
    expected_SE = np.stack([step.state.embedding_E for step in steps if step is not None])
    np.testing.assert_allclose(embed(engine, images, times_s)[0], expected_SE, atol=1e-6)


def test_a_record_holds_the_episodes_truth(engine: Engine) -> None:
    episode = Episode.generate(SEED, "train", idle_fraction=0.5, max_actions=2)
    stream = record(engine, episode, "busy")
    assert stream.pace == "busy"
    assert stream.end_s == episode.duration_s
    assert 0.0 <= stream.times_s_S[0] < 1.0 / STEPS_HZ
    np.testing.assert_allclose(np.diff(stream.times_s_S), 1.0 / STEPS_HZ)
    assert stream.events == len(episode.segments) - 1 == 4
    # Idle is one meaning wherever it comes; an action's is another.
    idle, action = stream.truth_G[0], stream.truth_G[1]
    assert (stream.truth_G[::2] == idle).all()
    assert idle not in stream.truth_G[1::2]
    assert action != UNPARSED
    # Random weights speak no sentence of the world.
    assert (stream.decoded_S == UNPARSED).all()
    np.testing.assert_allclose(np.linalg.norm(stream.embeddings_SE, axis=1), 1.0, atol=1e-5)


def test_records_are_deterministic_and_differ_by_seed(engine: Engine) -> None:
    one, other = (record(engine, Episode.generate(SEED, "train", 0.5, 1)) for _ in range(2))
    np.testing.assert_array_equal(one.embeddings_SE, other.embeddings_SE)
    third = record(engine, Episode.generate(SEED + 1, "train", 0.5, 1))
    assert len(third.times_s_S) != len(one.times_s_S) or third.times_s_S[0] != one.times_s_S[0]


@pytest.mark.parametrize("kind", STILLS)
def test_nothing_happens_in_a_still(engine: Engine, kind: str) -> None:
    (still,) = still_records(engine, SEED, 1, "train", kind)
    assert still.events == 0
    moves = np.abs(np.diff(still.embeddings_SE, axis=0)).max()
    assert moves == 0.0 if kind == "still" else moves > 0.0


def test_streams_are_drawn_by_whom_was_asked(engine: Engine) -> None:
    try:
        renderer_named("mujoco")
    except ImportError as missing:
        pytest.skip(str(missing))
    (painted,) = records(engine, SEED, 1, "train", "busy")
    (drawn,) = records(engine, SEED, 1, "train", "busy", "mujoco")
    np.testing.assert_array_equal(painted.times_s_S, drawn.times_s_S)
    np.testing.assert_array_equal(painted.truth_G, drawn.truth_G)
    assert np.abs(painted.embeddings_SE - drawn.embeddings_SE).max() > 0
    (still,) = still_records(engine, SEED, 1, "train", "still", "mujoco")
    assert np.abs(np.diff(still.embeddings_SE, axis=0)).max() == 0.0


@pytest.mark.slow
def test_scores_have_their_names(engine: Engine) -> None:
    scores = score_streams(engine, SEED, 1, "train")
    for pace in PACES:
        for name in ("selective_gain", "decodes_per_event", "uniform_decodes_per_event"):
            assert f"{name}_{pace}" in scores
    assert {f"false_changes_per_hour_{kind}" for kind in STILLS} <= set(scores)
    assert len(records(engine, SEED, 2, "train", "busy")) == 2
