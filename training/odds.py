"""Small networks that give a probability: one hidden layer, then calibrated on other rows.

Shapes: R rows, W inputs, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class OddsRun:
    """How such a network learns."""

    hidden: int = 64
    steps: int = 600
    batch_size: int = 512
    lr: float = 2e-3
    weight_decay: float = 0.1
    dropout: float = 0.3


@dataclass(frozen=True, eq=False)
class Odds:
    """sigmoid(gelu(x W + b) · v + c), its last layer scaled and shifted (Platt)."""

    hidden_HW: Tensor
    hidden_bias_H: Tensor
    last_H: Tensor
    last_bias: Tensor
    scale: float
    shift: float


def learn(
    input_RW: Tensor, share_R: Tensor, aside_R: Tensor, run: OddsRun, true_R: Tensor | None = None
) -> Odds:
    """Fit to `share_R` [0..1]; the rows `aside_R` only calibrate, against `true_R` if given.

    What is to be told may be 0 or 1 by chance, where a share that says how nearly it was the other
    teaches more.
    """
    true_R = share_R if true_R is None else true_R
    network = _fit(input_RW[~aside_R], share_R[~aside_R], run)
    first, last = network[0], network[3]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    with torch.no_grad():
        odds_R = network(input_RW[aside_R])[:, 0]
    scale, shift = _calibrate(odds_R, true_R[aside_R])
    return Odds(
        first.weight.detach(),
        first.bias.detach(),
        last.weight.detach()[0] * scale,
        last.bias.detach() * scale + shift,
        scale,
        shift,
    )


def aside_streams(stream_R: Tensor, share: float) -> Tensor:
    """Rows (R,) of a random share of the streams."""
    streams = stream_R.unique()
    held = streams[torch.randperm(len(streams))[: round(len(streams) * share)]]
    return torch.isin(stream_R, held)


def _fit(input_RW: Tensor, share_R: Tensor, run: OddsRun) -> nn.Sequential:
    network = nn.Sequential(
        nn.Linear(input_RW.shape[1], run.hidden),
        nn.GELU(),
        nn.Dropout(run.dropout),
        nn.Linear(run.hidden, 1),
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=run.lr, weight_decay=run.weight_decay)
    for step in range(run.steps):
        for group in optimiser.param_groups:
            group["lr"] = run.lr * (1 - step / run.steps)
        rows = torch.randint(len(share_R), (run.batch_size,))
        loss = F.binary_cross_entropy_with_logits(network(input_RW[rows])[:, 0], share_R[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def _calibrate(odds_R: Tensor, true_R: Tensor) -> tuple[float, float]:
    """Scale and shift of the log odds with the least cross-entropy (Platt)."""
    values = torch.tensor([1.0, 0.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([values], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = F.binary_cross_entropy_with_logits(values[0] * odds_R + values[1], true_R)
        found.backward()
        return found

    optimiser.step(loss)
    return float(values[0].detach()), float(values[1].detach())
