"""Real engines, as small as the code allows, with random weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vljepa_ros.config import ModelConfig
from vljepa_ros.model import presets
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

CORPUS = ["What is the robot doing?", "the gripper picks up the red cube", "nothing happens"]


def make_engine(config: ModelConfig) -> Engine:
    torch.manual_seed(0)
    model = VLJepa(config)
    tokenizer = train_tokenizer(CORPUS, config.predictor.vocab_size)
    return Engine(model, tokenizer, sha256="0" * 64, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Tubelets are encoded alone, so their tokens can be kept."""
    return make_engine(dataclasses.replace(presets.tiny(), clip_frames=8))


@pytest.fixture(scope="session")
def whole_clip_engine() -> Engine:
    """The paper's way: all frames of a clip attend to each other."""
    config = dataclasses.replace(presets.tiny(), clip_frames=8)
    x_encoder = dataclasses.replace(config.x_encoder, frames_per_pass=8)
    return make_engine(dataclasses.replace(config, x_encoder=x_encoder))


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """A minute's worth of distinct small pictures, (T, H, W, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (240, 48, 40, 3), dtype=np.uint8)
