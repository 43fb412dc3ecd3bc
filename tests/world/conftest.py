"""A tiny model that imagines, with random weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

CORPUS = ("push the red cube left", "open the drawer", "what is on the table?")


def an_engine(folder: Path) -> Engine:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = presets.tiny()
    predictor = dataclasses.replace(config.predictor, next_tokens=True)
    model = VLJepa(dataclasses.replace(config, predictor=predictor))
    assert model.predictor.next_projection is not None
    torch.nn.init.normal_(model.predictor.next_projection.weight, std=0.3)
    checkpoint.save(model, train_tokenizer(CORPUS, 320), folder, {"temperature": 0.1})
    return Engine.load(folder, device="cpu")


def a_clip(engine: Engine, seed: int = 0) -> Tokens:
    crop = engine.config.x_encoder.crop_px
    shape = (1, engine.config.clip_frames, crop, crop, 3)
    return engine.encode_clips(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return an_engine(tmp_path_factory.mktemp("dreamer"))


@pytest.fixture(scope="session")
def tokens(engine: Engine) -> Tokens:
    return a_clip(engine)


@pytest.fixture(scope="session")
def clips(engine: Engine) -> tuple[Tokens, Tokens]:
    """Of two scenes."""
    return a_clip(engine), a_clip(engine, seed=1)
