"""Networks of one hidden layer that are learnt when the model is finished.

Shapes: R rows, I inputs, O outputs, B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkRun:
    """How such a network learns."""

    hidden: int = 64
    steps: int = 600
    batch_size: int = 512
    lr: float = 2e-3
    weight_decay: float = 0.1
    dropout: float = 0.3


@dataclass(frozen=True, eq=False)
class SmallNetwork:
    """last(gelu(first(x))), x as it comes."""

    first: nn.Linear
    last: nn.Linear

    def __call__(self, input_RI: Tensor) -> Tensor:
        """Outputs (R, O)."""
        found: Tensor = self.last(nn.functional.gelu(self.first(input_RI)))
        return found


def fit(
    input_RI: Tensor,
    outputs: int,
    seen_R: Tensor,
    run: NetworkRun,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    *,
    from_zero: bool = False,
) -> SmallNetwork:
    """Learn from the rows `seen_R`.

    Args:
        loss_of: of what the network says of some rows (B, O), and which rows they are (B,).
        from_zero: before it has learnt better, it says 0.
    """
    mean_I, spread_I = input_RI.mean(dim=0), input_RI.std(dim=0)
    # What never varied says nothing; divided by next to nothing, it would shout when it does.
    spread_I = torch.where(spread_I > 1e-6, spread_I, 1.0)
    unit_RI = (input_RI - mean_I) / spread_I
    first, last = nn.Linear(input_RI.shape[1], run.hidden), nn.Linear(run.hidden, outputs)
    if from_zero:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    network = nn.Sequential(first, nn.GELU(), nn.Dropout(run.dropout), last)
    seen = seen_R.nonzero()[:, 0]
    optimiser = torch.optim.AdamW(network.parameters(), lr=run.lr, weight_decay=run.weight_decay)
    for step in range(run.steps):
        for group in optimiser.param_groups:
            group["lr"] = run.lr * (1 - step / run.steps)
        rows = seen[torch.randint(len(seen), (run.batch_size,))]
        loss = loss_of(network(unit_RI[rows]), rows)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        # Its inputs were of unit size; what is kept takes them as they come.
        first.weight /= spread_I
        first.bias.sub_(first.weight @ mean_I)
    return SmallNetwork(first.requires_grad_(False), last.requires_grad_(False))


def aside_streams(stream_R: Tensor, share: float) -> Tensor:
    """Rows (R,) of a random share of the streams."""
    streams = stream_R.unique()
    held = streams[torch.randperm(len(streams))[: round(len(streams) * share)]]
    return torch.isin(stream_R, held)
