"""A LeRobotDataset v3 folder becomes shards; its neighbours of other versions are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shard_media import read_back, shown, video

from training.data import validate, write
from training.data.decode import spread_frames
from training.data.sources.lerobot import TASK_QUERY
from vljepa_ros.config import ModelConfig

TOP, WRIST = "observation.images.top", "observation.images.wrist"
RATE_HZ = 4.0
LENGTHS = (12, 8)
"""Frames of the two episodes: they follow each other in one file of data and of each video."""
TASKS = ("pick up the cube", "開ける")

ROW = [("role", pa.string()), ("content", pa.string()), ("style", pa.string())]
TAIL = [("camera", pa.string()), ("tool_calls", pa.list_(pa.string()))]
PERSISTENT = pa.list_(pa.struct([*ROW, ("timestamp", pa.float32()), *TAIL]))
EVENTS = pa.list_(pa.struct([*ROW, *TAIL]))


def said(role: str, content: str | None, style: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, "style": style, "camera": None} | more


HELD = [
    said("assistant", "grasp it", "subtask", timestamp=0.0),
    said("assistant", "lift it", "subtask", timestamp=2.0),
    said("assistant", "1. grasp 2. lift", "plan", timestamp=0.0),
]
ASKED = [
    said("user", "Is the gripper closed?", "vqa", camera=TOP),
    said("assistant", "yes", "vqa", camera=TOP),
    said("user", "Go on!", "interjection"),
    said("assistant", None, "vqa", camera=TOP),
]


def dataset(folder: Path, language: bool = True, tasks_in_episodes: bool = True) -> Path:
    """Two episodes; the first one has subtasks, and on its frame 6 a question."""
    for name in ("meta/episodes/chunk-000", "data/chunk-000"):
        (folder / name).mkdir(parents=True)
    features = {camera: {"dtype": "video", "shape": [32, 40, 3]} for camera in (TOP, WRIST)}
    info = {
        "codebase_version": "v3.0",
        "fps": RATE_HZ,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features | {"action": {"dtype": "float32", "shape": [2]}},
    }
    (folder / "meta/info.json").write_text(json.dumps(info))
    tasks = pa.table({"task_index": [0, 1], "__index_level_0__": list(TASKS)})
    pq.write_table(tasks, folder / "meta/tasks.parquet")
    pq.write_table(
        _episodes(tasks_in_episodes), folder / "meta/episodes/chunk-000/file-000.parquet"
    )
    pq.write_table(_frames(language), folder / "data/chunk-000/file-000.parquet")
    for camera in (TOP, WRIST):
        path = folder / f"videos/{camera}/chunk-000/file-000.mp4"
        path.parent.mkdir(parents=True)
        path.write_bytes(video(sum(LENGTHS), RATE_HZ))
    return folder


def _episodes(with_tasks: bool) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "episode_index": [0, 1],
        "length": list(LENGTHS),
        "data/chunk_index": [0, 0],
        "data/file_index": [0, 0],
    }
    if with_tasks:
        columns["tasks"] = [[text] for text in TASKS]
    for camera in (TOP, WRIST):
        columns[f"videos/{camera}/chunk_index"] = [0, 0]
        columns[f"videos/{camera}/file_index"] = [0, 0]
        columns[f"videos/{camera}/from_timestamp"] = [0.0, LENGTHS[0] / RATE_HZ]
        columns[f"videos/{camera}/to_timestamp"] = [LENGTHS[0] / RATE_HZ, sum(LENGTHS) / RATE_HZ]
    return pa.table(columns)


def _frames(language: bool) -> pa.Table:
    of = [(episode, i) for episode, length in enumerate(LENGTHS) for i in range(length)]
    columns = {
        "episode_index": pa.array([e for e, _ in of]),
        "timestamp": pa.array([i / RATE_HZ for _, i in of], pa.float32()),
        "task_index": pa.array([e for e, _ in of]),
        "action": pa.array([[0.0, 0.0]] * len(of)),
    }
    if language:
        held = [HELD if e == 0 else None for e, _ in of]
        columns["language_persistent"] = pa.array(held, PERSISTENT)
        columns["language_events"] = pa.array([ASKED if f == (0, 6) else [] for f in of], EVENTS)
    return pa.table(columns)


def written(folder: Path, *options: str) -> int:
    out = str(folder.parent / "shards")
    return write.main(["lerobot", str(folder), "--out", out, *options])


def samples(folder: Path, frames: int = 2) -> list[tuple[str, str, str, list[int]]]:
    """Task, query, target and which frames of the video file are shown."""
    found = []
    for sample, media in read_back(folder.parent / "shards"):
        levels = [float(f.mean()) for f in spread_frames(media, frames, None, None)]
        found.append((sample.task, sample.query, sample.target, [shown(v) for v in levels]))
    return found


def test_tasks_subtasks_and_questions_become_samples(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "robot")
    assert written(folder, "--cameras", TOP) == 0
    assert validate.main([str(tmp_path / "shards")]) == 0
    ask = ModelConfig().caption_query
    assert samples(folder) == [
        ("task", TASK_QUERY, TASKS[0], [3, 9]),
        ("subtask", ask, "grasp it", [2, 6]),
        ("subtask", ask, "lift it", [9, 11]),
        ("question", "Is the gripper closed?", "yes", [4, 8]),
        ("task", TASK_QUERY, TASKS[1], [14, 18]),
    ]


def test_every_camera_is_taken_and_asked_only_what_it_saw(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "robot")
    assert written(folder) == 0
    tasks = [task for task, *_ in samples(folder)]
    assert tasks.count("task") == 4
    assert tasks.count("subtask") == 4
    assert tasks.count("question") == 1


def test_without_language_there_are_the_tasks(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "robot", language=False, tasks_in_episodes=False)
    assert written(folder, "--cameras", WRIST) == 0
    assert [target for *_, target, _ in samples(folder)] == list(TASKS)


def earlier_version(folder: Path) -> None:
    info = json.loads((folder / "meta/info.json").read_text()) | {"codebase_version": "v2.1"}
    (folder / "meta/info.json").write_text(json.dumps(info))


def cut_video(folder: Path) -> None:
    path = folder / f"videos/{TOP}/chunk-000/file-000.mp4"
    path.write_bytes(path.read_bytes()[:900])


def without_columns(folder: Path) -> None:
    table = pq.read_table(folder / "meta/episodes/chunk-000/file-000.parquet")
    kept = [name for name in table.column_names if TOP not in name]
    pq.write_table(table.select(kept), folder / "meta/episodes/chunk-000/file-000.parquet")


FAULTS = {
    "version 2": (earlier_version, "v2.1, this reads v3; convert it"),
    "no info": (lambda f: (f / "meta/info.json").unlink(), "is no LeRobotDataset"),
    "no episodes": (lambda f: shutil.rmtree(f / "meta/episodes"), "has no meta/episodes"),
    "no data": (lambda f: shutil.rmtree(f / "data"), "copy the whole dataset"),
    "damaged data": (
        lambda f: (f / "data/chunk-000/file-000.parquet").write_bytes(b"x"),
        "copy the whole dataset",
    ),
    "no tasks": (lambda f: (f / "meta/tasks.parquet").unlink(), "copy the whole dataset"),
    "no column": (without_columns, f"no column videos/{TOP}/chunk_index"),
    "no video": (lambda f: shutil.rmtree(f / "videos"), "file-000.mp4"),
    "cut video": (cut_video, "cannot be decoded"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_wrong_with_a_dataset_is_told(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(tmp_path / "robot", tasks_in_episodes=False)
    spoil, what = FAULTS[case]
    spoil(folder)
    assert written(folder) == 1
    assert what in capsys.readouterr().err


def test_an_unknown_camera_is_told_which_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset(tmp_path / "robot")
    assert written(folder, "--cameras", "top") == 1
    assert f"{TOP}, {WRIST}" in capsys.readouterr().err


def test_a_broken_video_can_be_left_out(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "robot")
    cut_video(folder)
    assert written(folder, "--max-skipped", "99") == 0
    assert len(samples(folder)) == 4
