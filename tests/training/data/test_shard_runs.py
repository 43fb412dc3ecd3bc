"""Runs that read shards: what is wrong is told at once, in the log and with its names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from brightness import Brightness
from shard_media import picture, pictures, sample

from training import train
from training.data.batches import ShardBatches, ShardsConfig
from training.data.errors import SkippedTooManyError
from training.data.run_data import ShardData
from training.data.writer import Draft, write_shards
from training.distributed import ALONE, Ranks
from training.fit import FitConfig, fit
from training.runs import EmbedRun, Recipe, ShardSources, tiny
from training.stop import STOPPED_BATCH, LossError
from vljepa_ros.config import ModelConfig, XEncoderConfig
from vljepa_ros.model import presets
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

MODEL = ModelConfig(clip_frames=2, x_encoder=XEncoderConfig(crop_px=8))
TOKENIZER = train_tokenizer(["thing 0 moves", "What is happening?"], 300)
FIT = FitConfig(steps=3, batch_size=4, warmup_steps=1, workers=0, threads=1)


def with_broken(folder: Path, count: int, broken: int) -> None:
    write_shards(
        (Draft(sample(i), b"" if i < broken else picture(i, (8, 8)), "png") for i in range(count)),
        folder,
    )


def of_folder(root: Path, name: str = "a", **given: float) -> ShardBatches:
    return ShardBatches(ShardsConfig({name: 1.0}, str(root), **given), TOKENIZER, MODEL, 4, 7)


def test_what_the_last_run_lacks_is_told_before_the_first_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And torchrun gets the reason for what it says of the rank that failed."""
    report = tmp_path / "error.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(report))
    pictures(tmp_path / "train", 1)
    out = ["--out", str(tmp_path / "out"), "--set", f"shards.root={tmp_path}"]
    with pytest.raises(SystemExit, match="batch_size 15 cannot be cut"):
        train.main(["tiny", *out, "y_decoder.fit.batch_size=15"])
    assert "batch_size 15 cannot be cut" in report.read_text()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device, said in (("cuda", "torch finds no GPU"), ("gpu", "use cpu, cuda or auto")):
        with pytest.raises(SystemExit, match=said):
            train.main(["tiny", *out, f"y_decoder.fit.device={device}"])
    with pytest.raises(SystemExit, match="gone"):
        train.main(["tiny", *out, "pretrain.task_shares={}", "sft.mixture={gone: 1.0}"])
    with pytest.raises(SystemExit, match=r"aside is no folder.*--set 'shards.aside=\{\}'"):
        train.main(["tiny", *out, "pretrain.task_shares={}"])
    assert not (tmp_path / "out" / "pretrain").exists()


def test_the_samples_of_a_lost_loss_are_named(tmp_path: Path) -> None:
    pictures(tmp_path / "a", 12)
    batches = of_folder(tmp_path)
    rows = [[row.sample.target for row in batches.rows(step)] for step in range(3)]
    step = next(i for i, targets in enumerate(rows) if "thing 11 moves" in targets)
    with pytest.raises(LossError, match=STOPPED_BATCH):
        fit(Brightness(batches, poison=10), FIT, tmp_path / "run", say=lambda _: None)
    kept = tmp_path / "run" / STOPPED_BATCH / "rank-0-part-0.json"
    told = json.loads(kept.read_text())
    assert told["item"] == step
    assert [row["target"] for row in told["rows"]] == rows[step]
    assert all("a/shard-000000.tar at byte" in row["sample"] for row in told["rows"])


def test_the_log_tells_what_was_skipped(tmp_path: Path) -> None:
    with_broken(tmp_path / "c", 12, 3)
    fit(Brightness(of_folder(tmp_path, "c")), FIT, tmp_path / "run", say=lambda _: None)
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    assert logged[-1]["skipped_share"] == 0.25 and logged[-1]["cut_texts"] == 0


def test_the_list_of_the_skipped_comes_without_a_traceback(tmp_path: Path) -> None:
    with_broken(tmp_path / "c", 12, 6)
    data = of_folder(tmp_path, "c", max_skipped_share=0.004)
    with pytest.raises(SkippedTooManyError) as raised:
        fit(Brightness(data), replace(FIT, workers=1), tmp_path / "run", say=lambda _: None)
    told = train.reason(raised.value)
    assert told.startswith("for ") and "Traceback" not in told
    assert told.count("c/shard-000000.tar at byte") >= 3


def test_skips_are_named_beside_the_runs_and_validation_is_shared_by_the_ranks(
    tmp_path: Path,
) -> None:
    config = presets.tiny()
    with_broken(tmp_path / "a", 44, 4)
    sources = ShardSources(str(tmp_path), {"a": 1.0}, {"a": 1.0}, max_skipped_share=1.0)
    recipe = replace(tiny(), model=config, shards=sources)
    run = EmbedRun(replace(FIT, batch_size=256))
    model = VLJepa(config)
    alone = data(recipe, ALONE, tmp_path).embed(run, model).validation
    assert [len(batch["key_B"]) for batch in alone] == [64] * 4
    shares = [
        data(recipe, Ranks(rank, 8), tmp_path).embed(run, model).validation for rank in range(8)
    ]
    keys = torch.stack([batch[0]["key_B"] for batch in shares])
    assert keys.shape == (8, 32) and len(keys.unique()) == 40
    for rank in range(8):
        lines = (tmp_path / "skipped" / f"rank-{rank}.jsonl").open()
        assert {json.loads(line)["sample"][:17] for line in lines} == {"a/shard-000000.ta"}


def data(recipe: Recipe, ranks: Ranks, out: Path) -> ShardData:
    return ShardData(recipe, TOKENIZER, ranks, out)
