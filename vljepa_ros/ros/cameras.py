"""The cameras that the parameters name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vljepa_ros.config import ConfigError, PerceptionConfig

_NAME = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")
_TAKEN = "model"
"""Diagnostics say how the model is under this name."""


@dataclass(frozen=True)
class Camera:
    """One camera: the name that states carry, and what its own topics begin with."""

    name: str
    prefix: str = ""
    """Before its topics; empty for the only one."""


def cameras_of(config: PerceptionConfig) -> tuple[Camera, ...]:
    """The cameras in the order given; one without a prefix where `cameras` is empty.

    Raises:
        ConfigError: a name that is none, or one given twice.
    """
    if not config.cameras:
        if not config.camera.strip():
            raise ConfigError("parameter camera is empty; give the camera a name")
        return (Camera(config.camera),)
    for at, name in enumerate(config.cameras):
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"parameter cameras[{at}] is {name!r}, which cannot be part of a topic's name; "
                "begin with a letter, go on with letters, digits and single _, such as left_wrist"
            )
        if name == _TAKEN:
            raise ConfigError(
                f"parameter cameras[{at}] is {name!r}, which diagnostics use for the model; give "
                "the camera another name"
            )
        if name in config.cameras[:at]:
            raise ConfigError(
                f"parameter cameras holds {name!r} twice; give each camera a name of its own"
            )
    return tuple(Camera(name, f"{name}/") for name in config.cameras)
