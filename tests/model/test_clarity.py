"""How probable words will be, told from the embedding alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.reliability import Clarity, Reliability, Scenes
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

WIDTH = presets.tiny().embedding_width


def a_clarity() -> Clarity:
    torch.manual_seed(2)
    parts = torch.randn(8, WIDTH), torch.randn(8), torch.randn(8), torch.zeros(1)
    return Clarity(*(part.half().float() for part in parts))  # as the file keeps it


def a_scenes() -> Scenes:
    width = presets.tiny().x_encoder.width
    return Scenes(
        torch.zeros(width), torch.eye(2, width), torch.ones(2), torch.ones(1), torch.ones(1)
    )


def saved(folder: Path, tokenizer: Tokenizer, reliability: Reliability) -> Engine:
    torch.manual_seed(0)
    checkpoint.save(VLJepa(presets.tiny()), tokenizer, folder, {}, reliability=reliability)
    return Engine.load(folder, device="cpu")


def test_it_is_a_probability_that_survives_the_file(tmp_path: Path, tokenizer: Tokenizer) -> None:
    engine = saved(tmp_path, tokenizer, Reliability(clarity=a_clarity()))
    embeddings = np.random.default_rng(0).normal(size=(5, WIDTH)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = engine.clarity(embeddings)
    wanted = a_clarity()(torch.from_numpy(embeddings)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert ((found > 0) & (found < 1)).all() and len(set(found.tolist())) == 5
    assert engine.clarity(embeddings[:0]).shape == (0,)


def test_where_it_was_not_measured_nothing_is_waited_for(
    tmp_path: Path, tokenizer: Tokenizer, engine: Engine
) -> None:
    unmeasured = saved(tmp_path, tokenizer, Reliability(scenes=a_scenes()))
    one_NE = np.eye(1, WIDTH, dtype=np.float32)
    for each in (engine, unmeasured):
        assert each.clarity(one_NE).tolist() == [1.0]


def test_an_incomplete_or_foreign_clarity_is_named() -> None:
    tensors = Reliability(clarity=a_clarity()).tensors()
    with pytest.raises(ValueError, match="clear_H"):
        Reliability.from_tensors({n: t for n, t in tensors.items() if n != "clarity.clear_H"})
    with pytest.raises(ValueError, match="strange"):
        Reliability.from_tensors(tensors | {"clarity.strange": torch.ones(1)})
    with pytest.raises(ValueError, match="nothing"):
        Reliability.from_tensors(tensors | {"nothing.clear_H": torch.ones(1)})
