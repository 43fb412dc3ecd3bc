"""Each ablation changes what it says, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from test_runner import a_runner
from torch import Tensor
from toy_comparison import Toy

from training.compare import ablation_report, runner
from training.compare.ablations import ABLATIONS, AblatedLearner, _layers
from training.compare.frozen import Frozen
from training.compare.learners import make
from training.compare.settings import ablations
from vljepa_ros import paths
from vljepa_ros.config import ConfigError


def learner(toy: Toy, name: str) -> AblatedLearner:
    torch.manual_seed(0)
    made = make(name, toy.frozen, toy.streams, 7)
    assert isinstance(made, AblatedLearner)
    made.module().eval()
    return made


def loss_of(toy: Toy, name: str) -> float:
    made = learner(toy, name)
    batch = made.batches()[0]
    batch["key_B"][1] = batch["key_B"][0]  # two equal targets, whatever was drawn
    return float(made.loss(batch)[0].detach())


def gradients(toy: Toy, name: str) -> dict[str, bool]:
    made = learner(toy, name)
    made.loss(made.batches()[0])[0].backward()
    return {
        n: bool(p.grad.any()) for n, p in made.module().named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize(
    "name", ["causal", "last_token", "cosine", "equal_negatives", "direct", "own_candidates"]
)
def test_each_makes_another_loss_of_the_same_rows(toy: Toy, name: str) -> None:
    assert loss_of(toy, name) != pytest.approx(loss_of(toy, "base"), abs=1e-6)


def test_only_with_a_causal_mask_early_tokens_do_not_see_late_ones(toy: Toy) -> None:
    batch = toy.streams.batches(7)[0]
    tokens_BTND, mask_BL = batch["tokens_BTND"].float(), batch["query_mask_BL"]
    ids_BL = batch["query_ids_BL"]
    other_BL = ids_BL.clone()
    other_BL[:, -1] = (other_BL[:, -1] + 1) % 50
    for name, blind in (("base", False), ("causal", True)):
        layers = learner(toy, name)._layers
        full_BL = torch.ones_like(mask_BL)
        first_BND, _ = layers.hidden(tokens_BTND, ids_BL, full_BL)
        second_BND, _ = layers.hidden(tokens_BTND, other_BL, full_BL)
        assert torch.equal(first_BND, second_BND) == blind, name


def test_half_depth_has_half_the_layers() -> None:
    shipped = Frozen(paths.default_model())
    made = _layers(shipped, ABLATIONS["half_depth"])
    assert len(made.backbone.layers) == shipped.config.predictor.layers // 2


def test_the_last_token_is_the_last_that_is_no_padding(toy: Toy) -> None:
    layers = learner(toy, "last_token")._layers
    query_BLD = torch.arange(8.0).reshape(2, 2, 2)
    mask_BL = torch.tensor([[1, 1], [1, 0]])
    read_BD = layers._pooled(torch.zeros(2, 3, 2), query_BLD, mask_BL)
    assert read_BD.tolist() == [[2.0, 3.0], [4.0, 5.0]]


def test_a_y_encoder_that_learns_is_a_copy_with_its_own_share(toy: Toy) -> None:
    before = {n: x.clone() for n, x in toy.frozen.model.y_encoder.state_dict().items()}
    assert not any(n.startswith("y_encoder") for n in gradients(toy, "base"))
    assert any(taught for n, taught in gradients(toy, "y_lr_1").items() if "y_encoder" in n)
    made = learner(toy, "y_lr_0.05")
    shares = {share for part, share in made.parts() if part is made._y_encoder}
    assert shares == {0.05}
    np.testing.assert_allclose(
        made._text_embeddings(["a red cube", "nothing", "a red cube"]),
        toy.frozen.engine.encode_texts(["a red cube", "nothing", "a red cube"]),
        atol=1e-5,
    )
    with torch.no_grad():
        for weight in made._y_encoder.parameters():
            weight.add_(torch.randn_like(weight))
    made.loss(made.batches()[0])  # what it knew of texts is forgotten
    changed = made._text_embeddings(["a red cube"])
    assert not np.allclose(changed, toy.frozen.engine.encode_texts(["a red cube"]), atol=1e-2)
    after: dict[str, Tensor] = toy.frozen.model.y_encoder.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before)


def test_the_report_compares_what_has_all_seeds_of_the_base(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished base"):
        ablation_report.write(tmp_path / "none", tmp_path / "r.json")
    out, results = tmp_path / "runs", tmp_path / "ablations.json"
    a_runner(toy, out, learners=("base", "cosine"), seeds=(1, 2), milestones=1).run()
    runner._save_items(out / runner.ITEMS, toy.tasks)
    a_runner(toy, out, learners=("half_depth",), seeds=(1,), milestones=1).run()
    said = ablation_report.write(out, results)
    assert json.loads(results.read_text()) == said
    found = said["ablations"]
    assert isinstance(found, dict) and set(found) == {"base", "cosine"} and said["seeds"] == [1, 2]
    for score in found["base"]["scores"].values():
        assert score["above_base"]["value"] == 0 == score["above_base"]["high"]
    assert "cosine" in ablation_report.table(said) and "half_depth" not in found


def test_thirty_runs_at_most_forty_as_asked() -> None:
    planned = ablations()
    assert len(planned.learners) * len(planned.seeds) <= 40 and len(planned.seeds) >= 3
    assert set(planned.learners) == set(ABLATIONS) and len(planned.lrs) == 1
    assert all(
        dataclasses.astuple(one) != dataclasses.astuple(ABLATIONS["base"])
        for name, one in ABLATIONS.items()
        if name != "base"
    )
