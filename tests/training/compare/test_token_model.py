"""The token model: what sees what, and its probabilities against a computation step by step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from training.compare.token_model import TokenModel
from vljepa_ros.model import presets
from vljepa_ros.model.vljepa import VLJepa

BOS, EOS, PAD = 1, 2, 0


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def model(request: pytest.FixtureRequest) -> Iterator[TokenModel]:
    torch.manual_seed(0)
    layers = VLJepa(presets.tiny(), request.param).predictor
    model = TokenModel(layers, bos_id=BOS, eos_id=EOS, pad_id=PAD).eval()
    # Else an untrained model says nearly the same of everything.
    torch.nn.init.normal_(layers.backbone.embed_tokens.weight, std=0.5)
    with torch.inference_mode():
        yield model


def clip(model: TokenModel, rows: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (rows, model.layers.tubelets, model.layers.places, 24)
    return torch.randn(shape, generator=generator)


QUERY = torch.tensor([[7, 8, 9]])
TEXT = torch.tensor([[20, 21, 22, 23, EOS]])


def logits(model: TokenModel, tokens: Tensor, query: Tensor = QUERY, text: Tensor = TEXT) -> Tensor:
    ones = torch.ones_like
    return model(tokens, query, ones(query), text, ones(text))


def test_a_word_is_predicted_from_the_past_alone(model: TokenModel) -> None:
    before = logits(model, clip(model))
    for changed in range(TEXT.shape[1]):
        other = TEXT.clone()
        other[0, changed] = 99
        after = logits(model, clip(model), text=other)
        same = (before - after).abs().amax(dim=-1)[0] < 1e-5
        # Logits at i predict word i, so word i first matters at i + 1.
        assert same.tolist() == [at <= changed for at in range(TEXT.shape[1])]


def test_every_word_sees_all_that_is_shown_and_asked(model: TokenModel) -> None:
    before = logits(model, clip(model))
    other_query = QUERY.clone()
    other_query[0, -1] = 99
    assert ((before - logits(model, clip(model), other_query)).abs().amax(-1) > 1e-4).all()
    for at in ((0, 0), (-1, -1)):
        other_clip = clip(model)
        other_clip[0, at[0], at[1]] += 3
        assert ((before - logits(model, other_clip)).abs().amax(-1) > 1e-4).all()


def test_what_is_shown_and_asked_sees_all_of_itself(model: TokenModel) -> None:
    """The first visual token's outputs depend on the last word of the query, not on the text."""
    seen: list[Tensor] = []
    handle = model.layers.backbone.register_forward_hook(
        lambda *call: seen.append(call[-1].last_hidden_state[0, 0])
    )
    other_query, other_text = QUERY.clone(), TEXT.clone()
    other_query[0, -1], other_text[0, 0] = 99, 99
    logits(model, clip(model))
    logits(model, clip(model), query=other_query)
    logits(model, clip(model), text=other_text)
    handle.remove()
    assert not torch.allclose(seen[0], seen[1], atol=1e-4)
    assert torch.allclose(seen[0], seen[2], atol=1e-6)


def test_padding_changes_nothing(model: TokenModel) -> None:
    query = torch.tensor([[7, 8, 9], [11, PAD, PAD]])
    query_mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    text = torch.tensor([[20, 21, 22, 23, EOS], [30, EOS, PAD, PAD, PAD]])
    mask = torch.tensor([[1] * 5, [1, 1, 0, 0, 0]])
    tokens = clip(model, rows=2)
    both = model(tokens, query, query_mask, text, mask)
    alone = logits(model, tokens[1:], torch.tensor([[11]]), torch.tensor([[30, EOS]]))
    assert torch.allclose(both[1, :2], alone[0], atol=1e-5)


def brute_force(model: TokenModel, text: list[int]) -> float:
    """Word by word, each from a text that ends before it, without cache, mask or batch."""
    total = 0.0
    for at, word in enumerate(text):
        some = torch.tensor([[*text[:at], 5]])
        total += float(logits(model, clip(model), text=some)[0, -1].log_softmax(-1)[word])
    return total / len(text)


def test_perplexity_ranks_as_word_by_word(model: TokenModel) -> None:
    generator = torch.Generator().manual_seed(2)
    lengths = (1, 3, 8, 5, 2, 8)
    texts = [[*torch.randint(3, 300, (n,), generator=generator).tolist(), EOS] for n in lengths]
    longest = max(map(len, texts))
    ids = torch.tensor([[*text, *[PAD] * (longest - len(text))] for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])
    found = model.log_probability(clip(model), QUERY, ids, mask)
    wanted = torch.tensor([brute_force(model, text) for text in texts])
    assert torch.allclose(found, wanted, atol=1e-4)
    assert found.argsort().tolist() == wanted.argsort().tolist()
    assert wanted.std() > 0.1, "all texts are alike: the test says nothing"


def test_greedy_text_is_the_likeliest_word_after_word(model: TokenModel) -> None:
    tokens = clip(model, rows=2)
    query = torch.tensor([[7, 8, 9], [11, PAD, PAD]])
    query_mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    found = model.generate(tokens, query, query_mask, 6)
    for row in range(2):
        text: list[int] = []
        while len(text) < 6 and EOS not in text:
            some = torch.tensor([[*text, 5]])
            own = query[row : row + 1, : int(query_mask[row].sum())]
            text.append(int(logits(model, tokens[row : row + 1], own, some)[0, -1].argmax()))
        assert found[row, : len(text)].tolist() == text
        assert (found[row, len(text) :] == PAD).all()
