"""Parameter files of the nodes, read without ROS."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from vljepa_ros.config import ConfigError, PerceptionConfig, SelectiveConfig, WorldStateConfig
from vljepa_ros.settings import from_file, to_text

ROOT = Path(__file__).resolve().parent.parent


def read(text: str, folder: Path) -> PerceptionConfig:
    path = folder / "params.yaml"
    path.write_text(text)
    return from_file(PerceptionConfig, path, "perception", beside=[WorldStateConfig])


def test_the_shipped_file_says_the_defaults() -> None:
    path = ROOT / "config" / "perception.yaml"
    assert from_file(PerceptionConfig, path, "perception") == PerceptionConfig()
    assert from_file(WorldStateConfig, path, "world_state") == WorldStateConfig()


@pytest.mark.parametrize("name", ["/**/perception", "perception", "/vljepa/perception", "/**"])
def test_values_nested_or_dotted_under_any_name_of_the_node(name: str, tmp_path: Path) -> None:
    config = read(
        f"{name}:\n  ros__parameters:\n    use_sim_time: true\n    labels: [a cup, a box]\n"
        "    rate_hz: 5\n    selective: {threshold: 0.5}\n    selective.trust: 0.25\n",
        tmp_path,
    )
    assert config == PerceptionConfig(
        labels=("a cup", "a box"),
        rate_hz=5.0,
        selective=SelectiveConfig(threshold=0.5, trust=0.25),
    )


def test_namespaces_may_be_nested_and_the_last_value_holds(tmp_path: Path) -> None:
    config = read(
        "/**: {ros__parameters: {camera: one, deadline_s: 3.0}}\n"
        "vljepa:\n  world_state: {ros__parameters: {max_rollouts: 2}}\n"
        "  perception: {ros__parameters: {camera: two}}\n",
        tmp_path,
    )
    assert config == PerceptionConfig(camera="two")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing for perception"),
        ("other: {ros__parameters: {camera: a}}", "nothing for perception"),
        ("perception: {ros__parameters: {cemera: a}}", "did you mean camera?"),
        ("perception: {ros__parameters: {rate_hz: fast}}", "rate_hz must be a number"),
        ("perception: {ros__parameters: {rate_hz: -1.0}}", "must lie in 0 … 1000"),
        ("perception: {ros__parameters: {selective: {trust: 2.0}}}", "selective.trust must lie"),
        ("perception: {ros__parameters: {labels: [1]}}", "list of texts"),
        ("perception: [unclosed", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        from_file(PerceptionConfig, tmp_path / "none.yaml", "perception")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    selective = SelectiveConfig(threshold=0.0123, patience_s=2.0)
    config = PerceptionConfig(
        camera="yes",  # a truth value in YAML, if it were not quoted
        labels=("a: cup", "tasse à café", "#1"),
        rate_hz=4.0,
        selective=selective,
    )
    path = tmp_path / "written.yaml"
    path.write_text(to_text(config, "perception"), encoding="utf-8")
    assert from_file(PerceptionConfig, path, "perception") == config


def test_only_what_differs_is_written_and_what_is_asked_for() -> None:
    config = dataclasses.replace(PerceptionConfig(), camera="left")
    assert to_text(config, "perception", always=["selective.threshold"]) == (
        "/**/perception:\n  ros__parameters:\n    camera: left\n    selective:\n"
        f"      threshold: {SelectiveConfig().threshold}\n"
    )
