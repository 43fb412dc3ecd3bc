"""The workspace that `make setup` makes: each step once, resumed when interrupted, usable."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / ".venv/overlay/install/lib/vljepa_ros"
needs_workspace = pytest.mark.skipif(
    not BUILT.is_dir(), reason="no workspace of wheels here (made by make setup)"
)


@pytest.fixture
def setup_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The setup script, working on a small copy of the repository."""
    spec = importlib.util.spec_from_file_location(
        "setup_workspace", ROOT / "scripts/setup_workspace.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for folder in ("requirements", "msg", "srv", "action", "cmake", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("CMakeLists.txt", "package.xml"):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / "vljepa_ros").mkdir()
    (tmp_path / "vljepa_ros/types.py").write_text("A = 1\n")
    venv = tmp_path / ".venv"
    venv.mkdir()
    for name, path in {
        "ROOT": tmp_path,
        "VENV": venv,
        "OVERLAY": venv / "overlay",
        "STAMPS": venv / "setup.json",
        "UNFINISHED": venv / "unfinished",
        "LOG": venv / "setup.log",
    }.items():
        monkeypatch.setattr(module, name, path)
    return module


class Commands:
    """Stands in for running commands: remembers them, and fails on demand."""

    def __init__(self, script: ModuleType) -> None:
        self.script = script
        self.ran: list[list[str]] = []
        self.fails = False

    def __call__(self, command: list[str], mend: str, env: object = None) -> None:
        self.ran.append(command)
        if self.fails:
            raise self.script.SetupError(mend)
        if "build" in command:
            site = self.script.OVERLAY / "install/lib/python3.11/site-packages"
            site.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def commands(setup_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Commands:
    (setup_script.VENV / "lib/python3.11/site-packages").mkdir(parents=True)
    stand_in = Commands(setup_script)
    monkeypatch.setattr(setup_script, "run", stand_in)
    return stand_in


def test_packages_are_installed_once_and_again_when_a_pin_changes(
    setup_script: ModuleType, commands: Commands
) -> None:
    python = setup_script.VENV / "bin/python"
    setup_script.ensure_requirements(python)
    setup_script.ensure_requirements(python)
    assert len(commands.ran) == 1
    assert [a for a in commands.ran[0] if a.endswith(".txt")] == [
        f"requirements/{name}.txt" for name in ("build", "dev", "ros", "runtime")
    ]
    with (setup_script.ROOT / "requirements/dev.txt").open("a") as pins:
        pins.write("another==1.0\n")
    setup_script.ensure_requirements(python)
    assert len(commands.ran) == 2


def test_a_failed_installation_is_done_again(setup_script: ModuleType, commands: Commands) -> None:
    commands.fails = True
    with pytest.raises(setup_script.SetupError, match="run make setup again"):
        setup_script.ensure_requirements(Path("python"))
    commands.fails = False
    setup_script.ensure_requirements(Path("python"))
    assert len(commands.ran) == 2


def test_a_package_that_pip_did_not_finish_is_forgotten(
    setup_script: ModuleType, commands: Commands
) -> None:
    site = setup_script.VENV / "lib/python3.11/site-packages"
    for name, whole in (("whole-1.0.dist-info", True), ("half-1.0.dist-info", False)):
        (site / name).mkdir()
        (site / name / "METADATA").touch()
        if whole:
            (site / name / "RECORD").touch()
    setup_script.ensure_requirements(Path("python"))
    assert [p.name for p in site.glob("*.dist-info")] == ["whole-1.0.dist-info"]


@pytest.mark.parametrize("edited", ["msg/Status.msg", "package.xml", "requirements/ros.txt"])
def test_an_edit_of_what_is_built_builds_again(
    setup_script: ModuleType, commands: Commands, edited: str
) -> None:
    setup_script.ensure_overlay(Path("python"))
    first = len(commands.ran)
    setup_script.ensure_overlay(Path("python"))
    assert len(commands.ran) == first
    with (setup_script.ROOT / edited).open("a") as file:
        file.write("\n")
    setup_script.ensure_overlay(Path("python"))
    assert len(commands.ran) == 2 * first


def test_files_of_share_are_linked_so_only_new_ones_build_again(
    setup_script: ModuleType, commands: Commands
) -> None:
    config = setup_script.ROOT / "config"
    config.mkdir()
    (config / "a.yaml").touch()
    setup_script.ensure_overlay(Path("python"))
    first = len(commands.ran)
    (config / "a.yaml").write_text("a: 1\n")
    (setup_script.ROOT / "vljepa_ros/types.py").write_text("A = 2\n")
    (setup_script.ROOT / "vljepa_ros/more.py").touch()
    setup_script.ensure_overlay(Path("python"))
    assert len(commands.ran) == first
    (config / "b.yaml").touch()
    setup_script.ensure_overlay(Path("python"))
    assert len(commands.ran) == 2 * first


def test_an_interrupted_build_starts_from_nothing(
    setup_script: ModuleType, commands: Commands
) -> None:
    setup_script.ensure_overlay(Path("python"))
    half = setup_script.OVERLAY / "build/half"
    half.mkdir(parents=True)
    commands.fails = True
    (setup_script.ROOT / "msg/Status.msg").write_text("bool success\n")
    with pytest.raises(setup_script.SetupError):
        setup_script.ensure_overlay(Path("python"))
    commands.fails = False
    setup_script.ensure_overlay(Path("python"))
    assert not half.exists()


def test_a_venv_that_cannot_serve_is_told_apart(setup_script: ModuleType) -> None:
    python = setup_script.VENV / "bin/python"
    assert setup_script.venv_fault(python, exact=False) == "no Python in it"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 3.9\n")
    python.chmod(0o755)
    assert setup_script.venv_fault(python, exact=False) is None
    assert "it has Python 3.9" in setup_script.venv_fault(python, exact=True)
    setup_script.write_stamp("root", "/elsewhere")
    assert setup_script.venv_fault(python, exact=False) == "it was made in another place"
    setup_script.write_stamp("root", str(setup_script.ROOT))
    python.write_text("#!/bin/sh\nexit 1\n")
    assert setup_script.venv_fault(python, exact=False) == "its Python does not run"
    setup_script.UNFINISHED.write_text("venv")
    assert setup_script.venv_fault(python, exact=False) == "its creation was interrupted"


def test_a_failed_command_shows_the_end_of_its_output(setup_script: ModuleType) -> None:
    with pytest.raises(setup_script.SetupError) as raised:
        setup_script.run(["sh", "-c", "seq 100; echo why >&2; exit 3"], "Do that.")
    said = str(raised.value)
    assert "why" in said
    assert "Do that." in said
    assert "\n99\n" in said
    assert "\n9\n" not in said


def bare_environment() -> dict[str, str]:
    """An environment as of a new shell: nothing sourced."""
    return {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR")} | {
        "PATH": "/usr/local/bin:/usr/bin:/bin"
    }


PROOF = (
    "import rclpy; from rclpy.serialization import serialize_message as s; "
    "from vljepa_ros.msg import LabelScore as L; assert len(s(L(label='a'))) > 0; "
    "import training, vljepa_ros; print(vljepa_ros.__file__)"
)
"""Needs the source, the messages' Python, their libraries and the ROS libraries."""
SOURCE = str(ROOT / "vljepa_ros/__init__.py")


@needs_workspace
@pytest.mark.ros
def test_one_line_gives_a_shell_that_finds_everything(tmp_path: Path) -> None:
    script = (
        f"set -eu; source {ROOT}/setup.bash; source {ROOT}/setup.bash; "
        f'command -v perception video_camera; python -c "{PROOF}"; '
        'echo "$PATH" | tr : "\\n" | sort | uniq -d'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        str(BUILT / "perception"),
        str(BUILT / "video_camera"),
        SOURCE,
    ]


@needs_workspace
def test_sourcing_before_the_build_says_the_mend(tmp_path: Path) -> None:
    shutil.copy(ROOT / "setup.bash", tmp_path)
    done = subprocess.run(
        ["bash", "-c", f"source {tmp_path}/setup.bash; echo status $?"],
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "make setup" in done.stderr
    assert done.stdout == "status 1\n"


@needs_workspace
@pytest.mark.ros
@pytest.mark.parametrize("left_over", [{}, {"_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}])
def test_the_venv_finds_the_messages_without_a_sourced_shell(
    tmp_path: Path, left_over: dict[str, str]
) -> None:
    """Also in a child that kept the wheels' guard variable and lost their library path."""
    done = subprocess.run(
        [str(ROOT / ".venv/bin/python"), "-c", PROOF],
        cwd=tmp_path,
        env=bare_environment() | left_over,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == f"{SOURCE}\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["demo"], "python -m examples.demo"),
        (["demo", "VIDEO=a b.mp4"], 'python -m examples.demo --video "a b.mp4"'),
        (["bench"], "python -m vljepa_ros.ros.bench"),
        (["train-tabletop"], "python -m training.train tabletop-small"),
        (["setup", "PYTHON=python3.12"], "scripts/setup_workspace.py --exact"),
    ],
)
def test_make_runs_the_program_of_its_target(arguments: list[str], program: str) -> None:
    said = subprocess.run(
        ["make", "-n", "--no-print-directory", *arguments],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "PYTHON")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert program in [
        line.removeprefix(". ./setup.bash && ").strip() for line in said.splitlines()
    ]
