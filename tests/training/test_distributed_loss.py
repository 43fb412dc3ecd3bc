"""The loss and every gradient of a batch are the same however it is spread, to 1e-6 in float64."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.bench.processes import in_processes
from training.distributed import ALONE, Ranks
from training.embed import contrast
from training.loss import Temperature
from training.pairs import Pairs
from training.parallel import Batch, Metrics, Parallel

ROWS, CANDIDATES, WIDTH = 16, 3, 6


class Toy:
    """Two towers that meet in the loss; half of the keys occur twice, candidates vary in number."""

    def __init__(self, ranks: Ranks) -> None:
        torch.manual_seed(3)
        self.towers = nn.ModuleDict({n: nn.Linear(WIDTH, WIDTH) for n in ("x", "y")})
        self.temperature = Temperature()
        self._module = nn.ModuleDict({"towers": self.towers, "temperature": self.temperature})
        self._module.double()
        self._ranks = ranks

    def module(self) -> nn.Module:
        return self._module

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [(self._module, 1.0)]

    def batches(self) -> Dataset[Batch]:
        raise NotImplementedError

    def embed(self, batch: Batch) -> tuple[Pairs, Tensor, Metrics]:
        x, y = self.towers["x"], self.towers["y"]
        predicted = F.normalize(x(batch["x"]), dim=-1)
        # Dropout must draw the same in both passes over a part.
        predicted = F.normalize(F.dropout(predicted, 0.0 if "still" in batch else 0.3), dim=-1)
        pairs = Pairs(
            predicted,
            F.normalize(y(batch["y"]), dim=-1),
            F.normalize(y(batch["candidates"]), dim=-1),
            self.temperature(),
            batch["key"],
            batch["exists"],
        )
        return pairs, predicted.square().sum(dim=1).mul(batch["weight"]).mean(), {}

    def contrast(self, pairs: Pairs) -> tuple[Tensor, Metrics]:
        return contrast(pairs, self._ranks, near_equal=0.5)

    def loss(self, batch: Batch) -> tuple[Tensor, Metrics]:
        pairs, others, _ = self.embed(batch)
        loss, metrics = self.contrast(pairs)
        return loss + others, metrics

    def evaluate(self) -> Metrics:
        return {}


def whole_batch() -> Batch:
    generator = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return {
        "x": draw(ROWS, WIDTH),
        "y": draw(ROWS, WIDTH),
        "candidates": draw(ROWS, CANDIDATES, WIDTH),
        "exists": torch.rand(ROWS, CANDIDATES, generator=generator) < 0.7,
        "key": torch.arange(ROWS) % (ROWS // 2 + 2),
        "weight": draw(ROWS),
        "still": torch.ones(ROWS),
    }


def gradients(ranks: Ranks, parts: int, sharded: bool = False) -> dict[str, Tensor]:
    """Loss and gradients of the whole batch, of which this rank sees its parts."""
    stage = Toy(ranks)
    parallel = Parallel(stage, ranks, "cpu", sharded=sharded)
    count = parts * ranks.world
    mine = range(ranks.rank, count, ranks.world)
    batches = [{n: x[part::count] for n, x in whole_batch().items()} for part in mine]
    loss, _ = parallel.backward(batches)
    found = {"loss": torch.tensor(ranks.mean(loss), dtype=torch.float64)}
    for name, parameter in stage.module().named_parameters():
        gradient = parameter.grad
        assert gradient is not None
        found[name] = gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
    return found


def spread(ranks: Ranks) -> dict[str, Tensor]:
    """Gradients of every way to spread the batch over these ranks."""
    found = {}
    for parts in (1, 2):
        for sharded in (False, True):
            made = gradients(ranks, parts, sharded)
            found |= {f"{parts} {sharded} {name}": value for name, value in made.items()}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_ranks_give_the_loss_and_gradients_of_one_process(world: int, tmp_path: Path) -> None:
    wanted = gradients(ALONE, 1)
    for found in in_processes(world, spread, tmp_path):
        assert len(found) == 4 * len(wanted)
        for name, gradient in found.items():
            assert torch.allclose(gradient, wanted[name.split()[-1]], rtol=0, atol=1e-6), name


def test_parts_give_the_loss_and_gradients_of_the_whole() -> None:
    wanted, found = gradients(ALONE, 1), gradients(ALONE, 4)
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=0, atol=1e-12), name


def test_parts_draw_the_same_dropout_in_both_passes() -> None:
    stage = Toy(ALONE)
    batch = {n: x for n, x in whole_batch().items() if n != "still"}
    halves = [{n: x[i::2] for n, x in batch.items()} for i in range(2)]
    torch.manual_seed(5)
    Parallel(stage, ALONE, "cpu").backward(halves)
    found = {n: p.grad.clone() for n, p in stage.module().named_parameters() if p.grad is not None}
    torch.manual_seed(5)
    stage.module().zero_grad()
    parts = [stage.embed(half) for half in halves]
    joined = Pairs(
        *(torch.cat([getattr(p[0], n) for p in parts]) for n in
          ("predicted_BE", "target_BE", "candidate_BKE")),
        parts[0][0].scale,
        *(torch.cat([getattr(p[0], n) for p in parts]) for n in ("key_B", "candidate_exists_BK")),
    )  # fmt: skip
    (stage.contrast(joined)[0] + (parts[0][1] + parts[1][1]) / 2).backward()
    for name, parameter in stage.module().named_parameters():
        assert parameter.grad is not None
        assert torch.allclose(found[name], parameter.grad, rtol=0, atol=1e-12), name
