from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vljepa_ros.config import YEncoderConfig
from vljepa_ros.model.y_encoder import YEncoder

SMALL = YEncoderConfig(
    width=32, layers=2, heads=2, kv_heads=1, head_width=16, mlp_width=48, vocab_size=50
)
LOCAL = dataclasses.replace(SMALL, layers=7, local_window=64, dense_widths=(40, 32))


def build(config: YEncoderConfig = SMALL, attention: str = "sdpa") -> YEncoder:
    torch.manual_seed(0)
    return YEncoder(config, embedding_width=16, attention=attention).eval()


def text(batch: int = 2, length: int = 6) -> tuple[Tensor, Tensor]:
    ids = torch.randint(3, 50, (batch, length), generator=torch.Generator().manual_seed(2))
    return ids, torch.ones_like(ids)


def padded(ids: Tensor, mask: Tensor, count: int, pad_id: int) -> tuple[Tensor, Tensor]:
    pads = torch.full((len(ids), count), pad_id)
    return torch.cat([ids, pads], 1), torch.cat([mask, torch.zeros_like(pads)], 1)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("pads", [0, 3])
@pytest.mark.parametrize("config", [SMALL, LOCAL])
@torch.no_grad()
def test_early_tokens_see_late_ones(attention: str, pads: int, config: YEncoderConfig) -> None:
    backbone = build(config, attention).backbone
    ids, mask = text()
    changed = ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 50
    outputs = []
    for row in (ids, changed):
        some_ids, some_mask = padded(row, mask, pads, 0)
        outputs.append(
            backbone(input_ids=some_ids, attention_mask=some_mask).last_hidden_state[:, 0]
        )
    assert (outputs[0] - outputs[1]).abs().amax() > 1e-4


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("config", [SMALL, LOCAL])
@torch.no_grad()
def test_padding_changes_nothing_whatever_it_holds(attention: str, config: YEncoderConfig) -> None:
    y_encoder = build(config, attention)
    bare = y_encoder(*text())
    for pad_id in (0, 7):
        more = y_encoder(*padded(*text(), 6, pad_id))
        torch.testing.assert_close(more, bare, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_batch_is_its_rows() -> None:
    y_encoder = build()
    ids, mask = text()
    mask[1, 3:] = 0
    rows = torch.cat([y_encoder(ids[:1], mask[:1]), y_encoder(ids[1:, :3], mask[1:, :3])])
    torch.testing.assert_close(y_encoder(ids, mask), rows, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_mean_pooling_then_dense_layers_then_head_then_unit_norm() -> None:
    y_encoder = build(LOCAL)
    ids, mask = text()
    mask[:, 4:] = 0
    hidden = y_encoder.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    pooled = hidden[:, :4].mean(dim=1)
    for weight in (y_encoder.dense[0].weight, y_encoder.dense[1].weight):
        pooled = pooled @ weight.T
    expected = normalize(pooled @ y_encoder.head.weight.T + y_encoder.head.bias, dim=-1)
    torch.testing.assert_close(y_encoder(ids, mask), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_local_layer_does_not_see_beyond_its_window() -> None:
    # One local layer, window 4: two tokens to either side.
    backbone = build(dataclasses.replace(SMALL, layers=1, local_window=4)).backbone
    ids, mask = text(1, 9)
    changed = ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 50
    moved = [
        backbone(input_ids=row, attention_mask=mask).last_hidden_state[0] for row in (ids, changed)
    ]
    assert ((moved[0] - moved[1]).abs().amax(dim=-1) > 1e-6).tolist() == [False] * 6 + [True] * 3


def test_every_parameter_learns() -> None:
    y_encoder = build(LOCAL)
    y_encoder(*text())[:, 0].sum().backward()
    assert [n for n, p in y_encoder.named_parameters() if p.grad is None] == []
