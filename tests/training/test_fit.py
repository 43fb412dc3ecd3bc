"""A run that was cut off continues exactly, and a loss that is no number stops it."""

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from training.data.errors import DataError
from training.fit import EngineConfig, FitConfig, fit
from training.state import StateError
from training.stop import LossError


class Batches(Dataset[dict[str, Tensor]]):
    def __init__(self, broken: bool = False) -> None:
        self._broken = broken

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        if self._broken and step == 2:
            raise DataError("broken")
        generator = torch.Generator().manual_seed(step)
        return {"x": torch.randn(8, 3, generator=generator)}


class Counted(IterableDataset[dict[str, Tensor]]):
    """Batches whose place nobody can compute: each is drawn from what the one before left."""

    loader = "counted"

    def __init__(self) -> None:
        self._generator = torch.Generator().manual_seed(3)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        torch.rand(())  # as loaders do when they begin
        while True:
            yield {"x": torch.randn(8, 3, generator=self._generator)}

    def position(self) -> bytes:
        return self._generator.get_state().numpy().tobytes()

    def go_on(self, position: bytes) -> None:
        self._generator.set_state(torch.frombuffer(bytearray(position), dtype=torch.uint8))

    def close(self) -> None:
        pass


class Line:
    """Learns x → sum(x); stops by itself after `dies_at` losses."""

    def __init__(
        self,
        dies_at: int | None = None,
        poison: bool = False,
        streamed: bool = False,
        broken: bool = False,
    ) -> None:
        torch.manual_seed(0)
        self._broken = broken
        self._streamed = streamed
        self._net = nn.Linear(3, 1)
        self._left = dies_at
        self._poison = poison

    def module(self) -> nn.Module:
        return self._net

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [(self._net, 1.0)]

    def batches(self) -> Dataset[dict[str, Tensor]]:
        return Counted() if self._streamed else Batches(self._broken)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        wanted = batch["x"].sum(dim=1, keepdim=True) + torch.rand(())
        loss = (self._net(batch["x"]).float() - wanted).square().mean()
        return loss * (float("nan") if self._poison else 1.0), {}

    def evaluate(self) -> dict[str, float]:
        return {}


CONFIG = FitConfig(steps=12, warmup_steps=2, lr=0.05, workers=0, threads=1, save_every_s=0.0)


def train(out: Path, **kwargs: int) -> list[Tensor]:
    line = Line(**kwargs)
    fit(line, CONFIG, out, say=lambda _: None)
    return [p.detach().clone() for p in line.module().parameters()]


@pytest.mark.parametrize("streamed", [False, True])
def test_resumed_equals_unbroken(tmp_path: Path, streamed: bool) -> None:
    unbroken = train(tmp_path / "a", streamed=streamed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", streamed=streamed, dies_at=7)
    resumed = train(tmp_path / "b", streamed=streamed)
    assert all(torch.equal(x, y) for x, y in zip(unbroken, resumed, strict=True))


def test_a_run_does_not_go_on_with_another_loader(tmp_path: Path) -> None:
    train(tmp_path / "streamed", streamed=True)
    with pytest.raises(StateError, match=r"shards\.loader counted, not plain"):
        train(tmp_path / "streamed")
    train(tmp_path / "plain")
    with pytest.raises(StateError, match=r"shards\.loader plain, not counted"):
        train(tmp_path / "plain", streamed=True)
    with pytest.raises(StateError, match=r"engine\.parts 1, not 2"):
        halves = replace(CONFIG, engine=EngineConfig(parts=2))
        fit(Line(streamed=True), halves, tmp_path / "streamed", say=lambda _: None)


def test_a_finished_run_is_loaded_not_trained(tmp_path: Path) -> None:
    trained = train(tmp_path)
    again = train(tmp_path, dies_at=0)
    assert all(torch.equal(x, y) for x, y in zip(trained, again, strict=True))


@pytest.mark.parametrize("cause", ["loss", "batch"])
def test_a_run_that_stops_leaves_no_loader_behind(tmp_path: Path, cause: str) -> None:
    """Its process would wait for it: what was raised still holds the loader then."""
    line = Line(poison=cause == "loss", broken=cause == "batch")
    with pytest.raises((LossError, DataError)) as raised:
        fit(line, replace(CONFIG, workers=1), tmp_path, say=lambda _: None)
    assert raised.traceback and not multiprocessing.active_children()


def test_nan_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(LossError, match="learning rate"):
        fit(Line(poison=True), CONFIG, tmp_path, say=lambda _: None)
