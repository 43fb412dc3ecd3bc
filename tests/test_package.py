"""What package.xml, CMakeLists.txt, setup.py and requirements say of the package agrees with it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

import vljepa_ros

ROOT = Path(__file__).resolve().parent.parent
CMAKE = (ROOT / "CMakeLists.txt").read_text()
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()


def declared(*tags: str) -> set[str]:
    return {str(e.text) for tag in tags for e in PACKAGE.iter(tag)}


def test_the_version_is_one() -> None:
    assert PACKAGE.findtext("version") == vljepa_ros.__version__


def test_every_interface_file_is_built() -> None:
    listed = set(re.findall(r'"((?:msg|srv|action)/\w+\.\w+)"', CMAKE))
    files = {
        str(p.relative_to(ROOT))
        for kind in ("msg", "srv", "action")
        for p in (ROOT / kind).iterdir()
    }
    assert listed == files


def test_every_used_cmake_package_is_declared() -> None:
    found = set(re.findall(r"find_package\((\w+)", CMAKE))
    assert found <= declared("depend", "buildtool_depend", "test_depend")


def executables() -> list[Path]:
    return [ROOT / name for name in re.findall(r"^  (scripts/\w+)$", CMAKE, re.MULTILINE)]


def test_every_installed_executable_starts_a_main_that_exists() -> None:
    assert {p.name for p in executables()} >= {"perception", "video_camera"}
    for script in executables():
        assert os.access(script, os.X_OK), f"{script} is not executable"
        source = script.read_text()
        assert source.startswith("#!/usr/bin/env python3\n")
        module = re.search(r"^from (vljepa_ros[.\w]*) import main$", source, re.MULTILINE)
        assert module, f"{script} imports no main"
        file = ROOT / f"{module[1].replace('.', '/')}.py"
        names = {n.name for n in ast.parse(file.read_text()).body if isinstance(n, ast.FunctionDef)}
        assert "main" in names, f"{file} has no main()"


def test_every_installed_folder_exists() -> None:
    installed = re.search(r"install\(DIRECTORY ((?:\w+ )+\w+)\n\s+DESTINATION share", CMAKE)
    assert installed
    for folder in installed[1].split():
        assert any((ROOT / folder).iterdir()), folder


def test_every_ros_package_that_is_imported_is_declared() -> None:
    known = declared("depend", "exec_depend")
    for file in [*(ROOT / "vljepa_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for top in {name.split(".")[0] for name in names}:
                ros = top.endswith(("_msgs", "_interfaces")) or top.startswith(("rcl", "launch"))
                assert not ros or top in known, f"package.xml does not declare {top} ({file.name})"


BESIDE_ROS = {
    *("numpy", "cv2", "yaml"),  # from package.xml: python3-numpy, python3-opencv, python3-yaml
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub"),  # pip, torch's kin
    "vljepa_ros",
}


def test_the_nodes_start_with_nothing_but_ros_torch_and_transformers() -> None:
    """Beside a ROS installation only torch and transformers are installed (docs/install.md).

    Anything else may be imported where it is used, with an error that says the mend.
    """
    ros = declared("depend", "exec_depend")
    plugin = ROOT / "vljepa_ros" / "lmms_plugin.py"  # loaded by lmms-eval alone
    for file in {*(ROOT / "vljepa_ros").rglob("*.py")} - {plugin}:
        for node in ast.parse(file.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for top in {name.split(".")[0] for name in names}:
                known = top in BESIDE_ROS or top in ros or top in sys.stdlib_module_names
                assert known, f"{file.relative_to(ROOT)} cannot start without {top}"


def test_requirements_are_pinned_exactly_and_once() -> None:
    seen: dict[str, Path] = {}
    files = list((ROOT / "requirements").glob("*.txt"))
    assert {f.stem for f in files} >= {"runtime", "ros", "build", "dev"}
    for file in files:
        for line in file.read_text().splitlines():
            requirement = line.partition("#")[0].strip()
            if not requirement:
                continue
            assert re.fullmatch(r"[\w.-]+==[\w.]+", requirement), f"{file.name}: {requirement}"
            name = re.sub(r"[-_.]+", "-", requirement.partition("==")[0]).lower()
            assert name not in seen, f"{name} is in {file.name} and {seen.get(name)}"
            seen[name] = file


@pytest.mark.slow
def test_pip_installs_the_library_its_models_and_nothing_else(tmp_path: Path) -> None:
    """The wheel that pip makes of the source: no training, tests or nodes, but the models."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "vljepa_ros", "models", "msg", "training", "tests"):
        (source / name).symlink_to(ROOT / name)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(tmp_path / "dist")],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=100,
    )
    [wheel] = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0].partition("-")[0] for n in names} == {"vljepa_ros"}
    assert "vljepa_ros/config.py" in names
    assert "vljepa_ros/py.typed" in names
    assert any(n.startswith("vljepa_ros/model/") for n in names)
    assert not any(n.startswith("vljepa_ros/ros/") for n in names)
    assert any(n.endswith("data/share/vljepa_ros/models/README.md") for n in names)
    # What is recorded without ROS is defined by them.
    assert any(n.endswith("data/share/vljepa_ros/msg/SemanticState.msg") for n in names)
