import math

import torch
import torch.nn.functional as F

from training.loss import MAX_LOGIT_SCALE, Temperature, info_nce


def unit(rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, 5, generator=generator, dtype=torch.float64), dim=-1)


def test_two_rows_by_hand() -> None:
    predicted = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    target = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    # Rows: -log(e^1 / (e^1 + e^.6)), -log(e^.8 / (e^0 + e^.8)); columns likewise.
    rows = [math.log1p(math.exp(0.6 - 1.0)), math.log1p(math.exp(0.0 - 0.8))]
    columns = [math.log1p(math.exp(0.0 - 1.0)), math.log1p(math.exp(0.6 - 0.8))]
    wanted = 0.5 * (sum(rows) / 2 + sum(columns) / 2)
    got = info_nce(predicted, target, torch.tensor([1, 2]), torch.tensor(1.0))
    assert math.isclose(float(got), wanted, rel_tol=1e-6)


def test_rows_of_equal_key_are_not_negatives() -> None:
    predicted, target = unit(3), unit(3, 1)
    target[2] = target[0]
    scale = torch.tensor(10.0)
    masked = info_nce(predicted[:2], target[:2], torch.tensor([7, 8]), scale)
    both = info_nce(
        torch.cat([predicted[:2], predicted[:1]]),
        torch.cat([target[:2], target[:1]]),
        torch.tensor([7, 8, 7]),
        scale,
    )
    unmasked = info_nce(
        torch.cat([predicted[:2], predicted[:1]]),
        torch.cat([target[:2], target[:1]]),
        torch.tensor([7, 8, 9]),
        scale,
    )
    assert float(unmasked) > float(both)
    assert math.isfinite(float(masked))


def test_own_candidates_are_negatives_of_their_row_only() -> None:
    predicted, target = unit(2), unit(2, 1)
    own = torch.stack([target[:1], -predicted[1:]])
    keys, scale = torch.tensor([1, 2]), torch.tensor(5.0)
    plain = info_nce(predicted, target, keys, scale)
    with_own = info_nce(predicted, target, keys, scale, candidate_bKE=own)
    none = info_nce(
        predicted,
        target,
        keys,
        scale,
        candidate_bKE=own,
        candidate_mask_bK=torch.zeros(2, 1, dtype=torch.bool),
    )
    assert float(with_own) > float(plain)
    assert torch.allclose(none, plain)


def test_gradient_reaches_both_sides() -> None:
    predicted, target = unit(4).requires_grad_(), unit(4, 1).requires_grad_()
    info_nce(predicted, target, torch.arange(4), torch.tensor(10.0)).backward()
    assert predicted.grad is not None and predicted.grad.abs().sum() > 0
    assert target.grad is not None and target.grad.abs().sum() > 0


def test_temperature_is_bounded() -> None:
    temperature = Temperature(initial_temperature=1e-6)
    assert float(temperature()) == MAX_LOGIT_SCALE
    assert math.isclose(float(Temperature(0.07)()), 1 / 0.07, rel_tol=1e-5)
