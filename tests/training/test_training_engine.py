"""What a step costs and how it is compiled: counted, logged and the same numbers."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from training import precision, watch
from training.bench import exact, gpu
from training.distributed import ALONE
from training.embed import _spread
from training.flops import PEAK_FLOPS_PER_S, counted, peak_flops_per_s
from training.loss import info_nce

ROWS, WIDTH = 64, 8


def unit(rows: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, WIDTH, generator=generator, dtype=torch.float64), dim=-1)


def loss_and_gradients(chunk_logits: int, near_equal: float = 1.0) -> list[Tensor]:
    predicted, target = unit(ROWS, 0).requires_grad_(), unit(ROWS, 1).requires_grad_()
    key = torch.arange(ROWS) % (ROWS - 5)
    scale = torch.tensor(9.0, dtype=torch.float64, requires_grad=True)
    loss = info_nce(predicted, target, key, scale, near_equal=near_equal, chunk_logits=chunk_logits)
    return [loss.detach(), *torch.autograd.grad(loss, [predicted, target, scale])]


@pytest.mark.parametrize("near_equal", [1.0, 0.7])
def test_chunks_change_nothing(near_equal: float) -> None:
    for whole, chunked in zip(
        loss_and_gradients(1 << 24, near_equal),
        loss_and_gradients(5 * ROWS, near_equal),
        strict=True,
    ):
        assert torch.allclose(whole, chunked, rtol=0, atol=1e-12)


def test_nearly_equal_targets_are_no_negatives() -> None:
    """As if they had the same key, and nobody else's loss is another."""
    target = torch.eye(3, dtype=torch.float64)
    target[1] = F.normalize(target[0] + 0.1 * target[1], dim=0)
    predicted, scale = unit(3, 2)[:, :3], torch.tensor(5.0, dtype=torch.float64)
    given = info_nce(predicted, target, torch.arange(3), scale, near_equal=0.9)
    assert torch.equal(given, info_nce(predicted, target, torch.tensor([0, 0, 2]), scale))
    assert not torch.allclose(given, info_nce(predicted, target, torch.arange(3), scale))


class Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation makes, also on the way back."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        for x in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(x, Tensor):
                self.elements = max(self.elements, x.numel())
        return made


@pytest.mark.parametrize("near_equal", [1.0, 0.7])
def test_nothing_larger_than_a_chunk_is_made(near_equal: float) -> None:
    with Largest() as seen:
        loss_and_gradients(10 * ROWS, near_equal)
    assert seen.elements == 10 * ROWS < ROWS**2


def test_collapse_is_seen() -> None:
    same, apart = torch.ones(8, 8), torch.eye(8)
    assert _spread(same)["effective_rank"] == pytest.approx(1.0, abs=1e-3)
    assert _spread(same)["uniformity"] == pytest.approx(0.0, abs=1e-6)
    assert _spread(apart)["effective_rank"] == pytest.approx(8.0, rel=1e-5)
    assert _spread(apart)["uniformity"] == pytest.approx(-4.0)


def test_a_step_is_counted_forward_and_backward() -> None:
    net, x = nn.Linear(16, 32, bias=False), torch.randn(4, 16, requires_grad=True)
    with counted() as counter:
        net(x).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 4 * 16 * 32


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA B200", 2250e12),
        ("Tesla T4", None),
    ],
)
def test_a_device_is_known_by_its_name(
    name: str, peak: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    assert peak_flops_per_s("cuda:0") == peak
    assert peak_flops_per_s("cpu") is None and PEAK_FLOPS_PER_S


def test_what_is_reached_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "peak_flops_per_s", lambda _: 1e9)
    net = nn.Linear(64, 64, bias=False)
    said: list[str] = []
    with watch.Watch(tmp_path, 2, 4, ALONE, "cpu", said.append) as seen:
        for step in range(2):
            with seen.counting():
                net(torch.ones(4, 64)).sum().backward()
            seen.step(step, 0.0, {"loss": 1.0, "lr": 1e-7})
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").open()]
    reached = 2 * 2 * 4 * 64 * 64 / 1e9 * rows[1]["samples_per_s"] / 4
    assert rows[1]["mfu"] == pytest.approx(reached, rel=1e-4)
    assert rows[1]["lr"] == 1e-7 and len(said) == 2
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.slow
def test_compiled_layers_give_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and differentiated ahead of time, but not turned into C++, which takes minutes."""
    calls = []

    def traced(function, *args, **kwargs):  # type: ignore[no-untyped-def]
        calls.append(function)
        return functools.partial(torch_compile, backend="aot_eager")(function, *args, **kwargs)

    torch_compile = torch.compile
    monkeypatch.setattr(precision, "bfloat16_is_fast", lambda _: False)
    monkeypatch.setattr(torch, "compile", traced)
    wanted, found = exact.gradients(ALONE), exact.gradients(ALONE, compiled=True)
    torch.compiler.reset()
    assert calls
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-6), name


def test_the_gpus_measure_runs_on_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    gpu.main(str(out), "tiny", "cpu", frames=0, steps=1, most_rows=4, compile=False)
    scores = json.loads(out.read_text())
    assert scores["rows"] == 4 and scores["matmul_tflop_per_s"] > 0
    for name in ("forward_eager", "training_eager"):
        reached = scores[f"{name}_tflop"] / scores[f"{name}_step_s"] / scores["matmul_tflop_per_s"]
        assert scores[f"{name}_of_matmul"] == pytest.approx(reached)
    assert scores["training_eager_tflop"] > scores["forward_eager_tflop"]


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_the_gpus_measure_says_that_there_is_none(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main(device=device)


def test_layers_that_are_run_again_give_the_same_gradients_from_less_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "bfloat16_is_fast", lambda _: False)
    kept = {False: 0, True: 0}

    def gradients(recompute: bool) -> dict[str, Tensor]:
        def keep(x: Tensor) -> Tensor:
            kept[recompute] += x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            return exact.gradients(ALONE, recompute=recompute)

    wanted, found = gradients(False), gradients(True)
    assert wanted.keys() == found.keys()
    # An X-encoder with a share of the learning rate learns like the rest.
    assert any(name.startswith("x_encoder") and x.any() for name, x in wanted.items())
    for name, gradient in wanted.items():
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=1e-7), name
    assert kept[True] < 0.8 * kept[False]
