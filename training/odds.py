"""Small networks that give a probability, calibrated on other rows.

Shapes: R rows, W inputs, H hidden units, K kinds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.small_network import NetworkRun, fit
from vljepa_ros.model.reliability import entropy


@dataclass(frozen=True, eq=False)
class Odds:
    """sigmoid(h · v + c + u · entropy(softmax(h K + k))) with h = gelu(x W + b).

    v, c and u are such that it is calibrated (Platt). Without kinds the entropy is left out.
    """

    hidden_HW: Tensor
    hidden_bias_H: Tensor
    last_H: Tensor
    last_bias: Tensor
    kinds_KH: Tensor
    kinds_bias_K: Tensor
    undecided: Tensor
    """u, of one element."""
    scale: float
    shift: float


def learn(
    input_RW: Tensor,
    share_R: Tensor,
    aside_R: Tensor,
    run: NetworkRun,
    true_R: Tensor | None = None,
    kind_R: Tensor | None = None,
) -> Odds:
    """Fit to `share_R` [0..1]; the rows `aside_R` only calibrate, against `true_R` if given.

    What is to be told may be 0 or 1 by chance, where a share that says how nearly it was the other
    teaches more. Rows may be of kinds (int64, from 0): the network then learns to tell the kind as
    well, and how undecided it is between kinds says more than its odds alone.
    """
    true_R = share_R if true_R is None else true_R
    kinds = 0 if kind_R is None else int(kind_R.max()) + 1

    def loss_of(said_RK: Tensor, rows: Tensor) -> Tensor:
        loss = F.binary_cross_entropy_with_logits(said_RK[:, 0], share_R[rows])
        return loss if kind_R is None else loss + F.cross_entropy(said_RK[:, 1:], kind_R[rows])

    network = fit(input_RW, 1 + kinds, ~aside_R, run, loss_of)
    said_RK = network(input_RW[aside_R])
    entropy_R = entropy(said_RK[:, 1:])
    scale, undecided, shift = _calibrate(said_RK[:, 0], entropy_R, true_R[aside_R])
    first, last = network.first, network.last
    return Odds(
        first.weight.detach(),
        first.bias.detach(),
        last.weight.detach()[0] * scale,
        last.bias.detach()[:1] * scale + shift,
        last.weight.detach()[1:],
        last.bias.detach()[1:],
        torch.tensor([undecided]),
        scale,
        shift,
    )


def _calibrate(odds_R: Tensor, entropy_R: Tensor, true_R: Tensor) -> tuple[float, float, float]:
    """Scale of the log odds, weight of the entropy and shift with the least cross-entropy."""
    values = torch.tensor([1.0, 0.0, 0.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([values], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits_R = values[0] * odds_R + values[1] * entropy_R + values[2]
        found = F.binary_cross_entropy_with_logits(logits_R, true_R)
        found.backward()
        return found

    optimiser.step(loss)
    scale, undecided, shift = values.detach().tolist()
    return scale, undecided, shift
