"""A tiny model that imagines, with random weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

CORPUS = ("push the red cube left", "open the drawer", "what is on the table?")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = presets.tiny()
    predictor = dataclasses.replace(config.predictor, next_tokens=True)
    model = VLJepa(dataclasses.replace(config, predictor=predictor))
    assert model.predictor.next_projection is not None
    torch.nn.init.normal_(model.predictor.next_projection.weight, std=0.3)
    folder = tmp_path_factory.mktemp("dreamer")
    checkpoint.save(model, train_tokenizer(CORPUS, 320), folder, {"temperature": 0.1})
    return Engine.load(folder, device="cpu")


@pytest.fixture(scope="session")
def tokens(engine: Engine) -> Tokens:
    crop = engine.config.x_encoder.crop_px
    shape = (1, engine.config.clip_frames, crop, crop, 3)
    return engine.encode_clips(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
