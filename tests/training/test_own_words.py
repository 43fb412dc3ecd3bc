"""A Y-decoder's trust in its own words, learnt from embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training import odds
from training.clarity import own_probability
from training.evaluate.measures import auroc
from training.small_network import NetworkRun, aside_streams
from vljepa_ros.model import presets
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.reliability import Actions
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa


@torch.no_grad()
def test_own_probability_is_that_of_the_words_found() -> None:
    torch.manual_seed(0)
    model = VLJepa(presets.tiny()).eval()
    tokenizer = train_tokenizer(["the red cube", "the blue ball is on the table"], 320)
    engine = Engine(model, tokenizer, sha256="0" * 64, device=torch.device("cpu"))
    embeddings = torch.nn.functional.normalize(torch.randn(6, engine.embedding_width), dim=1)
    assert model.y_decoder is not None
    # So that some end early and some late, and the padding after an end matters.
    model.y_decoder.backbone.embed_tokens.weight[tokenizer.eos_id] *= 3.0
    ids_BL = model.y_decoder.generate(embeddings, eos_id=tokenizer.eos_id, pad_id=tokenizer.pad_id)
    ends = (ids_BL == tokenizer.eos_id).int().argmax(dim=1)
    assert len(set(ends.tolist())) > 1
    found_B = own_probability(model.y_decoder, tokenizer, embeddings)
    for row, embedding_E in enumerate(embeddings):
        log_probability = 0.0
        for end in range(1, ids_BL.shape[1] + 1):
            so_far = ids_BL[row : row + 1, :end]
            logits = model.y_decoder(embedding_E[None], so_far, torch.ones_like(so_far))[0, -1]
            log_probability += float(logits.log_softmax(-1)[so_far[0, -1]])
            if int(so_far[0, -1]) == tokenizer.eos_id:
                break
        assert float(found_B[row]) == pytest.approx(np.exp(log_probability), rel=1e-3)


def test_odds_learn_a_probability_and_are_calibrated() -> None:
    torch.manual_seed(0)
    # Neither of unit size nor about 0.
    input_RW = 0.01 * torch.randn(6000, 4) + 3.0
    input_RW[:, 3] = 3.0
    truth_R = (200.0 * (input_RW[:, 0] - 3.0) - 1.0).sigmoid()
    stream_R = torch.arange(6000) // 10
    aside_R = aside_streams(stream_R, 0.25)
    assert 0.2 < float(aside_R.float().mean()) < 0.3
    assert not set(stream_R[aside_R].tolist()) & set(stream_R[~aside_R].tolist())
    run = NetworkRun(hidden=16, steps=400, batch_size=256, dropout=0.0)
    found = odds.learn(input_RW, torch.bernoulli(truth_R), aside_R, run)
    hidden_RH = torch.nn.functional.gelu(input_RW @ found.hidden_HW.T + found.hidden_bias_H)
    told_R = (hidden_RH @ found.last_H + found.last_bias).sigmoid()
    assert float((told_R - truth_R).abs().mean()) < 0.05
    # What was always the same may stir a little later, and changes little then.
    assert float(found.hidden_HW[:, 3].abs().max()) < 10
    assert abs(float((told_R - truth_R)[aside_R].mean())) < 0.05


def test_who_is_undecided_between_kinds_is_more_often_wrong() -> None:
    torch.manual_seed(0)
    input_RW = torch.randn(8000, 4)
    # Two kinds, told by the first number: near 0 either may be, and what is said of it is wrong.
    kind_R = torch.bernoulli((6.0 * input_RW[:, 0]).sigmoid()).long()
    wrong_R = (kind_R != (input_RW[:, 0] > 0)).float()
    aside_R = torch.arange(8000) >= 6000
    run = NetworkRun(hidden=32, steps=600, batch_size=256, dropout=0.0, weight_decay=1.0)
    found = odds.learn(input_RW, wrong_R, aside_R, run, kind_R=kind_R)
    assert float(found.undecided) > 0.1 and found.kinds_KH.shape == (2, 32)
    told = Actions(
        found.hidden_HW,
        found.hidden_bias_H,
        found.last_H,
        found.last_bias,
        found.kinds_KH,
        found.kinds_bias_K,
        found.undecided,
        torch.empty(0, dtype=torch.int64),
    ).uncertainty(input_RW)
    is_wrong_R = wrong_R[aside_R] == 1
    assert float(told[aside_R].mean()) == pytest.approx(float(is_wrong_R.float().mean()), abs=0.02)
    ours, best = (
        auroc(doubt_R[~is_wrong_R].numpy(), doubt_R[is_wrong_R].numpy())
        for doubt_R in (told[aside_R], -input_RW[aside_R, 0].abs())
    )
    assert ours > best - 0.04 > 0.7
