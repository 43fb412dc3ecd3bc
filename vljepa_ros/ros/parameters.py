"""ROS parameters from a config dataclass: declared, checked and changed by the same description.

Nested dataclasses become dotted names (`selective.threshold`). A setting marked `live` may change
at any time, the others only while the node is unconfigured. A change of several parameters is
taken as a whole or not at all.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from vljepa_ros.config import ConfigError, from_dict

C = TypeVar("C")

# Declared by rclpy itself; every node may be given them.
_OF_RCLPY = ("use_sim_time", "start_type_description_service")
_OF_RCLPY_PREFIX = "qos_overrides."


@dataclasses.dataclass(frozen=True)
class Setting:
    """One parameter: a leaf of the config dataclass."""

    name: str
    hint: Any
    default: Any
    description: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    live: bool

    @property
    def is_list(self) -> bool:
        return typing.get_origin(self.hint) is tuple

    @property
    def ros_default(self) -> Any:
        return list(self.default) if self.is_list else self.default

    @property
    def constraints(self) -> str:
        """What a ROS descriptor has no field for."""
        when = "can change at run time" if self.live else "can change while unconfigured only"
        return f"one of: {', '.join(self.choices)}; {when}" if self.choices else when

    def check(self, value: Any) -> Any:
        """The value as the config holds it.

        Raises:
            ConfigError: wrong type, not finite, out of range or not among the choices.
        """
        if self.is_list:
            return self._check_list(value)
        if self.hint is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not self.hint:
            raise ConfigError(f"parameter {self.name} must be {_KINDS[self.hint]}, not {value!r}")
        if self.choices and value not in self.choices:
            raise ConfigError(
                f"parameter {self.name} must be one of {', '.join(self.choices)}, not {value!r}"
            )
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise ConfigError(
                f"parameter {self.name} must lie in {self.low:g} … {self.high:g}, not {value!r}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"parameter {self.name} must be finite, not {value!r}")
        return value

    def _check_list(self, value: Any) -> tuple[str, ...]:
        # An empty list has no type: a parameter file makes it None, rclpy a list of bytes.
        items = [] if value is None else value
        if not isinstance(items, list | tuple) or not all(isinstance(i, str) for i in items):
            raise ConfigError(f"parameter {self.name} must be a list of texts, not {value!r}")
        return tuple(items)


_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


def settings(cls: type[Any], prefix: str = "") -> Iterator[Setting]:
    """The leaves of a config dataclass, nested ones with dotted names."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint, name = hints[field.name], f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from settings(hint, f"{name}.")
        else:
            yield Setting(name, hint, field.default, **field.metadata)


class Parameters(Generic[C]):
    """The parameters of one node and the config they make."""

    def __init__(
        self,
        node: Node,
        cls: type[C],
        *,
        locked: Callable[[], bool] = lambda: True,
        changed: Callable[[C], None] = lambda config: None,
        check: Callable[[C], None] = lambda config: None,
        beside: Sequence[type[Any]] = (),
    ) -> None:
        """
        Args:
            locked: whether settings that are not live must refuse to change now.
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
        nested: dict[str, Any] = {}
        for name, value in values.items():
            *groups, leaf = name.split(".")
            place = nested
            for group in groups:
                place = place.setdefault(group, {})
            place[leaf] = value
        config = from_dict(self._cls, nested)
        self._check(config)
        return config

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
                if self._locked() and not setting.live:
                    raise ConfigError(
                        f"parameter {change.name} can change while the node is unconfigured only: "
                        "deactivate and clean up, set it, then configure again"
                    )
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
        if name in known or name in others or _is_of_rclpy(name):
            continue
        close = difflib.get_close_matches(name, [*known, *sorted(others)], n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
        raise ConfigError(f"parameter {name} is unknown to {node.get_name()}; {hint}")
    return {name: given[name].value for name in known if name in given}


def _is_of_rclpy(name: str) -> bool:
    return name in _OF_RCLPY or name.startswith(_OF_RCLPY_PREFIX)


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
