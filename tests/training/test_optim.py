import pytest
import torch
from torch import nn

from training.optim import learning_rate, param_groups, set_learning_rate


def test_a_share_of_zero_freezes_the_part() -> None:
    trained, frozen = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = param_groups([(trained, 0.05), (frozen, 0.0)], weight_decay=0.1)
    in_groups = {id(p) for g in groups for p in g["params"]}
    assert in_groups == {id(p) for p in trained.parameters()}
    assert not any(p.requires_grad for p in frozen.parameters())
    assert {g["weight_decay"] for g in groups} == {0.1, 0.0}


def test_each_part_gets_its_share() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(param_groups([(one, 1.0), (other, 0.05)], 0.0), lr=1.0)
    set_learning_rate(optimiser, 2.0)
    assert sorted({g["lr"] for g in optimiser.param_groups}) == pytest.approx([0.1, 2.0])


def test_schedules() -> None:
    cosine = learning_rate("cosine", 1.0, 10, 110)
    assert cosine(0) == pytest.approx(0.1)
    assert cosine(9) == pytest.approx(1.0)
    assert cosine(60) == pytest.approx(0.51, abs=0.01)
    assert cosine(110) == pytest.approx(0.02)
    constant = learning_rate("constant", 1.0, 10, 110)
    assert constant(50) == constant(109) == 1.0
