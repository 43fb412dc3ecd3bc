"""Batches from shards: the same whatever the number of processes, and what is broken is named."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_media import described, picture, pictures, sample, tar_of, video
from torch import Tensor
from torch.utils.data import DataLoader

from training.data.batches import ShardBatches, ShardsConfig
from training.data.encode import encode_clip
from training.data.errors import DataError, SkippedTooManyError
from training.data.index import index_folder
from training.data.mixture import BLOCK, quotas
from training.data.tally import Tally
from training.data.texts import sample_tensors
from training.data.writer import Draft, write_shards
from training.tabletop.batches import MAX_TEXT_TOKENS
from vljepa_ros.config import ConfigError, ModelConfig, XEncoderConfig, from_dict, to_dict
from vljepa_ros.model.text import Tokenizer, train_tokenizer

MODEL = ModelConfig(clip_frames=2, x_encoder=XEncoderConfig(crop_px=8))
TOKENIZER = train_tokenizer(["thing 0 moves", "What is happening?"], 300)


def batches(root: Path, mixture: dict[str, float] | None = None, **given: Any) -> ShardBatches:
    """Of the folder "a" where no mixture is given."""
    run = {"batch_size": 4, "seed": 7} | {
        k: given.pop(k) for k in ("batch_size", "seed", "parts") if k in given
    }
    config = ShardsConfig(mixture or {"a": 1.0}, str(root), **given)
    return ShardBatches(config, TOKENIZER, MODEL, **run)


def targets(data: ShardBatches, *steps: int) -> list[str]:
    return [row.sample.target for step in steps for row in data.rows(step)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder a: 12 captions in three shards; folder b: 5 captions and 3 questions."""
    root = tmp_path_factory.mktemp("shards")
    pictures(root / "a", 12, shard_bytes=10_000)
    kinds = ["caption"] * 5 + ["question"] * 3
    drafts = (
        Draft(sample(100 + i, task), picture(100 + i, (8, 8)), "png")
        for i, task in enumerate(kinds)
    )
    write_shards(drafts, root / "b")
    return root


def test_a_batch_has_the_names_and_shapes_of_the_tabletops(root: Path) -> None:
    batch = batches(root)[0]
    assert batch["pixels_BTCHW"].shape == (4, 2, 3, 8, 8)
    assert batch["pixels_BTCHW"].dtype == torch.uint8
    assert set(batch) == {
        *("pixels_BTCHW", "query_ids_BL", "query_mask_BL", "text_ids_BL", "text_mask_BL"),
        *("target_row_B", "reworded_row_B", "candidate_row_BK", "candidate_exists_BK", "key_B"),
        *("canonical_ids_BL", "canonical_mask_BL"),
    }


def test_pixels_and_texts_of_a_row_belong_together(root: Path) -> None:
    data = batches(root)
    for row in data.rows(3):
        assert row.sample.target == f"thing {int(row.pixels_TCHW[0, 0, 0, 0])} moves"
    batch = data[3]
    texts = TOKENIZER.decode(batch["text_ids_BL"][batch["target_row_B"]])
    assert texts == TOKENIZER.decode(batch["canonical_ids_BL"]) == targets(data, 3)


def test_every_epoch_has_each_sample_once_in_an_order_of_its_own(root: Path) -> None:
    data = batches(root)
    first, second = targets(data, 0, 1, 2), targets(data, 3, 4, 5)
    assert sorted(first) == sorted(second) == sorted(f"thing {i} moves" for i in range(12))
    assert first != second


def test_another_seed_gives_another_order(root: Path) -> None:
    assert targets(batches(root, seed=8), 0, 1, 2) != targets(batches(root), 0, 1, 2)


@settings(max_examples=20, deadline=None)
@given(step=st.integers(0, 10**9), parts=st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_parts_have_together_what_the_batch_has(root: Path, step: int, parts: int) -> None:
    mixture = {"a": 0.7, "b": 0.3}
    whole = targets(batches(root, mixture, batch_size=12), step)
    cut = batches(root, mixture, batch_size=12, parts=parts)
    for part in range(parts):
        assert targets(cut, step * parts + part) == whole[part::parts]


def test_a_run_goes_on_exactly_with_other_processes(root: Path) -> None:
    """Two steps in one process, the third in four."""
    straight = targets(batches(root, batch_size=4), 0, 1, 2)
    resumed = targets(batches(root, batch_size=4), 0, 1)
    resumed += targets(batches(root, batch_size=4, parts=4), 8, 9, 10, 11)
    assert resumed == straight


@pytest.mark.slow
@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_a_loader_with_workers_gives_the_same(root: Path, method: str, workers: int) -> None:
    data = batches(root, augment=method == "fork")
    alone = [data[step] for step in range(3)]
    data = batches(root, augment=method == "fork")
    loader: DataLoader[dict[str, Tensor]] = DataLoader(
        data, batch_size=None, sampler=range(3), num_workers=workers, multiprocessing_context=method
    )
    for mine, theirs in zip(alone, loader, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert data.tally.drawn == 12


def test_a_mixture_keeps_its_weights_and_task_shares(root: Path) -> None:
    shares = {"caption": 3.0, "question": 1.0}
    data = batches(root, {"a": 3.0, "b": 1.0}, batch_size=BLOCK // 4, task_shares=shares)
    drawn = Counter()
    for row in range(BLOCK):
        draw = data._mixture.draw(row)
        stratum = data._mixture.strata[draw.stratum]
        drawn[stratum.folder, stratum.task] += 1
    assert drawn == {
        ("a", "caption"): BLOCK * 3 // 4,
        ("b", "caption"): BLOCK * 3 // 16,
        ("b", "question"): BLOCK // 16,
    }


def test_a_task_without_a_share_is_left_out(root: Path) -> None:
    data = batches(root, {"b": 1.0}, task_shares={"question": 1.0})
    assert data.samples == 3
    assert {row.sample.task for step in range(5) for row in data.rows(step)} == {"question"}


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=50))
def test_quotas_fill_a_block_and_leave_nobody_out(weights: list[float]) -> None:
    shared = quotas(weights)
    assert sum(shared) == BLOCK
    assert min(shared) >= 1
    exact = [BLOCK * weight / sum(weights) for weight in weights]
    assert all(have <= max(1, want) + 1 for have, want in zip(shared, exact, strict=True))


@pytest.mark.parametrize(
    ("mixture", "given", "said"),
    [
        ({}, {}, "the mixture is empty"),
        ({"a": 0.0}, {}, "weight of folder 'a' is 0.0"),
        ({"a": float("nan")}, {}, "weight of folder 'a' is nan"),
        ({"elsewhere": 1.0}, {}, "training.data.write"),
        ({"a": 1.0}, {"task_shares": {"caption": -1.0}}, "share of task 'caption'"),
        ({"a": 1.0}, {"task_shares": {"question": 1.0}}, "it has caption"),
        ({"b": 1.0}, {"task_shares": {"caption": 1.0, "label": 1.0}}, "samples of task 'label'"),
        ({"a": 1.0}, {"batch_size": 6, "parts": 4}, "use a multiple of 4, as 8"),
        ({"a": 1.0}, {"batch_size": 0}, "use a multiple of 1, as 1"),
        ({"a": 1.0}, {"frames": 3}, "use a multiple of 2"),
        ({"a": 1.0}, {"seed": -1}, "use 0 or more"),
    ],
)
def test_a_setting_that_does_not_fit_says_the_mend(
    root: Path, mixture: dict[str, float], given: dict[str, Any], said: str
) -> None:
    run = {k: v for k, v in given.items() if k in ("batch_size", "seed", "parts")}
    config = ShardsConfig(mixture, str(root), **{k: v for k, v in given.items() if k not in run})
    with pytest.raises(DataError, match=said):
        ShardBatches(config, TOKENIZER, MODEL, **({"batch_size": 4, "seed": 0} | run))


def test_settings_are_read_from_a_file_like_all_others() -> None:
    config = ShardsConfig({"a": 0.5, "b": 2.0}, "/data", {"caption": 1.0}, frames=8)
    assert from_dict(ShardsConfig, json.loads(json.dumps(to_dict(config)))) == config
    assert from_dict(ShardsConfig, {"mixture": {"a": 1}}).mixture == {"a": 1.0}
    for mixture, said in [({"a": "much"}, r"mixture\.a must be float"), (["a"], "a mapping")]:
        with pytest.raises(ConfigError, match=said):
            from_dict(ShardsConfig, {"mixture": mixture})


def broken(root: Path, bad: set[int], count: int = 12) -> Path:
    """Folder c: like a, with some videos that cannot be decoded."""
    drafts = (
        Draft(sample(i), b"no video" if i in bad else picture(i, (8, 8)), "png")
        for i in range(count)
    )
    write_shards(drafts, root / "c")
    return root


def test_a_broken_sample_is_replaced_by_the_next_and_named(tmp_path: Path) -> None:
    broken(tmp_path, {3})
    log = tmp_path / "skipped.jsonl"
    data = batches(tmp_path, {"c": 1.0}, skipped_log=str(log))
    order = targets(batches(pictures(tmp_path / "a", 12).parent), 0, 1, 2)
    at = order.index("thing 3 moves")
    expected = [*order[:at], order[(at + 1) % 12], *order[at + 1 :]]
    assert targets(data, 0, 1, 2) == expected
    assert data.tally.skipped == 1
    [line] = log.read_text().splitlines()
    assert "c/shard-000000.tar" in json.loads(line)["sample"]
    assert "JPEG or PNG" in json.loads(line)["why"]
    targets(data, 3, 4, 5)
    assert data.tally.skipped == 2
    assert len(log.read_text().splitlines()) == 1


def test_a_broken_sample_is_named_where_the_log_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken(tmp_path, {3})
    data = batches(tmp_path, {"c": 1.0}, skipped_log="/dev/full")
    assert len(targets(data, 0, 1, 2)) == 12
    said = capsys.readouterr().err
    assert said.count("c/shard-000000.tar at byte") == 1 and "No space left" in said


def test_too_many_broken_samples_stop_the_run_with_their_names(tmp_path: Path) -> None:
    broken(tmp_path, set(range(6)))
    data = batches(tmp_path, {"c": 1.0}, max_skipped_share=0.004)
    with pytest.raises(SkippedTooManyError, match=r"shard-000000\.tar at byte") as raised:
        targets(data, *range(10))
    assert data.tally.skipped == 5
    assert all(where in str(raised.value) for where in data.tally.named)


def test_the_skips_of_all_workers_count_together(tmp_path: Path) -> None:
    broken(tmp_path, set(range(6)))
    data = batches(tmp_path, {"c": 1.0}, max_skipped_share=0.9)
    loader: DataLoader[dict[str, Tensor]] = DataLoader(
        data, batch_size=None, sampler=range(6), num_workers=2
    )
    assert len(list(loader)) == 6
    alone = batches(tmp_path, {"c": 1.0}, max_skipped_share=0.9)
    targets(alone, *range(6))
    assert data.tally.skipped == alone.tally.skipped > 0


def test_a_folder_of_nothing_but_broken_samples_stops_the_run(tmp_path: Path) -> None:
    broken(tmp_path, {0, 1, 2}, 3)
    with pytest.raises(SkippedTooManyError, match="validate"):
        batches(tmp_path, {"c": 1.0}, max_skipped_share=1.0)[0]


def test_a_shard_that_shrank_after_the_start_is_skipped_by_name(tmp_path: Path) -> None:
    pictures(tmp_path / "a", 12, shard_bytes=10_000)
    data = batches(tmp_path)
    shrunk = tmp_path / "a/shard-000001.tar"
    shrunk.write_bytes(shrunk.read_bytes()[:600])
    rows = targets(data, 0, 1, 2)
    assert len(rows) == 12
    assert data.tally.skipped > 0
    assert all("shard-000001.tar" in where for where in data.tally.named)


def test_a_shard_that_was_cut_off_before_the_start_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path / "a", 3)
    tar = tmp_path / "a/shard-000000.tar"
    tar.write_bytes(tar.read_bytes()[:-512])
    with pytest.raises(DataError, match="copy it again"):
        batches(tmp_path)


def test_a_sample_of_a_wrong_schema_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    members = {"k.png": picture(), "k.json": described(target="a cup"),
               "l.png": picture(), "l.json": described(target="a bow")}  # fmt: skip
    tar = tar_of(tmp_path / "a/shard-000000.tar", members)
    index_folder(tmp_path / "a")
    tar.write_bytes(tar.read_bytes().replace(b'"a bow"', b"[1, 2] "))
    data = batches(tmp_path)
    assert set(targets(data, 0)) == {"a cup"}
    assert "target must be a text" in next(iter(data.tally.named.values()))


def test_videos_of_any_rate_and_size_stand_in_one_batch(tmp_path: Path) -> None:
    kinds = [(4.0, (16, 16)), (29.97, (48, 20)), (60.0, (30, 90))]
    drafts = [Draft(sample(i), video(6, rate, size), "mp4") for i, (rate, size) in enumerate(kinds)]
    write_shards([*drafts, Draft(sample(3), picture(9, (40, 8)), "png")], tmp_path / "a")
    assert batches(tmp_path, frames=4)[0]["pixels_BTCHW"].shape == (4, 4, 3, 8, 8)


# --- texts -------------------------------------------------------------------------------------


def tensors(*targets_: str, tokenizer: Tokenizer = TOKENIZER, **fields: Any) -> dict[str, Tensor]:
    samples = [sample(0, target=target, **fields) for target in targets_]
    return sample_tensors(tokenizer, samples, Tally(0.0, None))


@pytest.mark.parametrize("text", ["赤い立方体を左へ押す", "ادفع المكعب الأحمر", "🤖➡️📦", "é" * 40])
def test_text_in_any_script_comes_back(text: str) -> None:
    batch = tensors(text)
    assert TOKENIZER.decode(batch["canonical_ids_BL"]) == [text]


@pytest.mark.parametrize("length", [MAX_TEXT_TOKENS, MAX_TEXT_TOKENS + 1, 3000, 100_000])
def test_long_texts_are_cut_and_counted(length: int) -> None:
    """Each "z" is a token, beside the space that is put in front of a text."""
    samples = [sample(0, query="z" * length, target="z" * (length - 1)), sample(1)]
    tally = Tally(0.0, None)
    batch = sample_tensors(TOKENIZER, samples, tally)
    for name in ("query", "text", "canonical"):
        assert batch[f"{name}_ids_BL"].shape[1] <= MAX_TEXT_TOKENS
    assert tally.cut_texts == {MAX_TEXT_TOKENS: 1}.get(length, 2)


def test_keys_are_equal_where_targets_say_the_same() -> None:
    key_B = tensors("A red cube.", "a red  cube", "a blue cube")["key_B"].tolist()
    assert key_B[0] == key_B[1] != key_B[2]


def test_long_targets_that_differ_after_the_cut_are_still_told_apart() -> None:
    key_B = tensors("x" * 5000 + "left", "x" * 5000 + "right")["key_B"].tolist()
    assert key_B[0] != key_B[1]


def test_candidates_come_as_rows_of_the_distinct_texts() -> None:
    batch = tensors("yes", "no", candidates=("maybe", "never"))
    texts = TOKENIZER.decode(batch["text_ids_BL"])
    assert sorted(texts) == ["maybe", "never", "no", "yes"]
    assert [texts[row] for row in batch["candidate_row_BK"][0]] == ["maybe", "never"]
    assert batch["candidate_exists_BK"].all()


def test_targets_are_read_by_the_y_encoders_own_tokenizer() -> None:
    own = train_tokenizer(["yes yes yes"] * 9, 290)
    pair = Tokenizer.from_json(TOKENIZER.to_json(), target=own)
    batch = tensors("yes", tokenizer=pair)
    assert own.decode(batch["text_ids_BL"]) == ["yes"]
    assert TOKENIZER.decode(batch["canonical_ids_BL"]) == ["yes"]
    assert batch["text_ids_BL"].shape != batch["canonical_ids_BL"].shape


# --- augmentation ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video in folder a, in all rows of a batch: light on the left, dark on the right."""
    root = tmp_path_factory.mktemp("moving")
    ramp = torch.linspace(250, 5, 40).to(torch.uint8).numpy()
    frame = ramp[None, :, None].repeat(40, 0).repeat(3, 2)
    media = encode_clip((i / 4, frame) for i in range(4))
    write_shards([Draft(sample(0), media, "mp4")], root / "a")
    return root


def clips(root: Path, **given: Any) -> Tensor:
    model = replace(MODEL, clip_frames=4, x_encoder=XEncoderConfig(crop_px=32))
    config = ShardsConfig({"a": 1.0}, str(root), **given)
    return ShardBatches(config, TOKENIZER, model, 8, seed=1)[0]["pixels_BTCHW"]


def test_augmentation_is_the_same_for_all_frames_and_another_for_each_row(moving: Path) -> None:
    pixels_BTCHW = clips(moving, augment=True).float()
    first_BCHW = pixels_BTCHW[:, 0]
    # The frames are one picture; the coding leaves a level or two between them.
    assert (pixels_BTCHW - first_BCHW[:, None]).abs().max() <= 4
    assert (first_BCHW[1:] - first_BCHW[:1]).abs().amax(dim=(1, 2, 3)).min() > 4


def test_augmentation_is_decided_by_the_seed_alone(moving: Path) -> None:
    once = clips(moving, augment=True)
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    assert torch.equal(once, clips(moving, augment=True))
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.equal(once, clips(moving))


def leaning_left(pixels_BTCHW: Tensor) -> list[bool]:
    grey_BTHW = pixels_BTCHW.float().mean(dim=2)
    return (grey_BTHW[..., :16].mean((1, 2, 3)) > grey_BTHW[..., 16:].mean((1, 2, 3))).tolist()


def test_nothing_is_mirrored_unless_asked_for(moving: Path) -> None:
    assert all(leaning_left(clips(moving, augment=True)))
    mirrored = leaning_left(clips(moving, augment=True, mirror=True))
    assert any(mirrored)
    assert not all(mirrored)
