from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vljepa_ros.config import PredictorConfig
from vljepa_ros.model.predictor import Predictor, llama_config

SMALL = PredictorConfig(width=32, layers=2, heads=2, kv_heads=1, mlp_width=48, vocab_size=50)
PAPER_LIKE = dataclasses.replace(SMALL, merge_frames=False, learned_positions=False)


def build(config: PredictorConfig = SMALL, attention: str = "sdpa") -> Predictor:
    torch.manual_seed(0)
    return Predictor(
        config, token_width=24, tubelets=3, places=4, embedding_width=16, attention=attention
    ).eval()


def tokens(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 4, 24, generator=torch.Generator().manual_seed(1))


def query(batch: int = 2, length: int = 5) -> tuple[Tensor, Tensor]:
    ids = torch.randint(3, 50, (batch, length), generator=torch.Generator().manual_seed(2))
    return ids, torch.ones_like(ids)


def padded(ids: Tensor, mask: Tensor, count: int, pad_id: int) -> tuple[Tensor, Tensor]:
    pads = torch.full((len(ids), count), pad_id)
    return torch.cat([ids, pads], 1), torch.cat([mask, torch.zeros_like(pads)], 1)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("pads", [0, 3])
@pytest.mark.parametrize("config", [SMALL, PAPER_LIKE])
@torch.no_grad()
def test_early_tokens_see_late_ones(attention: str, pads: int, config: PredictorConfig) -> None:
    predictor = build(config, attention)
    ids, mask = query()
    changed = ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 50
    before, _ = predictor.hidden(tokens(), *padded(ids, mask, pads, 0))
    after, _ = predictor.hidden(tokens(), *padded(changed, mask, pads, 0))
    assert (before - after)[:, 0].abs().amax() > 1e-4


@torch.no_grad()
def test_one_clip_goes_with_every_query() -> None:
    predictor = build(PAPER_LIKE, "sdpa")
    ids, mask = query(batch=3)
    one = tokens(1)
    found = predictor(one, ids, mask)
    torch.testing.assert_close(found, predictor(one.expand(3, -1, -1, -1), ids, mask))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_padding_changes_nothing_whatever_it_holds(attention: str) -> None:
    predictor = build(SMALL, attention)
    ids, mask = query()
    bare = predictor(tokens(), ids, mask)
    for pad_id in (0, 7):
        more = predictor(tokens(), *padded(ids, mask, 6, pad_id))
        torch.testing.assert_close(more, bare, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", [SMALL, PAPER_LIKE])
@torch.no_grad()
def test_a_batch_is_its_rows(config: PredictorConfig) -> None:
    predictor = build(config)
    ids, mask = query()
    mask[1, 3:] = 0
    batch = predictor(tokens(), ids, mask)
    first = predictor(tokens()[:1], ids[:1], mask[:1])
    second = predictor(tokens()[1:], ids[1:, :3], mask[1:, :3])
    torch.testing.assert_close(batch, torch.cat([first, second]), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_pooling_is_the_mean_over_visual_and_query_outputs() -> None:
    predictor = build()
    ids, mask = query()
    mask[0, 2:] = 0
    visual, text = predictor.hidden(tokens(), ids, mask)
    assert visual.shape == (2, 4, 32)
    assert text.shape == (2, 5, 32)
    for row, length in ((0, 2), (1, 5)):
        mean = torch.cat([visual[row], text[row, :length]]).mean(dim=0)
        expected = normalize(predictor.output_projection(mean), dim=-1)
        found = predictor(tokens(), ids, mask)[row]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert float(found.norm()) == pytest.approx(1.0, abs=1e-5)


@torch.no_grad()
def test_the_outputs_were_normed_before_pooling() -> None:
    predictor = build()
    before, _ = predictor.hidden(tokens(), *query())
    predictor.backbone.norm.weight.mul_(2.0)
    after, _ = predictor.hidden(tokens(), *query())
    torch.testing.assert_close(after, 2.0 * before)


@torch.no_grad()
def test_merged_frames_keep_their_order_and_place() -> None:
    predictor = build()
    visual = predictor.visual_inputs(tokens())
    joined = torch.cat([tokens()[1, t, 2] for t in range(3)])
    assert predictor.positions_ND is not None
    expected = predictor.input_projection(joined) + predictor.positions_ND[2]
    torch.testing.assert_close(visual[1, 2], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_unmerged_frames_run_in_time() -> None:
    predictor = build(PAPER_LIKE)
    visual = predictor.visual_inputs(tokens())
    assert visual.shape == (2, 12, 32)
    expected = predictor.input_projection(tokens()[1, 2, 3])
    torch.testing.assert_close(visual[1, 11], expected, atol=1e-5, rtol=1e-4)


def test_every_parameter_learns() -> None:
    predictor = build()
    predictor(tokens(), *query())[:, 0].sum().backward()
    assert [n for n, p in predictor.named_parameters() if p.grad is None] == []


def test_a_clip_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="reads 3 tubelets of 4 tokens"):
        build()(tokens()[:, :2], *query())


def test_llama_3_frequencies_are_the_published_ones() -> None:
    config = dataclasses.replace(PAPER_LIKE, rope_factor=32.0, rope_theta=500_000.0)
    assert llama_config(config).rope_parameters == {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
