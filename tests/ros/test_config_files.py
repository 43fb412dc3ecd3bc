"""The shipped files say what the code says."""

from __future__ import annotations

import ast
from pathlib import Path
from xml.etree import ElementTree

import rclpy.lifecycle.node
import rclpy.node
import yaml
from rclpy.lifecycle import LifecycleNode

from vljepa_ros.config import PerceptionConfig, WorldStateConfig, from_dict
from vljepa_ros.ros import qos
from vljepa_ros.settings import settings

ROOT = Path(__file__).resolve().parents[2]


def test_perception_yaml_holds_every_parameter_with_its_default() -> None:
    text = (ROOT / "config" / "perception.yaml").read_text()
    values = yaml.safe_load(text)["/**/perception"]["ros__parameters"]
    assert from_dict(PerceptionConfig, values) == PerceptionConfig()
    groups = {name: value for name, value in values.items() if isinstance(value, dict)}
    named = {f"{group}.{name}" for group, inner in groups.items() for name in inner}
    named |= values.keys() - groups.keys()
    assert named == {setting.name for setting in settings(PerceptionConfig)}
    values = yaml.safe_load(text)["/**/world_state"]["ros__parameters"]
    assert from_dict(WorldStateConfig, values) == WorldStateConfig()
    assert set(values) == {setting.name for setting in settings(WorldStateConfig)}


def test_the_profile_that_warnings_name_exists_and_is_large_enough() -> None:
    root = ElementTree.parse(ROOT / "config" / qos.LARGE_IMAGE_PROFILE).getroot()
    sizes = [int(e.text or 0) for e in root.iter() if e.tag.endswith("segment_size")]
    assert sizes == [32 * 1024 * 1024]


def test_our_nodes_use_no_name_that_rclpy_uses_itself() -> None:
    theirs = {
        name
        for cls in LifecycleNode.__mro__
        for name in vars(cls)
        if not name.startswith("__") and not name.startswith("on_")
    }
    for module in (rclpy.node, rclpy.lifecycle.node):
        theirs |= _assigned(Path(str(module.__file__)))
    for file in ("perception_node.py", "lifecycle.py"):
        ours = _assigned(ROOT / "vljepa_ros" / "ros" / file)
        assert not ours & theirs, f"{file} would overwrite {ours & theirs}"


def _assigned(file: Path) -> set[str]:
    return {
        node.attr
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
