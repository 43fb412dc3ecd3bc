"""Parameters in one process: declared from the dataclasses, taken over, refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from vljepa_ros.config import (
    ConfigError,
    PerceptionConfig,
    SelectiveConfig,
    VideoCameraConfig,
    WorldStateConfig,
)
from vljepa_ros.ros.parameters import Parameters
from vljepa_ros.settings import settings


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


def node(context: Context, **values: Any) -> Node:
    given = [Parameter(name.replace("__", "."), value=value) for name, value in values.items()]
    return Node("parameters_test", context=context, parameter_overrides=given)


@pytest.mark.parametrize("cls", [PerceptionConfig, WorldStateConfig, VideoCameraConfig])
def test_without_values_the_config_is_the_default_and_every_setting_declared(
    context: Context, cls: type[Any]
) -> None:
    made = node(context)
    assert Parameters(made, cls).config == cls()
    for setting in settings(cls):
        declared = made.get_parameter(setting.name).value
        assert (list(declared) if setting.is_list else declared) == setting.ros_default
        assert made.describe_parameter(setting.name).description == setting.description


def test_start_values_are_taken_and_a_whole_number_may_stand_for_a_number(
    context: Context,
) -> None:
    made = node(context, selective__threshold=1, camera="eye", labels=["a"])
    config = Parameters(made, PerceptionConfig).config
    assert config.selective.threshold == 1.0 and isinstance(config.selective.threshold, float)
    assert (config.camera, config.labels) == ("eye", ("a",))
    assert made.get_parameter("selective.threshold").value == 1.0


def test_what_is_meant_for_another_node_of_the_process_is_let_through(context: Context) -> None:
    beside = (PerceptionConfig,)
    made = node(context, model_path="/somewhere", deadline_s=2.5)
    config = Parameters(made, WorldStateConfig, beside=beside).config
    assert config.deadline_s == 2.5 and not made.has_parameter("model_path")
    with pytest.raises(ConfigError, match="did you mean model_path"):
        Parameters(node(context, model_pat="x"), WorldStateConfig, beside=beside)


def test_parameters_of_rclpy_are_let_through(context: Context) -> None:
    Parameters(node(context, use_sim_time=True), PerceptionConfig)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("selective__treshold", 0.5, "did you mean selective.threshold"),
        ("zzz", 1, "known:"),
        ("selective__threshold", 1.01, "0 … 1"),
        ("selective__threshold", "x", "must be a number"),
        ("selective__threshold", True, "must be a number"),
        ("rate_hz", float("nan"), "rate_hz"),
        ("threads", 0.5, "whole number"),
        ("threads", -1, "0 … 256"),
        ("autostart", 1, "true or false"),
        ("labels", "x", "list of texts"),
        ("dtype", "float8", "one of auto"),
    ],
)
def test_a_start_value_that_cannot_be_used_is_named(
    context: Context, name: str, value: Any, word: str
) -> None:
    with pytest.raises(ConfigError, match=word):
        Parameters(node(context, **{name: value}), PerceptionConfig)


def test_changes_are_told_whole_and_only_when_they_hold(context: Context) -> None:
    told: list[PerceptionConfig] = []
    made = node(context)
    parameters = Parameters(made, PerceptionConfig, changed=told.append)

    def change(**values: Any) -> bool:
        items = [Parameter(k.replace("__", "."), value=v) for k, v in values.items()]
        return bool(made.set_parameters_atomically(items).successful)

    assert change(selective__threshold=0.25, selective__hysteresis=0.5)
    assert told == [parameters.config]
    assert told[0].selective == SelectiveConfig(threshold=0.25, hysteresis=0.5)
    assert not change(selective__threshold=0.75, device="cpu")
    assert not change(selective__threshold=float("nan"))
    assert not made.set_parameters([Parameter("labels", Parameter.Type.NOT_SET)])[0].successful
    assert len(told) == 1 and made.get_parameter("selective.threshold").value == 0.25


def test_what_is_not_live_may_change_while_unlocked(context: Context) -> None:
    locked = False
    made = node(context)
    parameters = Parameters(made, PerceptionConfig, locked=lambda: locked)
    assert made.set_parameters([Parameter("device", value="cpu")])[0].successful
    assert parameters.config.device == "cpu"
    locked = True
    refused = made.set_parameters([Parameter("device", value="cuda")])[0]
    assert not refused.successful and "unconfigured" in refused.reason
    assert parameters.config.device == "cpu"


def test_what_is_not_live_says_of_a_node_without_lifecycle_to_start_it_again(
    context: Context,
) -> None:
    made = node(context)
    parameters = Parameters(made, PerceptionConfig)
    refused = made.set_parameters([Parameter("device", value="cpu")])[0]
    assert not refused.successful and "start the node again" in refused.reason
    assert parameters.config.device == PerceptionConfig().device


def test_a_combination_can_be_refused(context: Context) -> None:
    def check(config: PerceptionConfig) -> None:
        if config.rate_hz > config.stale_after_s:
            raise ConfigError("too fast")

    made = node(context)
    Parameters(made, PerceptionConfig, check=check)
    refused = made.set_parameters([Parameter("rate_hz", value=3.0)])[0]
    assert (refused.successful, refused.reason) == (False, "too fast")
