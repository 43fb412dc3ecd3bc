"""ROS parameters from a config dataclass: declared, checked and changed by the same description.

Nested dataclasses become dotted names (`selective.threshold`). A setting marked `live` may change
at any time, the others only while the node is unconfigured. A change of several parameters is
taken as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from vljepa_ros.config import ConfigError
from vljepa_ros.settings import Setting, build, is_of_rclpy, settings, unknown

C = TypeVar("C")


class Parameters(Generic[C]):
    """The parameters of one node and the config they make."""

    def __init__(
        self,
        node: Node,
        cls: type[C],
        *,
        locked: Callable[[], bool] | None = None,
        changed: Callable[[C], None] = lambda config: None,
        check: Callable[[C], Any] = lambda config: None,
        beside: Sequence[type[Any]] = (),
    ) -> None:
        """
        Args:
            locked: whether settings that are not live must refuse to change now; None = always, of
                a node without a lifecycle.
            changed: called with the new config after a change.
            check: raises ConfigError for a combination of values that cannot be used.
            beside: configs of the other nodes of the process. A value that is given to no node by
                name (`-p name:=value`) reaches all of them, and is no mistake in those that do not
                have the parameter.

        Raises:
            ConfigError: an unknown parameter, or a start value that cannot be used.
        """
        self._cls = cls
        self._settings = {setting.name: setting for setting in settings(cls)}
        self._locked = locked
        self._changed = changed
        self._check = check
        others = {setting.name for other in beside for setting in settings(other)}
        given = _start_values(node, self._settings, others)
        self._values = {
            name: setting.check(given.get(name, setting.ros_default))
            for name, setting in self._settings.items()
        }
        self.config: C = self._build(self._values)
        for name, setting in self._settings.items():
            _declare(node, setting, self._values[name])
        node.add_on_set_parameters_callback(self._on_set)

    def _build(self, values: Mapping[str, Any]) -> C:
        config = build(self._cls, values)
        self._check(config)
        return config

    def _check_unlocked(self, name: str) -> None:
        if self._locked is None:
            raise ConfigError(
                f"parameter {name} is read at the start only: start the node again with the new "
                "value"
            )
        if self._locked():
            raise ConfigError(
                f"parameter {name} can change while the node is unconfigured only: deactivate and "
                "clean up, set it, then configure again"
            )

    def _on_set(self, changes: Sequence[Parameter]) -> SetParametersResult:
        """rclpy's callback before a change: refuse with a reason, or take all of it."""
        ours = [change for change in changes if change.name in self._settings]
        try:
            values = dict(self._values)
            for change in ours:
                setting = self._settings[change.name]
                if change.type_ is Parameter.Type.NOT_SET:
                    raise ConfigError(f"parameter {change.name} cannot be deleted")
                values[change.name] = setting.check(change.value)
                if not setting.live:
                    self._check_unlocked(change.name)
            config = self._build(values)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if ours:
            self._values, self.config = values, config
            self._changed(config)
        return SetParametersResult(successful=True)


def _start_values(node: Node, known: Mapping[str, Setting], others: Set[str]) -> dict[str, Any]:
    """The values given by file or command line; those of `others` are left alone."""
    # rclpy shows what was given but never declared nowhere else: declaring all that is given
    # (automatically_declare_parameters_from_overrides) fails at an empty list.
    given: Mapping[str, Parameter] = node._parameter_overrides
    for name in given:
        if name in known or name in others or is_of_rclpy(name):
            continue
        raise unknown(name, node.get_name(), known, others)
    return {name: given[name].value for name in known if name in given}


def _declare(node: Node, setting: Setting, value: Any) -> None:
    descriptor = ParameterDescriptor(
        description=setting.description,
        additional_constraints=setting.constraints,
        dynamic_typing=setting.is_list,
    )
    if setting.low is not None and setting.high is not None:
        if setting.hint is float:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(setting.low), to_value=float(setting.high))
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(setting.low), to_value=int(setting.high), step=1)
            ]
    ros_value = list(value) if setting.is_list else value
    node.declare_parameter(setting.name, ros_value, descriptor, ignore_override=True)
    if setting.is_list:  # an empty list would stay declared as bytes
        node.set_parameters([Parameter(setting.name, Parameter.Type.STRING_ARRAY, ros_value)])
