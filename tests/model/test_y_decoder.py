from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vljepa_ros.config import YDecoderConfig
from vljepa_ros.model.y_decoder import YDecoder

CONFIG = YDecoderConfig(
    width=32,
    layers=2,
    heads=2,
    kv_heads=1,
    mlp_width=48,
    vocab_size=50,
    prefix_tokens=3,
    max_new_tokens=8,
)
EOS, PAD = 2, 0


def build(attention: str = "sdpa") -> YDecoder:
    """Random weights, the layers' made large: small ones only repeat the last token."""
    torch.manual_seed(0)
    decoder = YDecoder(CONFIG, embedding_width=16, attention=attention).eval()
    with torch.no_grad():
        for parameter in decoder.backbone.layers.parameters():
            parameter.mul_(4.0 if parameter.ndim == 2 else 1.0)
    return decoder


def embeddings(batch: int = 4) -> Tensor:
    random = torch.randn(batch, 16, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(random, dim=-1)


def greedy_without_cache(decoder: YDecoder, embedding_BE: Tensor, steps: int) -> Tensor:
    """Reference: every step runs teacher forcing on all that was said so far."""
    said = torch.empty(len(embedding_BE), 0, dtype=torch.long)
    for _ in range(steps):
        ids = torch.cat([said, torch.zeros(len(said), 1, dtype=torch.long)], dim=1)
        logits = decoder(embedding_BE, ids, torch.ones_like(ids))
        said = torch.cat([said, logits[:, -1:].argmax(dim=-1)], dim=1)
    return said


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@torch.no_grad()
def test_generating_is_the_argmax_of_teacher_forcing(attention: str) -> None:
    decoder = build(attention)
    said = decoder.generate(embeddings(), eos_id=-1, pad_id=PAD)
    assert said.shape == (4, 8)
    assert len({tuple(row) for row in said.tolist()}) > 1, "says the same whatever it is given"
    assert min(len(set(row)) for row in said.tolist()) > 1, "needs no memory: proves nothing"
    assert torch.equal(said, greedy_without_cache(decoder, embeddings(), 8))
    forced = decoder(embeddings(), said, torch.ones_like(said)).argmax(dim=-1)
    assert torch.equal(said, forced)


@torch.no_grad()
def test_a_row_ends_at_eos_and_the_others_go_on() -> None:
    decoder = build()
    free = decoder.generate(embeddings(), eos_id=-1, pad_id=PAD)
    end = int(free[0, 2])  # what row 0 says third becomes the end
    said = decoder.generate(embeddings(), eos_id=end, pad_id=PAD)
    for row, wanted in zip(said.tolist(), free.tolist(), strict=True):
        stop = wanted.index(end) + 1 if end in wanted else len(wanted)
        length = min(stop, len(row))
        assert row[:length] == wanted[:length]
        assert set(row[length:]) <= {PAD}
    assert said.shape[1] == max((r.index(end) + 1 if end in r else 8) for r in free.tolist())


@torch.no_grad()
def test_a_token_is_predicted_from_those_before_it_only() -> None:
    decoder = build()
    ids = torch.randint(3, 50, (1, 6), generator=torch.Generator().manual_seed(3))
    changed = ids.clone()
    changed[0, 3] = (changed[0, 3] + 1) % 50
    mask = torch.ones_like(ids)
    difference = decoder(embeddings(1), ids, mask) - decoder(embeddings(1), changed, mask)
    moved = difference.abs().amax(dim=-1)[0] > 1e-6
    assert moved.tolist() == [False, False, False, False, True, True]


@torch.no_grad()
def test_padding_and_batch_change_nothing() -> None:
    decoder = build()
    ids = torch.randint(3, 50, (2, 6), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    batch = decoder(embeddings(2), ids, mask)
    assert batch.shape == (2, 6, 50)
    alone = decoder(embeddings(2)[1:], ids[1:, :4], mask[1:, :4])
    torch.testing.assert_close(batch[1:, :4], alone, atol=1e-5, rtol=1e-4)


def test_every_parameter_learns() -> None:
    decoder = build()
    ids = torch.randint(3, 50, (2, 6))
    decoder(embeddings(2), ids, torch.ones_like(ids)).logsumexp(dim=-1).sum().backward()
    assert [n for n, p in decoder.named_parameters() if p.grad is None] == []


def test_nothing_to_say() -> None:
    decoder = build()
    assert decoder.generate(embeddings(0), eos_id=EOS, pad_id=PAD).shape == (0, 0)
    assert decoder.generate(embeddings(2), eos_id=EOS, pad_id=PAD, max_new_tokens=0).shape == (2, 0)
