"""Every learner sees the same and is asked the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_comparison import Toy

from training.compare import ask
from training.compare.embedding_learners import JepaLearner
from training.compare.learner import Scores, target_tokens
from training.compare.learners import make
from training.compare.settings import LEARNERS, VARIANTS
from training.evaluate.choices import Item, chance
from training.tabletop import language
from vljepa_ros.config import ConfigError

READERS = ("jepa", "token", "dual", "jepa_own", "token_deep")
"""Those who learn from texts."""


def test_every_learner_gets_the_same_rows_at_each_step(toy: Toy) -> None:
    batches = {name: make(name, toy.frozen, toy.streams, 7).batches() for name in READERS}
    for step in (0, 3):
        first = batches["jepa"][step]
        for name in READERS:
            again = batches[name][step]
            assert again.keys() == first.keys()
            assert all(torch.equal(again[key], first[key]) for key in first), name
    assert not torch.equal(batches["jepa"][0]["key_B"], batches["jepa"][1]["key_B"])
    other_seed = make("token", toy.frozen, toy.streams, 8).batches()[0]
    assert not torch.equal(other_seed["key_B"], batches["jepa"][0]["key_B"])


def test_no_test_stream_is_trained_on(toy: Toy) -> None:
    data, items = toy.comparison.data, toy.comparison.items
    trained_on = range(data.first_seed, data.first_seed + data.episodes)
    for first in (items.seed, items.tune_seed):
        assert not set(trained_on) & set(range(first, first + items.episodes))


def test_targets_are_the_same_texts_for_all(toy: Toy) -> None:
    batch = toy.streams.batches(7)[0]
    ids_BM, mask_BM = target_tokens(batch, toy.frozen.tokenizer.eos_id)
    texts = toy.frozen.tokenizer.decode(batch["text_ids_BL"][batch["target_row_B"]])
    assert toy.frozen.tokenizer.decode(ids_BM) == texts
    last = mask_BM.sum(dim=1) - 1
    assert (ids_BM[torch.arange(len(ids_BM)), last] == toy.frozen.tokenizer.eos_id).all()


@pytest.mark.parametrize("name", READERS)
def test_gradients_reach_all_that_is_trained_and_nothing_frozen(toy: Toy, name: str) -> None:
    learner = make(name, toy.frozen, toy.streams, 7)
    loss, _ = learner.loss(learner.batches()[0])
    loss.backward()
    untaught = {n for n, p in learner.module().named_parameters() if not p.grad.any()}
    # Nothing is asked of the dual encoder in words.
    assert untaught == ({"layers.backbone.embed_tokens.weight"} if name == "dual" else set())
    assert all(p.grad is None for p in toy.frozen.model.parameters())


def test_finding_words_does_not_teach_the_layers(toy: Toy) -> None:
    gradients = []
    for speaks in (True, False):
        torch.manual_seed(0)
        learner = make("jepa", toy.frozen, toy.streams, 7)
        assert isinstance(learner, JepaLearner)
        if not speaks:
            learner._decoder = None
        torch.manual_seed(1)
        learner.loss(learner.batches()[0])[0].backward()
        layers = dict(learner.module().named_parameters())
        gradients.append({n: p.grad for n, p in layers.items() if n.startswith("layers.")})
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name


def test_the_dual_encoder_hears_no_query(toy: Toy) -> None:
    learner = make("dual", toy.frozen, toy.streams, 7)
    vqa = toy.tasks.choices["vqa"]
    other = [Item(i.kind, "Is there a red cube?", i.candidates, i.answer) for i in vqa.items]
    for a, b in zip(
        learner.scores(vqa.clips, vqa.items), learner.scores(vqa.clips, other), strict=True
    ):
        assert np.allclose(a, b, atol=1e-5)
    jepa = make("jepa", toy.frozen, toy.streams, 7)
    pairs = zip(jepa.scores(vqa.clips, vqa.items), jepa.scores(vqa.clips, other), strict=True)
    assert any(not np.allclose(a, b, atol=1e-4) for a, b in pairs)


def test_the_dual_encoder_learns_from_the_rows_that_need_no_query(toy: Toy) -> None:
    learner = make("dual", toy.frozen, toy.streams, 7)
    config = toy.frozen.config
    fixed = {config.caption_query, config.scene_query, "Which action is it?"}
    batch = learner.batches()[0]
    rows = toy.streams.batches(7).rows(0)  # type: ignore[attr-defined]
    wanted = np.mean([row.asked.query in fixed for row in rows])
    assert 0 < wanted < 1
    assert learner.loss(batch)[1]["rows_used"] == pytest.approx(wanted)


def test_the_token_model_has_the_predictors_parameters_less_its_output(toy: Toy) -> None:
    counts = {n: make(n, toy.frozen, toy.streams, 7).parameters() for n in READERS}
    width, embedding = toy.frozen.config.predictor.width, toy.frozen.config.embedding_width
    output = width * embedding + embedding
    assert counts["jepa"]["layers"] == counts["token"]["layers"] + output
    assert counts["jepa"]["layers"] == counts["dual"]["layers"]
    assert counts["jepa"]["token_table"] == counts["token"]["token_table"]
    both = counts["jepa"]["layers"] + counts["jepa"]["y_decoder"]
    layer = sum(p.numel() for p in toy.frozen.layers().backbone.layers[0].parameters())
    assert abs(counts["token_deep"]["layers"] - both) <= layer


@pytest.mark.parametrize("name", (*LEARNERS, *VARIANTS))
def test_each_learner_answers_or_says_that_it_does_not(toy: Toy, name: str) -> None:
    worth = ask.ask(make(name, toy.frozen, toy.streams, 7), toy.tasks, last=True)
    for task, choices in (*toy.tasks.choices.items(), *toy.tasks.pools.items()):
        key = f"{task}_r1" if task in toy.tasks.pools else task
        assert worth[key].shape == (len(choices.items),)
        assert (worth[key] <= worth[f"{key}_answered"]).all()
    speaks = {n for n in worth if n.endswith("_match")}
    if name == "dual":
        assert not speaks
    if name == "symbolic":
        assert speaks == {"scene_caption_match"}
        assert worth["transition_answered"].max() == worth["action_answered"].max() == 0
        assert worth["scene_caption_r1_answered"].min() == 1
    else:
        assert worth["vqa_answered"].min() == 1


def test_an_unknown_learner_is_refused(toy: Toy) -> None:
    with pytest.raises(ConfigError, match=r"jepa.*token"):
        make("nobody", toy.frozen, toy.streams, 7)


# --- what answers are worth


class Told:
    """Knows every answer; or guesses, if it is to be blind."""

    def __init__(self, toy: Toy, blind: bool) -> None:
        self._rng = np.random.default_rng(0) if blind else None
        self._said = {
            (id(tokens), captions.query): language.canonical(meaning)
            for captions in toy.tasks.captions.values()
            for tokens, meaning in zip(captions.clips, captions.meanings, strict=True)
        }

    def scores(self, clips: Sequence[Tensor], items: Sequence[Item]) -> Iterator[Scores]:
        for item in items:
            if self._rng is not None:
                yield self._rng.random(len(item.candidates))
            else:
                yield np.eye(len(item.candidates))[item.answer]

    def speaks(self, query: str) -> bool:
        return True

    def captions(self, clips: Sequence[Tensor], queries: Sequence[str]) -> list[str]:
        return [self._said[id(c), q] for c, q in zip(clips, queries, strict=True)]


def test_somebody_who_knows_gets_everything(toy: Toy) -> None:
    worth = ask.ask(Told(toy, blind=False), toy.tasks, last=True)  # type: ignore[arg-type]
    for name, worth_R in worth.items():
        if name.endswith("_match_blind"):
            assert worth_R.mean() < 0.5, name
        elif "_cider" not in name:
            assert worth_R.min() == 1.0, name
    assert worth["action_caption_cider"].mean() > 1
    assert worth["action_caption_cider_blind"].mean() < worth["action_caption_cider"].mean()
    assert "action_caption_match_blind" in worth


def test_somebody_who_guesses_gets_chance(toy: Toy) -> None:
    items = [*toy.tasks.choices["vqa"].items, *toy.tasks.choices["transition"].items] * 200
    guessed = Told(toy, blind=True).scores([], items)
    wanted = chance(items)
    error = np.sqrt(wanted * (1 - wanted) / len(items))
    assert ask.right(guessed, items).mean() == pytest.approx(wanted, abs=4 * error)


def test_ties_and_silence_are_wrong() -> None:
    item = Item("x", "?", ("a", "b", "c"), 1)
    scores = [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [np.nan] * 3, [2.0, 1.0, 0.0]]
    found = ask.right([np.array(row) for row in scores], [item] * 5)
    assert found.tolist() == [1, 0, 0, 0, 0]


def test_what_answers_are_worth_survives_the_disk(tmp_path: pytest.TempPathFactory) -> None:
    path = tmp_path / "run" / "worth.npz"  # type: ignore[operator]
    ask.save(path, {"vqa": np.array([1.0, 0.0])})
    assert ask.load(path)["vqa"].tolist() == [1.0, 0.0]
    assert [p.name for p in path.parent.iterdir()] == ["worth.npz"]
