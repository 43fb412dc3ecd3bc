"""Small networks that give a probability: one hidden layer, then calibrated on other rows.

Shapes: R rows, W inputs, H hidden units, K kinds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_ros.model.reliability import entropy


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
    run: OddsRun,
    true_R: Tensor | None = None,
    kind_R: Tensor | None = None,
) -> Odds:
    """Fit to `share_R` [0..1]; the rows `aside_R` only calibrate, against `true_R` if given.

    What is to be told may be 0 or 1 by chance, where a share that says how nearly it was the other
    teaches more. Rows may be of kinds (int64, from 0): the network then learns to tell the kind as
    well, and how undecided it is between kinds says more than its odds alone.
    """
    true_R = share_R if true_R is None else true_R
    mean_W, spread_W = input_RW.mean(dim=0), input_RW.std(dim=0)
    # What never varied says nothing; divided by next to nothing, it would shout when it does.
    spread_W = torch.where(spread_W > 1e-6, spread_W, 1.0)
    network = _fit((input_RW - mean_W) / spread_W, share_R, ~aside_R, run, kind_R)
    first, last = network[0], network[3]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    with torch.no_grad():
        # Its inputs were of unit size; what is kept takes them as they come.
        first.weight /= spread_W
        first.bias.sub_(first.weight @ mean_W)
        said_RK = network(input_RW[aside_R])
    entropy_R = entropy(said_RK[:, 1:])
    scale, undecided, shift = _calibrate(said_RK[:, 0], entropy_R, true_R[aside_R])
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


def aside_streams(stream_R: Tensor, share: float) -> Tensor:
    """Rows (R,) of a random share of the streams."""
    streams = stream_R.unique()
    held = streams[torch.randperm(len(streams))[: round(len(streams) * share)]]
    return torch.isin(stream_R, held)


def _fit(
    input_RW: Tensor, share_R: Tensor, seen_R: Tensor, run: OddsRun, kind_R: Tensor | None
) -> nn.Sequential:
    kinds = 0 if kind_R is None else int(kind_R.max()) + 1
    network = nn.Sequential(
        nn.Linear(input_RW.shape[1], run.hidden),
        nn.GELU(),
        nn.Dropout(run.dropout),
        nn.Linear(run.hidden, 1 + kinds),
    )
    seen = seen_R.nonzero()[:, 0]
    optimiser = torch.optim.AdamW(network.parameters(), lr=run.lr, weight_decay=run.weight_decay)
    for step in range(run.steps):
        for group in optimiser.param_groups:
            group["lr"] = run.lr * (1 - step / run.steps)
        rows = seen[torch.randint(len(seen), (run.batch_size,))]
        said_RK = network(input_RW[rows])
        loss = F.binary_cross_entropy_with_logits(said_RK[:, 0], share_R[rows])
        if kind_R is not None:
            loss = loss + F.cross_entropy(said_RK[:, 1:], kind_R[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


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
