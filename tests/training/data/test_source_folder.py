"""A folder of videos and images with a JSONL of captions and questions becomes shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from shard_media import LEVELS, picture, read_back, shown, video, without_frames

from training.data import validate, write
from training.data.batches import ShardBatches, ShardsConfig
from vljepa_ros.config import ModelConfig, XEncoderConfig
from vljepa_ros.model.text import train_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Videos a.mp4 (8 frames, 4 Hz), sub/b.avi and an image c.jpeg."""
    folder = tmp_path / "recordings"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(video(8))
    (folder / "sub/b.avi").write_bytes(video(8, container="avi", codec="mpeg4", b_frames=0))
    (folder / "c.jpeg").write_bytes(picture(LEVELS[3], extension="jpg"))
    (folder / "none.mp4").write_bytes(without_frames())
    return folder


def written(folder: Path, lines: list[Any], *options: str) -> int:
    """The exit status of writing these lines to shards beside the folder."""
    jsonl = folder / "lines.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    jsonl.write_text("\n".join(texts), encoding="utf-8")
    out = str(folder.parent / "shards")
    return write.main(["folder", str(folder), "--jsonl", str(jsonl), "--out", out, *options])


def samples(folder: Path) -> list[dict[str, Any]]:
    """What the shards hold, without what is not given."""
    found = [sample for sample, _ in read_back(folder.parent / "shards")]
    return [{k: v for k, v in vars(s).items() if v not in (None, ())} for s in found]


def test_captions_and_questions_become_samples(folder: Path) -> None:
    lines = [
        {"file": "a.mp4", "caption": "a hand opens the drawer"},
        {"file": "c.jpeg", "question": "Is it red?", "answer": "no", "candidates": ["yes"]},
        "",
        {"file": "a.mp4", "caption": "引き出し", "query": "What?", "task": "step"},
    ]
    assert written(folder, lines) == 0
    assert samples(folder) == [
        {
            "query": ModelConfig().caption_query,
            "target": "a hand opens the drawer",
            "task": "caption",
            "source": "lines.jsonl:1 a.mp4",
        },
        {
            "query": "Is it red?",
            "target": "no",
            "task": "question",
            "source": "lines.jsonl:2 c.jpeg",
            "candidates": ("yes",),
        },
        {"query": "What?", "target": "引き出し", "task": "step", "source": "lines.jsonl:4 a.mp4"},
    ]
    assert validate.main([str(folder.parent / "shards")]) == 0


def test_a_segment_is_cut_out_and_shows_what_it_showed(folder: Path) -> None:
    lines = [
        {"file": "a.mp4", "start_s": 0.75, "end_s": 1.25, "caption": "two frames"},
        {"file": "sub/b.avi", "caption": "another container"},
    ]
    assert written(folder, lines) == 0
    config = ShardsConfig({str(folder.parent / "shards"): 1.0})
    model = ModelConfig(clip_frames=2, x_encoder=XEncoderConfig(crop_px=16))
    rows = ShardBatches(config, train_tokenizer(["a"], 300), model, 2, seed=0).rows(0)
    seen = {
        row.sample.target: [shown(float(p.float().mean())) for p in row.pixels_TCHW] for row in rows
    }
    assert seen == {"two frames": [3, 4], "another container": [2, 6]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: no JSON"),
        ([1], 'give an object with "file"'),
        ({"caption": "x"}, 'give an object with "file"'),
        ({"file": "a.mp4"}, 'give either "caption", or'),
        ({"file": "a.mp4", "question": "x"}, 'give either "caption", or'),
        ({"file": "a.mp4", "caption": "x", "question": "y", "answer": "z"}, "give either"),
        ({"file": "a.mp4", "captoin": "x"}, "unknown field 'captoin'"),
        ({"file": "gone.mp4", "caption": "x"}, "gone.mp4 is no file"),
        ({"file": "a.mp4", "caption": " "}, "target: the text is empty"),
        ({"file": "a.mp4", "caption": None}, "target must be a text"),
        ({"file": "lines.jsonl", "caption": "x"}, "copy it again, or convert it to .mp4"),
        ({"file": "none.mp4", "caption": "x"}, "no frames"),
        ({"file": "a.mp4", "caption": "x", "start_s": 5}, "choose a segment with"),
        ({"file": "a.mp4", "caption": "x", "start_s": 1, "end_s": 1}, "no interval"),
        ({"file": "c.jpeg", "caption": "x", "end_s": 1}, "is an image"),
    ],
)
def test_a_bad_line_is_named_with_its_mend(
    folder: Path, capsys: pytest.CaptureFixture[str], line: Any, said: str
) -> None:
    good = {"file": "a.mp4", "caption": "fine"}
    assert written(folder, [line, good]) == 1
    error = capsys.readouterr().err
    assert "lines.jsonl line 1" in error
    assert said in error
    assert "--max-skipped 1" in error
    assert written(folder, [line, good], "--max-skipped", "1") == 0
    assert [s["target"] for s in samples(folder)] == ["fine"]


def test_no_jsonl_says_what_one_looks_like(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(folder.parent / "shards")
    assert write.main(["folder", str(folder), "--jsonl", "gone.jsonl", "--out", out]) == 1
    assert '"caption"' in capsys.readouterr().err


def encoded(folder: Path, encoding: str, caption: str) -> int:
    """The exit status of a line that was saved in an encoding."""
    line = json.dumps({"file": "a.mp4", "caption": caption}, ensure_ascii=False)
    (folder / "lines.jsonl").write_bytes((line + "\n").encode(encoding))
    out = str(folder.parent / encoding)
    jsonl = str(folder / "lines.jsonl")
    return write.main(["folder", str(folder), "--jsonl", jsonl, "--out", out])


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_says_the_mend(
    folder: Path, encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encoded(folder, encoding, "die Tür") == 1
    said = capsys.readouterr().err
    assert "lines.jsonl line 1: not in UTF-8" in said and "save the file as UTF-8" in said


def test_a_byte_order_mark_and_line_breaks_of_unicode_do_no_harm(folder: Path) -> None:
    caption = "a\u2028b\u0085c"
    assert encoded(folder, "utf-8-sig", caption) == 0
    [(sample, _)] = read_back(folder.parent / "utf-8-sig")
    assert sample.target == caption
