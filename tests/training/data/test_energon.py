"""The cluster's loader gives the batches of the plain one, and goes on where it was stopped."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from brightness import Brightness, StoppedError
from shard_media import picture, pictures, sample
from torch import Tensor

from training import train
from training.data.batches import ShardBatches, ShardsConfig
from training.data.errors import DataError, SkippedTooManyError
from training.data.writer import Draft, write_shards
from training.fit import EngineConfig, FitConfig, fit
from training.state import progress_of
from training.stop import INTERRUPTED_EXIT
from vljepa_ros.config import ModelConfig, XEncoderConfig
from vljepa_ros.model.text import train_tokenizer

pytest.importorskip("megatron.energon")
energon = importlib.import_module("training.data.energon")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:'pin_memory' argument:UserWarning"),
]

MODEL = ModelConfig(clip_frames=2, x_encoder=XEncoderConfig(crop_px=8))
TOKENIZER = train_tokenizer(["thing 0 moves", "What is happening?"], 300)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder a: pictures 0 to 39 in several shards; folder b: 40 of brightness 200."""
    root = tmp_path_factory.mktemp("shards")
    pictures(root / "a", 40, shard_bytes=20_000)
    write_shards((Draft(sample(200), picture(200, (8, 8)), "png") for _ in range(40)), root / "b")
    assert energon.main([str(root / "a")]) == energon.main([str(root / "b")]) == 0
    return root


def loader(root: Path, mixture: dict[str, float] | None = None, **given: Any) -> Any:
    run = {"batch_size": 4, "seed": 3, "shuffle": 8} | {
        k: given.pop(k) for k in ("batch_size", "parts", "rank", "world", "workers") if k in given
    }
    config = ShardsConfig(mixture or {"a": 1.0}, str(root), **given)
    return energon.EnergonBatches(config, TOKENIZER, MODEL, **run)


def seen(batch: dict[str, Tensor]) -> list[int]:
    """Brightness of each row, which is its number."""
    return batch["pixels_BTCHW"][:, 0, 0, 0, 0].tolist()


def test_a_batch_is_what_the_plain_loader_gives(root: Path) -> None:
    batch = next(iter(loader(root)))
    plain = ShardBatches(ShardsConfig({"a": 1.0}, str(root)), TOKENIZER, MODEL, 4, 0)[0]
    assert batch.keys() == plain.keys()
    for name, tensor in batch.items():
        assert tensor.dtype == plain[name].dtype
    assert batch["pixels_BTCHW"].shape == plain["pixels_BTCHW"].shape
    texts = TOKENIZER.decode(batch["text_ids_BL"][batch["target_row_B"]])
    assert texts == [f"thing {number} moves" for number in seen(batch)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_behind_the_last_batch(root: Path, workers: int) -> None:
    first = loader(root, workers=workers, augment=True)
    batches = iter(first)
    for _ in range(7):
        next(batches)
    position = first.position()
    straight = list(islice(batches, 4))
    named = first.described(8)
    again = loader(root, workers=workers, augment=True)
    again.go_on(position)
    for one, other in zip(straight, islice(iter(again), 4), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert again.described(8) == named
    texts = TOKENIZER.decode(straight[1]["text_ids_BL"][straight[1]["target_row_B"]])
    assert [row["target"] for row in named] == texts


def test_ranks_share_the_samples_between_them(root: Path) -> None:
    shares = [
        {n for b in islice(iter(loader(root, rank=rank, world=2, parts=2)), 14) for n in seen(b)}
        for rank in range(2)
    ]
    assert shares[0].isdisjoint(shares[1])
    # Not all 40: a sample may stay in the shuffle buffer for long.
    assert all(len(share) > 15 for share in shares)


def test_a_mixture_keeps_its_weights(root: Path) -> None:
    batches = islice(iter(loader(root, {"a": 1.0, "b": 3.0})), 100)
    drawn = Counter(number == 200 for batch in batches for number in seen(batch))
    assert 260 < drawn[True] < 340


def test_broken_samples_are_skipped_and_named(tmp_path: Path) -> None:
    drafts = (Draft(sample(i), b"" if i == 3 else picture(i, (8, 8)), "png") for i in range(12))
    write_shards(drafts, tmp_path / "c")
    energon.prepare(tmp_path / "c")
    data = loader(
        tmp_path, {"c": 1.0}, skipped_log=str(tmp_path / "skipped.jsonl"), max_skipped_share=0.5
    )
    numbers = {n for batch in islice(iter(data), 9) for n in seen(batch)}
    assert numbers == set(range(12)) - {3}
    assert data.tally.skipped > 0
    assert "000000003" in (tmp_path / "skipped.jsonl").read_text()
    with pytest.raises(SkippedTooManyError, match="000000003"):
        list(islice(iter(loader(tmp_path, {"c": 1.0}, max_skipped_share=0.0)), 9))


def test_what_does_not_fit_says_the_mend(root: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "new", 1)
    with pytest.raises(DataError, match=r"run python -m training\.data\.energon"):
        loader(tmp_path, {"new": 1.0})
    with pytest.raises(DataError, match="a folder of its own"):
        loader(root, task_shares={"caption": 1.0})
    with pytest.raises(DataError, match="cut into 2 equal parts"):
        loader(root, batch_size=5, parts=2)
    with pytest.raises(DataError, match="among 2 ranks"):
        loader(root, parts=3, world=2, batch_size=6)
    assert energon.main([str(tmp_path / "gone")]) == 1


def test_a_run_that_was_cut_off_ends_as_an_unbroken_one(root: Path, tmp_path: Path) -> None:
    engine = EngineConfig(parts=2)
    config = FitConfig(9, 4, warmup_steps=1, workers=2, threads=1, save_every_s=0.0, engine=engine)

    def train(out: str, dies_at: int = 100) -> Tensor:
        stage = Brightness(loader(root, workers=2, parts=2, augment=True), dies_at=dies_at)
        fit(stage, config, tmp_path / out, say=lambda _: None)
        return torch.cat([p.detach().flatten() for p in stage.module().parameters()])

    unbroken = train("a")
    with pytest.raises(StoppedError):
        train("b", dies_at=11)
    assert torch.equal(train("b"), unbroken)


def test_a_run_whose_processes_all_hear_the_signal_saves(root: Path, tmp_path: Path) -> None:
    """As torchrun tells them; and none is left behind."""
    data, others = loader(root, workers=2), set(multiprocessing.active_children())
    config = FitConfig(50, 4, warmup_steps=1, workers=2, threads=1, save_every_s=1e6)

    def tell(line: str) -> None:
        for process in {*multiprocessing.active_children(), multiprocessing.current_process()}:
            os.kill(process.pid or 0, signal.SIGTERM)

    with pytest.raises(SystemExit) as stopped:
        fit(Brightness(data), config, tmp_path / "run", say=tell)
    assert stopped.value.code == INTERRUPTED_EXIT
    assert 0 < progress_of(tmp_path / "run").step < 50
    assert set(multiprocessing.active_children()) <= others


def test_a_recipe_reads_by_it(root: Path, tmp_path: Path) -> None:
    """And says before it begins what it lacks."""
    out = ["tiny", "--out", str(tmp_path / "out"), "--set", f"shards.root={root}"]
    out += ["shards.loader=energon", "shards.mixture={a: 1.0, b: 1.0}", "shards.aside={b: 1.0}"]
    out += [f"{run}.fit.steps=2" for run in ("pretrain", "sft", "y_decoder")]
    out += ["pretrain.task_shares={}"]
    with pytest.raises(SystemExit, match=r"set the run's fit\.workers to 1"):
        train.main(out)
    out += [f"{run}.fit.workers=1" for run in ("pretrain", "sft", "y_decoder")]
    with pytest.raises(SystemExit, match=r"set the run's fit\.workers to 1"):
        train.main([*out, "y_decoder.fit.workers=0"])
    pictures(tmp_path / "new", 1)
    for setting in ("sft.mixture", "shards.aside"):
        with pytest.raises(SystemExit, match="is not prepared"):
            train.main([*out, f"{setting}={{{tmp_path / 'new'}: 1.0}}"])
    assert not (tmp_path / "out" / "pretrain").exists()
    train.main(out)
    assert (tmp_path / "out" / "checkpoint" / "model.safetensors").exists()


def test_a_position_that_is_none_says_so(root: Path) -> None:
    for position in (b"", b"[", b'[0, {"kind": "os.system", "value": {}}]'):
        with pytest.raises(DataError, match="cannot be read"):
            loader(root, workers=1).go_on(position)
