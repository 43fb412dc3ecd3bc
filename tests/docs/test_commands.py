"""Every command in the pages: run, or, where a page says that it is not, known to exist."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from known import Unknown, check
from pages import PAGES, ROOT, Block, blocks, commands, spans

pytest.importorskip("rosbags", reason="recordings need rosbags: pip install 'rosbags>=0.11'")
pytest.importorskip("av", reason="videos need PyAV: pip install 'av>=12'")

import av
from bag_harness import raw, write_bag

from vljepa_ros.cli.main import main as vljepa
from vljepa_ros.video_source import open_source

PROGRAMS = ("make ", "vljepa ", "python -m ", "torchrun ", "ros2 ", "pip ", "perception ")
NOT_PLACED = {".git", ".venv", "runs", "build", "install", "log", "out", "shards"}
VIDEO = ROOT / "samples" / "tabletop.mp4"
RUN = [page for page in PAGES if any(b.language == "bash" and not b.not_run for b in blocks(page))]
NOT_RUN = [b for page in PAGES for b in blocks(page) if b.language == "bash" and b.not_run]


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: block.where)
def test_what_a_page_does_not_run_exists(block: Block) -> None:
    for words in commands(block.code):
        check(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_sentence_names_exists(page: Path) -> None:
    for span in spans(page):
        if span.startswith(PROGRAMS):
            for words in commands(span):
                check(words)


@pytest.mark.parametrize(
    "line",
    [
        *("make everything", "make COLOUR=red setup", "python -m training.no", "no_such_program"),
        *("vljepa sing", "vljepa replay BAG -o OUT --sing", "pip install '.[singing]'"),
        *("perception --ros-args -p sing:=true", "perception --ros-args -p rate_hz:=fast"),
        *("perception --ros-args -r picture:=/camera", "source no_setup.bash"),
        *("ros2 launch vljepa_ros perception.launch.py sing:=true", "ros2 run vljepa_ros sing"),
        *("ros2 topic echo /vljepa/perception/song", "ros2 param get /vljepa/perception song"),
        "ros2 service call /vljepa/perception/get_state vljepa_ros/srv/SetQuery",
        *("python -m training.train sing", "python -m training.train paper --set sft.song=1"),
        *("torchrun -m training.train sing", "python -m training.data.validate FOLDER --sing"),
        *("python -m training.data.write sing", "python -m training.data.write folder F --sing 1"),
    ],
)
def test_a_command_that_names_what_is_not_there_is_found(line: str) -> None:
    with pytest.raises((Unknown, KeyError)):
        for words in commands(line):
            check(words)


# --- what is run -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Material:
    """What the pages take as given: some seconds of the shipped recording."""

    bag: Path
    film: Path


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    pictures = open_source(str(VIDEO), width=96).pictures()
    seconds = list(itertools.islice(pictures, 0, 200, 5))  # two a second
    shots = [
        raw(image_HWC, 10**18 + round(time_s * 1e9), topic="/left/image_raw")
        for time_s, image_HWC in seconds
    ]
    with av.open(str(folder / "film.mp4"), "w") as container:
        height, width = seconds[0][1].shape[:2]
        stream = container.add_stream("mpeg4", rate=2, width=width, height=height)
        for _, image_HWC in seconds:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image_HWC, format="rgb24")))
        container.mux(stream.encode())
    return Material(write_bag(folder / "BAG", shots), folder / "film.mp4")


@pytest.fixture
def place(tmp_path: Path, material: Material) -> Path:
    """The root of the repository, with everything beside it that the pages name."""
    for path in ROOT.iterdir():
        if path.name not in NOT_PLACED:
            (tmp_path / path.name).symlink_to(path)
    for name in ("BAG", "BAG1", "BAG2", "BAG3"):
        shutil.copytree(material.bag, tmp_path / name)
    for folder in ("videos", "videos-aside", "RECORDINGS"):
        (tmp_path / folder).mkdir()
        for film in ("kitchen.mp4", "a.mp4"):
            shutil.copy(material.film, tmp_path / folder / film)
        cv2.imwrite(str(tmp_path / folder / "b.jpg"), np.zeros((48, 64, 3), np.uint8))
    shutil.copy(material.film, tmp_path / "film.mp4")
    (tmp_path / "mine.yaml").write_text("/**/perception: {ros__parameters: {threads: 1}}\n")
    return tmp_path


def lines(page: Path, place: Path) -> Iterator[str]:
    """What the page runs, first to last, after what it has shown to be written."""
    written = "".join(b.code for b in blocks(page) if b.language == "json")
    for path in ("captions.jsonl", "videos/captions.jsonl", "videos-aside/captions.jsonl"):
        (place / path).write_text(written)
    if page.name == "training-data.md":  # from its table
        yield next(s for s in spans(page) if "write folder RECORDINGS" in s)
    for block in blocks(page):
        if block.language == "bash" and not block.not_run:
            yield from block.code.replace("\\\n", " ").splitlines()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_a_page_runs_as_it_stands(page: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    path = os.pathsep.join([str(ROOT / "scripts"), str(Path(sys.executable).parent)])
    monkeypatch.setenv("PATH", path + os.pathsep + os.environ["PATH"])
    for line in lines(page, place):
        if line.startswith("vljepa "):  # here, where torch is loaded already
            assert vljepa(shlex.split(line, comments=True)[1:]) == 0, line
        else:
            subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True)
