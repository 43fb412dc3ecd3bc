"""Say whether this machine will run the nodes, and what to mend.

Looks at Python and its packages, the device, the model and its digest, how many states a second to
expect, ROS, and whether images of the given size get through. Changes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.cli import doctor_ros
from vljepa_ros.cli.errors import CommandError
from vljepa_ros.cli.findings import Finding, Verdict

if TYPE_CHECKING:
    from vljepa_ros.model.engine import Engine

PYTHON = ((3, 10), (3, 14))
NEEDED = {
    "numpy": "1.26",
    "torch": "2.6",
    "transformers": "5.20",
    "safetensors": "0.5",
    "tokenizers": "0.22",
}
RECORDINGS = ("rosbags", "av", "tqdm")
STEPS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="", help="checkpoint folder (default: the shipped one)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 = torch's choice")
    parser.add_argument(
        "--image", type=_size, default=(640, 480), help="size of the camera's images (640x480)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(given: argparse.Namespace) -> None:
    """
    Raises:
        CommandError: something must be mended before the nodes can run.
    """
    failed = []
    for finding in findings(given):
        if given.json:
            print(json.dumps(dataclasses.asdict(finding)), flush=True)
        else:
            print(f"{finding.verdict.value:4}  {finding.subject:14} {finding.found}", flush=True)
            if finding.mend:
                print(f"{'':21}→ {finding.mend}", flush=True)
        if finding.verdict is Verdict.FAIL:
            failed.append(finding.subject)
    if failed:
        raise CommandError(f"this machine cannot run the nodes yet; mend: {', '.join(failed)}")


def findings(given: argparse.Namespace) -> Iterator[Finding]:
    """One after the other: the later ones take seconds."""
    yield _python()
    yield from (_package(name, oldest) for name, oldest in NEEDED.items())
    yield _opencv()
    yield _recordings()
    yield from _model(given)
    yield from doctor_ros.findings(given.image)


# --- Python and its packages -------------------------------------------------------------------


def _python() -> Finding:
    oldest, newest = PYTHON
    version = sys.version_info[:2]
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if version < oldest:
        return Finding(Verdict.FAIL, "Python", found, "use Python 3.10 or newer")
    if version > newest:
        return Finding(Verdict.WARN, "Python", found, "3.14 is the newest that was tried")
    return Finding(Verdict.OK, "Python", found)


def _package(name: str, oldest: str) -> Finding:
    mend = f"python3 -m pip install '{name}>={oldest}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(Verdict.FAIL, name, "not installed for this Python", mend)
    if _numbers(version) < _numbers(oldest):
        return Finding(Verdict.FAIL, name, f"{version}, older than {oldest}", mend)
    return Finding(Verdict.OK, name, version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(
        int(part) for part in version.split("+", maxsplit=1)[0].split(".")[:2] if part.isdigit()
    )


def _opencv() -> Finding:
    try:
        import cv2
    except ImportError as error:
        mend = "python3 -m pip install 'opencv-python-headless<5', or apt install python3-opencv"
        return Finding(Verdict.FAIL, "OpenCV", str(error), mend)
    return Finding(Verdict.OK, "OpenCV", str(cv2.__version__))


def _recordings() -> Finding:
    """Not there is no fault: the nodes need none of them."""
    missing = [name for name in RECORDINGS if util.find_spec(name) is None]
    if not missing:
        return Finding(Verdict.OK, "recordings", f"{', '.join(RECORDINGS)} are there")
    found = f"{', '.join(missing)} not there; only vljepa replay, report and tune need them: "
    return Finding(Verdict.OK, "recordings", f"{found}python3 -m pip install {' '.join(missing)}")


# --- the model on its device -------------------------------------------------------------------


def _model(given: argparse.Namespace) -> Iterator[Finding]:
    try:
        from vljepa_ros.model.checkpoint import CheckpointError
        from vljepa_ros.model.device import EngineError, resolve_device
        from vljepa_ros.model.engine import Engine
    except ImportError as error:
        yield Finding(Verdict.FAIL, "model", f"not tried: {error}", "install what is missing above")
        return
    try:
        device = resolve_device(given.device)
    except EngineError as error:
        yield Finding(Verdict.FAIL, "device", given.device, str(error))
        return
    yield _device(str(device), given.device)
    try:
        engine = Engine.load(given.model, device=str(device), threads=given.threads)
    except (CheckpointError, EngineError, OSError) as error:
        mend = "give --model the folder of a checkpoint, or check the package out again"
        yield Finding(Verdict.FAIL, "model", str(error), mend)
        return
    yield Finding(
        Verdict.OK,
        "model",
        f"{engine.config.name}, digest {engine.sha256[:12]} is right, {engine.dtype}",
    )
    yield _rate(engine)


def _device(device: str, asked: str) -> Finding:
    import torch

    if device.startswith("cuda"):
        return Finding(Verdict.OK, "device", f"{device}: {torch.cuda.get_device_name(device)}")
    found = f"cpu, {torch.get_num_threads()} threads"
    if asked == "auto" and _has_gpu():
        mend = "a GPU is there and torch cannot use it; try --device cuda for the reason"
        return Finding(Verdict.WARN, "device", found, mend)
    return Finding(Verdict.OK, "device", found)


def _has_gpu() -> bool:
    return Path("/dev/nvidia0").exists() or Path("/dev/nvhost-gpu").exists()


def _rate(engine: Engine) -> Finding:
    """One step sees one new tubelet; the others of its clip are kept."""
    import numpy as np

    config = engine.config.x_encoder
    frames = config.tubelet_frames if engine.tubelets_are_independent else engine.config.clip_frames
    images = np.zeros((1, frames, config.crop_px, config.crop_px, 3), np.uint8)
    clip_shape = (1, engine.config.clip_frames, *images.shape[2:])
    clip_BTND = engine.encode_clips(np.zeros(clip_shape, np.uint8))
    encode = engine.encode_tubelets if engine.tubelets_are_independent else engine.encode_clips
    times_s = []
    for _ in range(STEPS):
        began_s = time.perf_counter()
        encode(images)
        engine.predict(clip_BTND, [engine.config.caption_query])
        times_s.append(time.perf_counter() - began_s)
    rate_hz = 1.0 / float(np.median(times_s))
    found = f"about {rate_hz:.0f} states a second, as busy as this machine is now"
    if rate_hz < engine.config.clip_rate_hz:
        mend = (
            f"the model looks at {engine.config.clip_rate_hz:g} frames a second; a GPU, or fewer "
            "other programs, lets it see all of them"
        )
        return Finding(Verdict.WARN, "rate", found, mend)
    return Finding(Verdict.OK, "rate", found)


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        width = height = 0
    if width < 1 or height < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 640x480")
    return width, height
