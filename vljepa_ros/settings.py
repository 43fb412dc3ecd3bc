"""The settings of a config dataclass under dotted names, as parameters: described, checked, built.

Nested dataclasses become dotted names (`selective.threshold`). Nothing here needs ROS; the nodes
declare their parameters with it (`ros/parameters.py`), commands read the nodes' parameter files.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vljepa_ros.config import ConfigError, from_dict

C = TypeVar("C")

# Declared by rclpy itself; every node may be given them.
_OF_RCLPY = ("use_sim_time", "start_type_description_service")
_OF_RCLPY_PREFIX = "qos_overrides."
_VALUES = "ros__parameters"


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


def build(cls: type[C], values: Mapping[str, Any]) -> C:
    """The config that these checked values make; names that are missing keep their default."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *groups, leaf = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = value
    return from_dict(cls, nested)


def is_of_rclpy(name: str) -> bool:
    """A parameter that every node has, whatever its config."""
    return name in _OF_RCLPY or name.startswith(_OF_RCLPY_PREFIX)


def unknown(
    name: str, node: str, known: Collection[str], others: Collection[str] = ()
) -> ConfigError:
    """The error for a name that is no parameter of the node; says what was probably meant."""
    close = difflib.get_close_matches(name, [*known, *sorted(others)], n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
    return ConfigError(f"parameter {name} is unknown to {node}; {hint}")


# --- parameter files ---------------------------------------------------------------------------


def from_file(cls: type[C], path: Path, node: str, *, beside: Sequence[type[Any]] = ()) -> C:
    """The config that a ROS parameter file gives a node of this name, in whatever namespace.

    Args:
        beside: configs of the other nodes of the process. What the file gives to all nodes (`/**`)
            reaches them too, and is no mistake in those that do not have the parameter.

    Raises:
        ConfigError: no parameter file, nothing in it for the node, an unknown name or a bad value.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"parameter file {path} cannot be read: {reason}") from error
    given: dict[str, Any] = {}
    found = False
    for name, values in _nodes(content):
        if name.rpartition("/")[2] in (node, "*", "**"):
            found = True
            given.update(_flat(values))
    if not found:
        raise ConfigError(
            f"parameter file {path} has nothing for {node}; write /**/{node}: {{{_VALUES}: …}}"
        )
    known = {setting.name: setting for setting in settings(cls)}
    others = {setting.name for other in beside for setting in settings(other)}
    for name in given:
        if not (name in known or name in others or is_of_rclpy(name)):
            raise unknown(name, node, known, others)
    return build(cls, {n: known[n].check(value) for n, value in given.items() if n in known})


def to_text(config: Any, node: str, *, always: Collection[str] = ()) -> str:
    """A parameter file (YAML) for a node of this name in whatever namespace; `from_file` reads it.

    Args:
        always: names that are written where they have their default as well.
    """
    group: dict[str, Any] = {}
    for setting in settings(type(config)):
        *above, leaf = setting.name.split(".")
        value = getattr(functools.reduce(getattr, above, config), leaf)
        if value != setting.default or setting.name in always:
            place = functools.reduce(lambda at, name: at.setdefault(name, {}), above, group)
            place[leaf] = list(value) if setting.is_list else value
    return yaml.safe_dump({f"/**/{node}": {_VALUES: group}}, sort_keys=False, allow_unicode=True)


def _nodes(content: Any, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Node names and their values: namespaces may be nested or written with slashes."""
    if not isinstance(content, Mapping):
        return
    for name, below in content.items():
        if name == _VALUES:
            yield prefix, below if isinstance(below, Mapping) else {}
        else:
            yield from _nodes(below, f"{prefix}/{str(name).strip('/')}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
