"""The directions of dependency: types <- config <- model <- stream, world <- recordings, ros.

`training` uses the model and is used by nobody. Imports are read from the syntax tree, so lazy
ones inside functions count too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FOUNDATION = {
    *("types", "config", "paths", "fields", "message_fields", "settings", "images"),
    *("video_source", "provenance"),
}
LIBRARY = FOUNDATION | {"model", "stream", "world", "recordings"}
MAY_IMPORT: dict[str, set[str]] = {
    "": set(),  # vljepa_ros/__init__.py
    "types": set(),
    "config": {"types"},
    "paths": set(),
    "fields": set(),
    "message_fields": {"types", "config", "fields"},
    "settings": {"config"},
    "images": {"types", "fields"},
    "video_source": {"types"},
    "provenance": set(),
    "model": {"types", "config", "paths", "model"},
    "stream": {"types", "config", "model", "stream"},
    "world": {"types", "config", "model", "world"},
    "recordings": FOUNDATION | {"model", "stream", "recordings"},
    "cli": LIBRARY | {"cli"},
    "lmms_plugin": {"types", "config", "model"},
    "ros": LIBRARY | {"ros"},
}
"""Part of vljepa_ros -> parts of vljepa_ros that it may import. A new part belongs in here."""

TRAINING_MAY_IMPORT = {"types", "config", "paths", "provenance", "model"}
EVALUATION_MAY_IMPORT = TRAINING_MAY_IMPORT | {"stream", "world"}
DATA_MAY_IMPORT = TRAINING_MAY_IMPORT | {"images", "recordings"}
"""Shards are written from the bags and images that the robot reads, by the same code."""
GENERATED = {"msg", "srv", "action"}
ROS_NAMES = {
    *("rclpy", "rpyutils", "rosidl_runtime_py", "ament_index_python", "cv_bridge", "tf2_ros"),
    *("launch", "launch_ros", "launch_testing", "launch_pytest", "builtin_interfaces"),
    *("rcl_interfaces", "message_filters"),
}
NUMPY_ONLY = {"", "types", "config", "paths", "fields", "settings"}
FOREIGN = {"torch", "transformers", "cv2", "av", "safetensors", "tokenizers", "scipy", "sklearn"}


def imported(source: str, module: str, *, is_package: bool) -> Iterator[str]:
    """Dotted names that a module imports, wherever in it; `from a import b` gives `a.b`."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]) if base else ".".join(above)
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            target = node.args[0]
            if name in {"import_module", "__import__"} and isinstance(target, ast.Constant):
                yield str(target.value)


def is_ros(name: str) -> bool:
    top, _, rest = name.partition(".")
    generated = top == "vljepa_ros" and rest.split(".")[0] in GENERATED
    return generated or top in ROS_NAMES or top.endswith("_msgs")


def faults(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module imports against the direction, as sentences."""
    top, *inner = module.split(".")
    part = inner[0] if inner else ""
    found = []
    for name in imported(source, module, is_package=is_package):
        target_top, *target_inner = name.split(".")
        target = target_inner[0] if target_inner else ""
        if is_ros(name):
            if (top, part) != ("vljepa_ros", "ros") and top not in {"launch", "examples"}:
                found.append(f"{module} imports ROS: {name}")
            continue
        if target_top == "training" and top not in {"training", "examples"}:
            found.append(f"{module} imports training: {name}")
        if target_top == "vljepa_ros" and target in {*MAY_IMPORT, *LIBRARY} - {""}:
            allowed = MAY_IMPORT.get(part, set()) if top == "vljepa_ros" else LIBRARY | {"ros"}
            if top == "training":
                parts = {"evaluate": EVALUATION_MAY_IMPORT, "data": DATA_MAY_IMPORT}
                allowed = parts.get(part, TRAINING_MAY_IMPORT)
            if target not in allowed:
                found.append(f"{module} imports against the direction: {name}")
        if top == "vljepa_ros" and part in NUMPY_ONLY and target_top in FOREIGN:
            found.append(f"{module} takes numpy at most: {name}")
    return found


def modules() -> Iterator[tuple[str, Path]]:
    for top in ("vljepa_ros", "training", "examples", "launch"):
        for file in sorted((ROOT / top).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def test_every_module_imports_in_the_right_direction() -> None:
    found = [
        fault
        for module, file in modules()
        for fault in faults(file.read_text(), module, is_package=file.name == "__init__.py")
    ]
    assert not found, "\n".join(found)


def test_every_part_of_the_library_has_its_place_in_the_direction() -> None:
    parts = {m.split(".")[1] for m, _ in modules() if m.startswith("vljepa_ros.")}
    assert {"types", "config", "paths", "model"} <= parts
    unknown = {p for p in parts if p not in MAY_IMPORT and not p.startswith("cli")}
    assert not unknown, f"add to MAY_IMPORT: {unknown}"


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vljepa_ros.model.engine", "import rclpy"),
        ("vljepa_ros.stream.segmenter", "def f():\n    from sensor_msgs.msg import Image"),
        ("vljepa_ros.stream.perceiver", "import vljepa_ros.msg"),
        ("vljepa_ros.model.engine", "from vljepa_ros import msg"),
        ("vljepa_ros.model.engine", "from ..stream import segmenter"),
        ("vljepa_ros.model.engine", "from .. import stream"),
        ("vljepa_ros.config", "from . import model"),
        ("vljepa_ros.types", "import torch"),
        ("vljepa_ros.stream.segmenter", "from vljepa_ros.world.memory import Memory"),
        ("vljepa_ros.world.memory", "import vljepa_ros.ros.worker"),
        ("vljepa_ros.model.engine", "import importlib\nimportlib.import_module('training.loss')"),
        ("vljepa_ros.ros.perception_node", "def f():\n    import training.tabletop"),
        ("training.loss", "from vljepa_ros.stream.segmenter import Segmenter"),
        ("training.evaluate.bench", "import rclpy"),
        ("training.loss", "from vljepa_ros.recordings.bag import open_reader"),
        ("training.evaluate.bench", "from vljepa_ros.ros.worker import Worker"),
        ("launch.perception", "import training"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert len(faults(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vljepa_ros.ros.perception_node", "import rclpy\nfrom vljepa_ros.msg import Status"),
        ("vljepa_ros.stream.perceiver", "from ..model.engine import Engine"),
        ("vljepa_ros.model.vljepa", "from . import x_encoder\nfrom vljepa_ros.config import X"),
        ("training.evaluate.tabletop", "from vljepa_ros.stream.segmenter import Segmenter"),
        ("training.data.sources.rosbag", "from vljepa_ros.recordings.bag import open_reader"),
        ("examples.world_node", "import rclpy, training.tabletop\nimport vljepa_ros.ros.worker"),
        ("launch.perception", "from launch_ros.actions import LifecycleNode"),
    ],
)
def test_a_right_import_is_let_through(module: str, source: str) -> None:
    assert faults(source, module) == []


def test_relative_imports_of_a_package_start_at_itself() -> None:
    assert list(imported("from . import a", "p.q", is_package=True)) == ["p.q.a"]
    assert list(imported("from .. import a", "p.q.r", is_package=False)) == ["p.a"]
