"""The page docs/fine-tuning.md, walked with the shipped recording, and a cluster's chain."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from training import train
from training.data import validate, write
from training.overrides import override, setting
from training.runs import RECIPES, tiny
from vljepa_ros.config import ConfigError
from vljepa_ros.model import checkpoint
from vljepa_ros.model.engine import Engine

SAMPLES = Path(__file__).parents[2] / "samples"
SMALL = [
    "sft.fit.steps=2", "sft.fit.batch_size=8", "sft.fit.workers=0", "sft.fit.device=cpu",
    "y_decoder.fit.steps=2", "y_decoder.fit.batch_size=8", "y_decoder.fit.workers=0",
    "y_decoder.fit.device=cpu", "sft.fit.threads=1", "y_decoder.fit.threads=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of shards, of what the shipped recording shows."""
    folder = tmp_path_factory.mktemp("shards")
    segments = json.loads((SAMPLES / "tabletop.json").read_text())["segments"]
    for name, some in (("train", segments[:12]), ("aside", segments[12:18])):
        lines = [
            {
                "file": "tabletop.mp4",
                "start_s": segment["onset_s"],
                "end_s": segment["end_s"],
                "caption": segment["caption"],
            }
            for segment in some
        ]
        jsonl = folder / f"{name}.jsonl"
        jsonl.write_text("\n".join(map(json.dumps, lines)))
        arguments = ["folder", str(SAMPLES), "--jsonl", str(jsonl), "--out", str(folder / name)]
        assert write.main(arguments) == 0
    return folder


@pytest.mark.slow
def test_own_videos_become_a_checkpoint_that_runs(shards: Path, tmp_path: Path) -> None:
    assert validate.main([str(shards / "train")]) == 0
    out = tmp_path / "mine"
    train.main(["one_gpu", "--out", str(out), "--set", f"shards.root={shards}", *SMALL])
    engine = Engine.load(out / "checkpoint")
    assert checkpoint.load_reliability(out / "checkpoint") is None  # six samples tell too little
    crop = engine.config.x_encoder.crop_px
    clip = np.zeros((1, engine.config.clip_frames, crop, crop, 3), np.uint8)
    embedding = engine.predict(engine.encode_clips(clip), [engine.config.caption_query])
    assert np.isclose(np.linalg.norm(embedding), 1.0, atol=1e-5) and engine.decode(embedding)
    logged = (out / "sft" / "log.jsonl").read_text()
    assert "validation_first_of_own" in logged


@pytest.mark.slow
def test_enough_samples_tell_of_strange_scenes_and_clear_words(
    shards: Path, tmp_path: Path
) -> None:
    few = ["reliability.fewest_samples=6", "reliability.batches=2", "reliability.clarity.steps=5"]
    settings = [f"shards.root={shards}", *SMALL, *few]
    train.main(["one_gpu", "--out", str(tmp_path / "mine"), "--set", *settings])
    found = checkpoint.load_reliability(tmp_path / "mine" / "checkpoint")
    assert found is not None and found.actions is None
    assert found.scenes is not None and found.clarity is not None
    embeddings_BE = torch.nn.functional.normalize(torch.randn(4, 256), dim=1)
    assert ((found.clarity(embeddings_BE) > 0) & (found.clarity(embeddings_BE) < 1)).all()


@pytest.mark.slow
def test_what_was_trained_on_tells_nothing_of_its_reliability(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["reliability.fewest_samples=6", "reliability.batches=2", "reliability.clarity.steps=5"]
    settings = [f"shards.root={shards}", "shards.aside={}", *SMALL, *few]
    train.main(["one_gpu", "--out", str(tmp_path / "mine"), "--set", *settings])
    assert checkpoint.load_reliability(tmp_path / "mine" / "checkpoint") is None
    assert "nothing was kept aside" in capsys.readouterr().out


@pytest.mark.slow
def test_a_sharded_chain_on_two_processes_ends_in_a_checkpoint(
    shards: Path, tmp_path: Path
) -> None:
    """FSDP2 in every run: what one run has sharded, the next one needs whole."""
    settings = [f"shards.root={shards}", "pretrain.task_shares={caption: 1.0}"]
    settings += ["pretrain.learn.x_lr_share=0.1", "pretrain.fit.validate_every_steps=1"]
    for name in ("pretrain", "sft", "y_decoder"):
        settings += [f"{name}.fit.steps=2", f"{name}.fit.batch_size=8"]
        settings += [f"{name}.fit.engine.sharded=true", f"{name}.fit.engine.recompute=true"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "training.train", "tiny", "--out", str(tmp_path)]
    subprocess.run(
        [*command, "--set", *settings], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    before = checkpoint.load(tiny().start)[0].state_dict()
    after = checkpoint.load(tmp_path / "checkpoint")[0].state_dict()
    changed = {name.split(".")[0] for name, x in after.items() if not x.equal(before[name])}
    assert changed == {"x_encoder", "predictor", "y_encoder", "y_decoder"}
    rows = [json.loads(line) for line in (tmp_path / "pretrain" / "log.jsonl").open()]
    held_out = [row["step"] for row in rows if "validation_first_in_batch" in row]
    assert held_out == [0, 1, 2]


@pytest.mark.slow
def test_the_tabletop_chain_on_two_processes_ends_in_a_checkpoint(tmp_path: Path) -> None:
    """The first rank measures the reliability while the other one has already gone."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "training.train", "tabletop-tiny"]
    command += ["--out", str(tmp_path / "out"), "--set", f"data.cache={tmp_path / 'cache'}"]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert checkpoint.load_reliability(tmp_path / "out" / "checkpoint") is not None


def test_every_recipe_is_printed_as_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for name, recipe in RECIPES.items():
        train.main([name, "--print"])
        printed = yaml.safe_load(capsys.readouterr().out)
        assert override(recipe(), printed) == recipe()


def test_the_shipped_model_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoint.describe(train.started_from(tiny().start)).config


def test_a_start_that_is_no_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="set `start` to a checkpoint folder"):
        train.main(["tiny", "--out", str(tmp_path / "out"), "--set", "start=models/none"])
    assert not (tmp_path / "out").exists()


def test_a_place_that_takes_no_files_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(SystemExit, match="choose another --out") as stopped:
            train.main(["tiny", "--out", str(out)])
        assert "\n" not in str(stopped.value)


def test_a_mixture_is_replaced_and_not_added_to() -> None:
    changed = override(tiny(), setting("pretrain.task_shares={caption: 1.0}"))
    assert changed.pretrain.task_shares == {"caption": 1.0}


def test_a_batch_that_the_processes_do_not_divide_is_refused() -> None:
    recipe = override(tiny(), setting("sft.fit.batch_size=15"))
    with pytest.raises(ConfigError, match="multiple of 2"):
        recipe.sft.fit.parts(train.ALONE)


def test_a_setting_without_a_value_says_how_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"sft\.fit\.steps=100"):
        setting("sft.fit.steps")


def test_an_unknown_setting_of_the_command_line_stops_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"unknown setting sft\.fit\.stepps"):
        train.main(["tiny", "--out", str(tmp_path), "--set", "sft.fit.stepps=3"])


def test_settings_come_from_a_file_then_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("sft: {fit: {steps: 7, lr: 1e-4}}")
    given = ["--config", str(file), "--set", "sft.fit.steps=9", "--set", "sft.fit.seed=3"]
    train.main(["tiny", "--print", *given])
    fit = yaml.safe_load(capsys.readouterr().out)["sft"]["fit"]
    assert (fit["steps"], fit["seed"], fit["lr"]) == (9, 3, 1e-4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sft: {fit: {stepps: 3}}", r"unknown setting sft\.fit\.stepps"),
        ("runs: [sft, stf]", "unknown run stf; known: x_encoder"),
        ("sft: {fit: {steps: many}}", r"sft\.fit\.steps must be int"),
        ("sft: [", "cannot be read: while parsing"),
        ("", "holds no settings"),
        ("- 1", "holds no settings"),
        (None, "cannot be read: .*No such file"),
    ],
)
def test_a_file_that_does_not_fit_stops_with_one_line(
    text: str | None, said: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SystemExit, match=said) as stopped:
        train.main(["tiny", "--print", "--config", str(tmp_path / "mine.yaml")])
    assert "\n" not in str(stopped.value)


def test_a_model_with_a_weight_for_every_frame_keeps_its_clip_length() -> None:
    config = checkpoint.describe(tiny().start).config
    with pytest.raises(ConfigError, match="set `frames` to 0"):
        train.with_frames(config, 4)
