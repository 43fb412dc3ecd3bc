from __future__ import annotations

import json
import pickle
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vljepa_ros.model import checkpoint
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.text import Tokenizer, train_tokenizer
from vljepa_ros.model.vljepa import VLJepa


@pytest.fixture
def folder(shared_folder: Path, tmp_path: Path) -> Path:
    """A saved model of this test's own."""
    return Path(shutil.copytree(shared_folder, tmp_path / "model"))


def rewrite_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Other tensors with a digest that fits them."""
    save_file(tensors, folder / checkpoint.WEIGHTS)
    digest = checkpoint._digest(folder / checkpoint.WEIGHTS)
    rewrite_config(folder, lambda values: values["sha256"].update({checkpoint.WEIGHTS: digest}))


def rewrite_config(folder: Path, change: Any) -> None:
    path = folder / checkpoint.CONFIG
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def inputs(model: VLJepa) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(3)
    pixels = torch.randn(2, 4, 3, 32, 32, generator=random)
    ids = torch.randint(3, 300, (2, 5), generator=random)
    return pixels, ids, torch.ones_like(ids), ids.flip(1), torch.ones_like(ids)


@torch.no_grad()
def test_save_then_load_is_identical(model: VLJepa, tokenizer: Tokenizer, tmp_path: Path) -> None:
    digest = checkpoint.save(model, tokenizer, tmp_path, {"seed": 7}, dtype=torch.float32)
    again, its_tokenizer = checkpoint.load(tmp_path, expected_sha256=digest.upper())
    assert not again.training
    assert again.config == model.config
    for found, wanted in zip(again(*inputs(model)), model(*inputs(model)), strict=True):
        assert torch.equal(found, wanted)
    assert again.y_decoder is not None
    assert model.y_decoder is not None
    predicted = model(*inputs(model))[0]
    said = [m.generate(predicted, eos_id=2, pad_id=0) for m in (model.y_decoder, again.y_decoder)]
    assert torch.equal(said[0], said[1])
    assert its_tokenizer.to_json() == tokenizer.to_json()
    assert checkpoint.describe(tmp_path).meta == {"seed": 7}


def test_half_precision_survives_a_second_round(
    model: VLJepa, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    first = checkpoint.save(model, tokenizer, tmp_path / "a", {})
    again, _ = checkpoint.load(tmp_path / "a")
    assert checkpoint.save(again, tokenizer, tmp_path / "b", {}) == first
    assert (
        next(iter(load_file(tmp_path / "a" / checkpoint.WEIGHTS).values())).dtype is torch.float16
    )
    assert next(again.parameters()).dtype is torch.float32


def test_saving_over_a_folder_keeps_other_files_and_leaves_no_rests(
    model: VLJepa, folder: Path, tokenizer: Tokenizer
) -> None:
    (folder / "README.md").write_text("the model card")
    before = {p.name for p in folder.iterdir()}
    checkpoint.save(model, tokenizer, folder, {})
    assert {p.name for p in folder.iterdir()} == before
    checkpoint.load(folder)


def test_a_save_that_died_half_way_is_refused(
    model: VLJepa, folder: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(path: Path, text: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "_write", dies)
    with torch.no_grad():
        model.predictor.output_projection.weight.add_(1.0)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(model, tokenizer, folder, {})
    with pytest.raises(CheckpointError, match="sha256"):
        checkpoint.load(folder)


def test_a_disk_without_room_is_told_and_keeps_what_was_there(
    model: VLJepa, tokenizer: Tokenizer, folder: Path
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="make room"):
            checkpoint.save(model, tokenizer, folder, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_would_not_survive_are_not_saved(
    model: VLJepa, tokenizer: Tokenizer, tmp_path: Path, value: float
) -> None:
    with torch.no_grad():
        model.predictor.output_projection.bias[0] = value
    with pytest.raises(CheckpointError, match=r"predictor\.output_projection\.bias is not finite"):
        checkpoint.save(model, tokenizer, tmp_path, {})
    assert not (tmp_path / checkpoint.WEIGHTS).exists()


def test_loading_does_not_touch_the_random_numbers(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    checkpoint.load(folder)
    assert torch.equal(torch.rand(3), expected)


def test_bfloat16_keeps_the_rotary_frequencies(folder: Path) -> None:
    exact, _ = checkpoint.load(folder)
    short, _ = checkpoint.load(folder, dtype=torch.bfloat16)
    assert {p.dtype for p in short.parameters()} == {torch.bfloat16}
    wanted = dict(exact.named_buffers())
    assert len(wanted) > 0
    for name, buffer in short.named_buffers():
        assert torch.equal(buffer, wanted[name]), name


def drop(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["predictor.backbone.layers.1.mlp.up_proj.weight"]


def add(tensors: dict[str, torch.Tensor]) -> None:
    tensors["predictor.surprise"] = torch.zeros(2)


def reshape(tensors: dict[str, torch.Tensor]) -> None:
    tensors["y_encoder.head.weight"] = torch.zeros(16, 31)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop, r"predictor\.backbone\.layers\.1\.mlp\.up_proj\.weight is missing"),
        (add, r"predictor\.surprise is not part of the model"),
        (reshape, r"y_encoder\.head\.weight is \(16, 31\), expected \(16, 32\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(folder: Path, change: Any, words: str) -> None:
    tensors = load_file(folder / checkpoint.WEIGHTS)
    change(tensors)
    rewrite_weights(folder, tensors)
    with pytest.raises(CheckpointError, match=words):
        checkpoint.load(folder)


def test_truncated_weights_are_refused_by_digest_and_by_themselves(folder: Path) -> None:
    path = folder / checkpoint.WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="truncated, changed or of another model"):
        checkpoint.load(folder)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.read_tensors(path)


def test_one_changed_byte_is_noticed(folder: Path) -> None:
    path = folder / checkpoint.WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="sha256"):
        checkpoint.load(folder)


def test_a_digest_known_from_elsewhere_must_fit(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="expected " + "0" * 64):
        checkpoint.load(folder, expected_sha256="0" * 64)


def test_another_models_tokenizer_is_refused(folder: Path) -> None:
    (folder / checkpoint.TOKENIZER).write_text(train_tokenizer(["other words"], 300).to_json())
    with pytest.raises(CheckpointError, match=r"tokenizer\.json has sha256"):
        checkpoint.load(folder)


def test_a_separate_target_tokenizer_travels_along(
    model: VLJepa, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    other = train_tokenizer(["other words entirely"], 280)
    pair = Tokenizer.from_json(tokenizer.to_json(), target=other)
    checkpoint.save(model, pair, tmp_path, {})
    _, again = checkpoint.load(tmp_path)
    assert again.to_json() == tokenizer.to_json()
    assert again.target.to_json() == other.to_json()


@pytest.mark.parametrize("name", [checkpoint.CONFIG, checkpoint.WEIGHTS, checkpoint.TOKENIZER])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        checkpoint.load(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no folder; set model_path"):
        checkpoint.load(tmp_path / "nowhere")


def test_a_pickle_is_never_opened(folder: Path, tmp_path: Path) -> None:
    opened = tmp_path / "opened"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (opened,)

    (folder / checkpoint.WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is a pickle.*refused"):
        checkpoint.load(folder)
    # Under the right name and with the right digest it still is no safetensors file.
    path = shutil.move(folder / "pytorch_model.bin", folder / checkpoint.WEIGHTS)
    digest = checkpoint._digest(Path(path))
    rewrite_config(folder, lambda values: values["sha256"].update({checkpoint.WEIGHTS: digest}))
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(folder)
    assert not opened.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("[]", "not of format"),
        ('{"model_type": "llama"}', "found 'llama'"),
        ('{"format": "vljepa_ros/9"}', "found 'vljepa_ros/9'"),
        ('{"format": "vljepa_ros/1"}', "config"),
        ('{"format": "vljepa_ros/1", "config": {"surprise": 1}, "sha256": {}}', "surprise"),
        ('{"format": "vljepa_ros/1", "config": {}, "sha256": {}}', "no digest of model"),
        ('{"format": "vljepa_ros/1", "config": {}, "sha256": 3}', "cannot be used"),
    ],
)
def test_a_foreign_or_damaged_config_is_refused(folder: Path, text: str, words: str) -> None:
    (folder / checkpoint.CONFIG).write_text(text)
    with pytest.raises(CheckpointError, match=words):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [
        ("x_encoder", "crop_px", 40),
        ("x_encoder", "heads", 7),
        ("predictor", "heads", 5),
        ("predictor", "heads", 0),
        ("y_encoder", "vocab_size", -1),
        ("predictor", "layers", "two"),
    ],
)
def test_a_config_of_no_possible_model_is_refused(
    folder: Path, part: str, setting: str, value: Any
) -> None:
    rewrite_config(folder, lambda values: values["config"][part].update({setting: value}))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        checkpoint.load(folder)
