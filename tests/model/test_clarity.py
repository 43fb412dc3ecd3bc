"""How probable words will be, told from the embedding alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.reliability import Clarity, Reliability
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

WIDTH = presets.tiny().embedding_width


def a_clarity() -> Clarity:
    torch.manual_seed(2)
    return Clarity(torch.randn(8, WIDTH), torch.randn(8), torch.randn(8), torch.zeros(1))


def a_reliability() -> Reliability:
    width = presets.tiny().x_encoder.width
    names = {f.name for f in dataclasses.fields(Reliability)} - {"clarity"}
    return Reliability(
        **{name: torch.ones(width) for name in names},  # type: ignore[arg-type]
        clarity=a_clarity(),
    )


def saved(folder: Path, tokenizer: Tokenizer, reliability: Reliability) -> Engine:
    torch.manual_seed(0)
    checkpoint.save(VLJepa(presets.tiny()), tokenizer, folder, {}, reliability=reliability)
    return Engine.load(folder, device="cpu")


def test_it_is_a_probability_that_survives_the_file(tmp_path: Path, tokenizer: Tokenizer) -> None:
    engine = saved(tmp_path, tokenizer, a_reliability())
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
    unmeasured = saved(tmp_path, tokenizer, dataclasses.replace(a_reliability(), clarity=None))
    one_NE = np.eye(1, WIDTH, dtype=np.float32)
    for each in (engine, unmeasured):
        assert each.clarity(one_NE).tolist() == [1.0]


def test_an_incomplete_or_foreign_clarity_is_named() -> None:
    tensors = a_reliability().tensors()
    with pytest.raises(ValueError, match="clear_H"):
        Reliability.from_tensors({n: t for n, t in tensors.items() if n != "clarity_clear_H"})
    with pytest.raises(ValueError, match="strange"):
        Reliability.from_tensors(tensors | {"clarity_strange": torch.ones(1)})
