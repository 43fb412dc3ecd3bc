"""One tiny model with random weights, saved once, for every test of the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.text import Tokenizer, train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

CORPUS = (
    "The robot picks up the red cube.",
    "The gripper pushes the blue ball into the drawer.",
    "What is the robot doing?",
    "Describe the scene.",
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(CORPUS, 320)


@pytest.fixture
def model() -> VLJepa:
    """A fresh tiny model, the same weights every time."""
    torch.manual_seed(0)
    return VLJepa(presets.tiny()).eval()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """A saved tiny model; tests only read it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    checkpoint.save(VLJepa(presets.tiny()), tokenizer, folder, {"temperature": 0.1})
    return folder


@pytest.fixture(scope="session")
def engine(shared_folder: Path) -> Engine:
    return Engine.load(shared_folder, device="cpu", dtype="float32")
