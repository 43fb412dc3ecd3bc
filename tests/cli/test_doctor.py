"""`vljepa doctor` on this machine, and what it says of machines that lack something."""

from __future__ import annotations

import json
import re
from importlib import metadata, util
from pathlib import Path
from typing import Any

import pytest

from vljepa_ros.cli import doctor, doctor_ros
from vljepa_ros.cli.main import main
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

Findings = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    checkpoint.save(VLJepa(presets.tiny()), train_tokenizer(["a"], 300), folder, {})
    return folder


def look(capsys: pytest.CaptureFixture[str], model: Path, *more: str) -> tuple[int, Findings, str]:
    """Exit code, findings by subject, and what went to stderr."""
    code = main(["doctor", "--json", "--device", "cpu", "--model", str(model), *more])
    captured = capsys.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    return code, {f["subject"]: f for f in found}, captured.err


def test_a_machine_that_runs_the_tests_is_well(
    capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    code, found, _ = look(capsys, model, "--image", "64x48")
    assert code == 0
    assert {f["verdict"] for f in found.values()} <= {"ok", "warn"}
    assert found["torch"]["found"] == metadata.version("torch")
    assert "states a second" in found["rate"]["found"] and "digest" in found["model"]["found"]
    assert found["messages"]["verdict"] == "ok" and "rclpy in" in found["ROS 2"]["found"]
    assert found["middleware"]["verdict"] == "ok" and "0.01 MB" in found["middleware"]["found"]
    has_tf = util.find_spec("tf2_ros") is not None
    assert found["TF"]["verdict"] == "ok"
    assert ("memory.pose_frame" in found["TF"]["found"]) is not has_tf


def test_lines_for_people_tell_the_mend(capsys: pytest.CaptureFixture[str], model: Path) -> None:
    assert main(["doctor", "--model", str(model / "none"), "--device", "cpu"]) == 1
    captured = capsys.readouterr()
    assert "fail  model" in captured.out and "→ give --model" in captured.out
    assert "cannot run the nodes yet; mend: model" in captured.err


def test_a_package_that_is_missing_or_old(
    capsys: pytest.CaptureFixture[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "NEEDED", {"numpy": "99.0", "no_such_package": "1.0"})
    code, found, said = look(capsys, model)
    assert code == 1 and "numpy, no_such_package" in said
    assert "older than 99.0" in found["numpy"]["found"]
    assert found["no_such_package"]["mend"] == "python3 -m pip install 'no_such_package>=1.0'"


@pytest.mark.parametrize("device", ["cuda:7", "abacus"])
def test_a_device_that_is_not_there(
    capsys: pytest.CaptureFixture[str], model: Path, device: str
) -> None:
    code, found, _ = look(capsys, model, "--device", device)
    assert code == 1 and found["device"]["verdict"] == "fail" and found["device"]["mend"]
    assert "model" not in found


def test_without_ros(
    capsys: pytest.CaptureFixture[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.util, "find_spec", lambda name: None)
    code, found, said = look(capsys, model)
    assert code == 1 and "ROS 2, messages" in said
    assert "setup.bash" in found["ROS 2"]["mend"] and "colcon build" in found["messages"]["mend"]


def test_large_images_need_a_profile(
    capsys: pytest.CaptureFixture[str],
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in doctor_ros.PROFILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("RMW_IMPLEMENTATION", raising=False)
    warned = look(capsys, model, "--image", "640x480")[1]["middleware"]
    assert warned["verdict"] == "warn" and "publish reliable" in warned["mend"]
    named = re.search(r"=(\S+\.xml) on both sides", warned["mend"])
    assert named and Path(named[1]).is_file(), "a path that can be copied"
    monkeypatch.setenv(doctor_ros.PROFILE_VARIABLES[0], str(tmp_path / "none.xml"))
    assert "does not exist" in look(capsys, model)[1]["middleware"]["mend"]
    profile = Path(__file__).parents[2] / "config" / "fastdds_large_images.xml"
    monkeypatch.setenv(doctor_ros.PROFILE_VARIABLES[0], str(profile))
    assert look(capsys, model)[1]["middleware"]["verdict"] == "ok"


def test_a_middleware_that_is_not_installed(
    capsys: pytest.CaptureFixture[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nodes would end at their start; the doctor must not."""
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_abacus_cpp")
    code, found, said = look(capsys, model, "--image", "64x48")
    assert code == 1 and "mend: middleware" in said
    assert "'rmw_abacus_cpp'" in found["middleware"]["found"]
    assert "unset RMW_IMPLEMENTATION" in found["middleware"]["mend"]
    assert "ros-jazzy-rmw-abacus-cpp" in found["middleware"]["mend"]


@pytest.mark.parametrize(
    ("domain", "reach", "verdict"),
    [
        ("", "", "ok"),
        ("42", "LOCALHOST", "ok"),
        ("101", "", "ok"),
        ("102", "", "warn"),
        ("215", "", "ok"),
        ("232", "", "ok"),
        ("233", "", "fail"),
        ("-3", "", "fail"),
        ("robot", "", "fail"),
        ("7", "OFF", "warn"),
    ],
)
def test_discovery(monkeypatch: pytest.MonkeyPatch, domain: str, reach: str, verdict: str) -> None:
    """A domain whose ports do not exist ends every node at its start."""
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", reach)
    found = next(f for f in doctor_ros.findings((64, 48)) if f.subject == "discovery")
    assert found.verdict.value == verdict and bool(found.mend) is (verdict != "ok")
    assert (domain or "0, the default") in found.found and reach in found.found
    if verdict == "fail":
        assert "set ROS_DOMAIN_ID to 0 to 101" in found.mend


def test_packages_of_recordings_may_be_missing(
    capsys: pytest.CaptureFixture[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = look(capsys, model, "--image", "64x48")[1]["recordings"]
    assert there["verdict"] == "ok" and "rosbags" in there["found"]
    monkeypatch.setattr(doctor, "RECORDINGS", ("rosbags", "no_such_package"))
    code, found, _ = look(capsys, model, "--image", "64x48")
    assert code == 0 and "pip install no_such_package" in found["recordings"]["found"]


def test_images_that_do_not_fit_in_shared_memory(
    capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    shared = look(capsys, model, "--image", "60000x60000")[1]["shared memory"]
    assert shared["verdict"] == "warn" and "--shm-size" in shared["mend"]


@pytest.mark.parametrize("size", ["640", "0x480", "640x-1", "axb"])
def test_no_size(capsys: pytest.CaptureFixture[str], size: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--image", size])
    assert end.value.code == 2 and "640x480" in capsys.readouterr().err
