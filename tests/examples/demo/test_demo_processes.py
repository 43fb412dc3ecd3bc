"""The demo as its user starts it: real processes over real DDS, and no child left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from examples.demo.__main__ import main
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[3]
FRAMES, RATE_HZ, CUT = 40, 10, 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["What is the robot doing?", "nothing moves"], 320)
    checkpoint.save(VLJepa(presets.tiny()), tokenizer, folder, {})
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two still scenes with a hard cut between them, under a name that shells and YAML dislike."""
    file = tmp_path_factory.mktemp("a video") / "1: é'[x].mp4"
    rng = np.random.default_rng(0)
    scenes = np.kron(rng.integers(0, 256, (2, 6, 8, 3)), np.ones((1, 16, 16, 1))).astype(np.uint8)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(scenes[int(index >= CUT)], format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "examples.demo", *(str(a) for a in arguments)]


def environment() -> dict[str, str]:
    """No domain: the demo finds one of its own."""
    return {k: v for k, v in os.environ.items() if k != "ROS_DOMAIN_ID"} | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    }


def finish(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def nodes(log_folder: Path) -> list[int]:
    """Processes that write into the run's logs."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                writes_to = (folder / "fd" / "1").readlink()
            except OSError:
                continue
            if writes_to.parent == log_folder:
                found.append(int(folder.name))
    return found


def test_a_video_is_watched_to_its_end_and_every_frame_accounted_for(
    model: Path, video: Path, tmp_path: Path
) -> None:
    done = finish("--video", video, "--model", model, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["frames"] == FRAMES
    assert figures["states"] + figures["dropped"] + figures["lost"] == FRAMES
    assert figures["lost"] == 0
    assert figures["events"] >= 1
    assert figures["true_events"] is figures["events_hit"] is figures["captions_right"] is None
    assert figures["decodes_per_true_event"] is None
    assert figures["cuts"] == 1
    assert 0 < figures["latency_ms_p50"] <= figures["latency_ms_p99"]
    assert "FIRST" in done.stdout
    assert (tmp_path / "out" / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert nodes(tmp_path / "out") == []


@pytest.fixture
def started(model: Path, video: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo whose perception has been told to start."""
    demo = subprocess.Popen(
        command("--video", video, "--model", model, "--out", tmp_path),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not nodes(tmp_path):
        assert demo.poll() is None, demo.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield demo
    if demo.poll() is None:
        demo.kill()
        demo.communicate()


def test_ctrl_c_ends_everything(started: subprocess.Popen[str], tmp_path: Path) -> None:
    os.killpg(started.pid, signal.SIGINT)
    time.sleep(0.05)
    os.killpg(started.pid, signal.SIGINT)
    output, errors = started.communicate(timeout=60)
    assert started.returncode == 130, output + errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert nodes(tmp_path) == []


def test_a_perception_that_dies_is_reported(started: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(nodes(tmp_path)[0], signal.SIGKILL)
    output, errors = started.communicate(timeout=120)
    assert started.returncode == 1, output + errors
    assert "perception was ended by SIGKILL; its last output" in errors
    assert "Traceback" not in errors
    assert nodes(tmp_path) == []


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--video", "none.mp4", "none.mp4 does not exist"),
        ("--video", str(ROOT / "README.md"), "README.md"),
        ("--model", "no/folder", "no/folder"),
        ("--truth", "no.json", "truth file no.json cannot be read"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    option: str,
    value: str,
    sentence: str,
    model: Path,
    video: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = {"--video": str(video), "--model": str(model), "--out": str(tmp_path)}
    code = main([part for pair in (arguments | {option: value}).items() for part in pair])
    assert code == 1
    errors = capsys.readouterr().err
    assert errors.startswith("demo: ")
    assert sentence in errors
    assert list(tmp_path.iterdir()) == []
