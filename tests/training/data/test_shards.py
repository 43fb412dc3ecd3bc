"""Shards are written whole or not at all, read at random, and every fault in them is named."""

from __future__ import annotations

import io
import json
import resource
import signal
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from shard_media import described, picture, pictures, sample, tar_of, video, without_frames

from training.data import index, validate
from training.data.errors import DataError
from training.data.shards import (
    ShardError,
    index_path,
    make_index,
    read_index,
    read_sample,
    shard_paths,
    write_index,
)
from training.data.writer import Draft, ShardWriter, WriteError, write_shards


def said(folder: Path) -> list[str]:
    """What the validator finds."""
    return [str(fault) for fault in validate.faults(folder)]


def test_every_sample_is_found_by_its_offsets(tmp_path: Path) -> None:
    pictures(tmp_path, 40, shard_bytes=20_000)
    tars = shard_paths(tmp_path)
    assert len(tars) > 1
    found = []
    for tar in tars:
        entries = read_index(tar)
        assert tar.stat().st_size <= 20_000 + tarfile.RECORDSIZE
        for i in range(len(entries)):
            json_span = (entries.json_offsets[i], entries.json_sizes[i])
            media_span = (entries.media_offsets[i], entries.media_sizes[i])
            found.append(read_sample(tar, json_span, media_span))
    assert found == [(sample(i), picture(i, (8, 8))) for i in range(40)]


def test_a_tar_is_what_webdataset_reads(tmp_path: Path) -> None:
    pictures(tmp_path, 2)
    with tarfile.open(shard_paths(tmp_path)[0]) as archive:
        names = archive.getnames()
    assert names == ["000000000.png", "000000000.json", "000000001.png", "000000001.json"]


def test_a_sample_larger_than_a_shard_gets_one_of_its_own(tmp_path: Path) -> None:
    pictures(tmp_path, 3, shard_bytes=1)
    assert [len(read_index(tar)) for tar in shard_paths(tmp_path)] == [1, 1, 1]


def test_what_was_written_has_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [Draft(sample(i, start_s=0.5, end_s=1.5), video(8), "mp4") for i in range(2)]
    write_shards([*clips, Draft(sample(2), picture(), "png")], tmp_path)
    assert validate.main([str(tmp_path)]) == 0
    assert "3 samples in 1 shards" in capsys.readouterr().out


def test_a_folder_that_holds_shards_is_not_written_over(tmp_path: Path) -> None:
    pictures(tmp_path, 1)
    with pytest.raises(WriteError, match="holds shards already"):
        pictures(tmp_path, 1)


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="no samples"):
        write_shards([], tmp_path)


def test_a_source_that_fails_leaves_no_half_shard(tmp_path: Path) -> None:
    def drafts() -> Iterator[Draft]:
        yield Draft(sample(0), picture(), "png")
        raise DataError("the camera fell off")

    with pytest.raises(DataError, match="fell off"):
        write_shards(drafts(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_ends_before_the_first_shard_leaves_no_folder(tmp_path: Path) -> None:
    """Neither the one that was asked for nor those around it; one that was there stays."""

    def broken() -> Iterator[Draft]:
        yield Draft(sample(0), picture(), "png")
        raise DataError("the camera fell off")

    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "new" / "shards", tmp_path / "there" / "shards", tmp_path / "there"):
        for drafts in ([], broken()):
            with pytest.raises(DataError):
                write_shards(drafts, folder)
            assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


@pytest.mark.parametrize("name", ["file", "file/shards"])
def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"give a folder that is new|Write into a new folder"):
        pictures(tmp_path / name, 1)


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, as on a disk that fills up."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [1_000, 30_000])
def test_a_full_disk_keeps_the_whole_shards_and_no_half_one(tmp_path: Path, size: int) -> None:
    """Smaller than a shard; and smaller than the second one."""
    folder = tmp_path / "shards"
    big = Draft(sample(1), bytes(50_000), "mp4")
    with (
        disk_of(size),
        pytest.raises(WriteError, match="Free some space"),
        ShardWriter(folder, shard_bytes=20_000) as writer,
    ):
        writer.add(Draft(sample(0), picture(), "png"))
        writer.add(big)
    whole = list(folder.glob("*.tar"))
    assert len(whole) == (0 if size == 1_000 else 1)
    assert sorted(folder.glob("*")) == sorted([*whole, *map(index_path, whole)])
    assert folder.exists() == bool(whole)
    if whole:
        assert said(folder) == []


def empty(folder: Path) -> None:
    (folder / "shard-000001.tar").touch()


def without_samples(folder: Path) -> None:
    tar_of(folder / "shard-000001.tar", {})


def no_tar(folder: Path) -> None:
    (folder / "shard-000001.tar").write_bytes(b"x" * 5000)


def cut_off(folder: Path) -> None:
    tar = shard_paths(folder)[0]
    tar.write_bytes(tar.read_bytes()[:2000])


def changed(folder: Path) -> None:
    tar = shard_paths(folder)[0]
    data = bytearray(tar.read_bytes())
    data[data.index(b"thing 0")] ^= 1
    tar.write_bytes(data)


def without_index(folder: Path) -> None:
    index_path(shard_paths(folder)[0]).unlink()


def no_index(folder: Path) -> None:
    index_path(shard_paths(folder)[0]).write_text("{}")


def columns_of_two_lengths(folder: Path) -> None:
    path = index_path(shard_paths(folder)[0])
    values = json.loads(path.read_text())
    values["tasks"].pop()
    path.write_text(json.dumps(values))


def another_medium(folder: Path) -> None:
    path = index_path(shard_paths(folder)[0])
    path.write_text(path.read_text().replace('"png"', '"gif"'))


def without_shard(folder: Path) -> None:
    (folder / "shard-000007.json").write_text("{}")


def interrupted(folder: Path) -> None:
    (folder / "shard-000001.tar.partial").touch()


def added(folder: Path, members: dict[str, bytes]) -> None:
    tar_of(folder / "shard-000001.tar", members)


def one_key_twice(folder: Path) -> None:
    added(folder, {"000000000.png": picture(), "000000000.json": described()})


def one_key_twice_in_a_row(folder: Path) -> None:
    with tarfile.open(folder / "shard-000001.tar", "w") as archive:
        for name, data in [("k.png", picture()), ("k.json", described())] * 2:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty file": (empty, "shard-000001.tar: shard-000001.tar is empty"),
    "no samples": (without_samples, "holds no samples"),
    "no tar": (no_tar, "is damaged"),
    "cut off": (cut_off, "it is cut off or was changed"),
    "changed": (changed, "its bytes are not those"),
    "without index": (without_index, "has no index"),
    "no index": (no_index, "is no index"),
    "index of another medium": (another_medium, "of another format or damaged"),
    "index damaged": (columns_of_two_lengths, "damaged"),
    "index without shard": (without_shard, "its shard is missing"),
    "interrupted": (interrupted, "writing was interrupted"),
    "one key twice": (one_key_twice, "has this key as well"),
    "one key twice in a row": (one_key_twice_in_a_row, "k: shard-000001.tar has this key as well"),
    "no json": (lambda f: added(f, {"k.png": picture()}), "k: has no .json"),
    "no media": (lambda f: added(f, {"k.json": described()}), "k: has 0 videos or images"),
    "two media": (
        lambda f: added(f, {"k.png": picture(), "k.mp4": video(1), "k.json": described()}),
        "k: has 2 videos",
    ),
    "unknown member": (
        lambda f: added(f, {"k.png": picture(), "k.txt": b"", "k.json": described()}),
        "k: has an unknown member .txt",
    ),
    "schema": (
        lambda f: added(f, {"k.png": picture(), "k.json": described(target=None)}),
        "k: field 'target' is missing",
    ),
    "no JSON": (lambda f: added(f, {"k.png": picture(), "k.json": b"{"}), "k: its .json"),
    "undecodable": (
        lambda f: added(f, {"k.mp4": b"no video", "k.json": described()}),
        "k: the video cannot be opened",
    ),
    "zero frames": (
        lambda f: added(f, {"k.mp4": without_frames(), "k.json": described()}),
        "k: the video has no frames",
    ),
    "truncated video": (
        lambda f: added(f, {"k.mp4": video(24)[:-500], "k.json": described()}),
        "k: the video cannot be opened",
    ),
    "segment outside": (
        lambda f: added(f, {"k.mp4": video(4), "k.json": described(start_s=9)}),
        "k: the segment 9.0 to None s lies outside",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_every_fault_is_named(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path, 2)
    assert said(tmp_path) == []
    spoil, what = FAULTS[case]
    spoil(tmp_path)
    assert any(what in line for line in said(tmp_path)), said(tmp_path)
    assert validate.main([str(tmp_path)]) == 1
    assert what in capsys.readouterr().out


def test_all_faults_are_named_not_only_the_first(tmp_path: Path) -> None:
    pictures(tmp_path, 2)
    members = {f"k{i}.mp4": b"no video" for i in range(3)}
    pairs = {k: v for name in members for k, v in ((name, b"x"), (name[:2] + ".json", described()))}
    added(tmp_path, pairs)
    assert sum("cannot be opened" in line for line in said(tmp_path)) == 3


def test_a_quick_look_decodes_nothing_and_finds_the_rest(tmp_path: Path) -> None:
    pictures(tmp_path, 1)
    added(tmp_path, {"k.mp4": b"no video", "k.json": described(), "l.json": described()})
    index_path(tmp_path / "shard-000001.tar").touch()
    found = [fault.key for fault in validate.faults(tmp_path, quick=True)]
    assert found == ["", "l"]


@pytest.mark.parametrize("make", [lambda f: None, lambda f: f.mkdir()])
def test_no_folder_and_no_shards_say_how_to_make_some(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "shards"
    make(folder)
    assert "python -m training.data.write" in said(folder)[0]


def test_shards_of_another_program_get_their_index(tmp_path: Path) -> None:
    added(tmp_path, {"a/k.png": picture(), "a/k.json": described(), "b.json": described(),
                     "b.jpg": picture(extension="jpg")})  # fmt: skip
    assert any("training.data.index" in line for line in said(tmp_path))
    assert index.main([str(tmp_path)]) == 0
    assert said(tmp_path) == []
    assert read_index(shard_paths(tmp_path)[0]).keys == ["a/k", "b"]


def test_a_bad_shard_gets_no_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    added(tmp_path, {"k.png": picture(), "k.json": described(query="")})
    assert index.main([str(tmp_path)]) == 1
    assert "k: query: the text is empty" in capsys.readouterr().err


def test_an_index_of_a_later_format_is_not_guessed_at(tmp_path: Path) -> None:
    pictures(tmp_path, 1)
    [tar] = shard_paths(tmp_path)
    made = make_index(tar)
    write_index(tar, type(made)(**{**vars(made), "format": 99}))
    with pytest.raises(ShardError, match="another format"):
        read_index(tar)
