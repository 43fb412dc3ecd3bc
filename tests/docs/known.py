"""Whether a command that is not run could be: programs, options, names and files that exist."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import itertools
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest
import yaml
from pages import ROOT

pytest.importorskip("rclpy", reason="the interface of the nodes needs ROS")

from torch.distributed.run import get_args_parser

from training import train
from vljepa_ros.cli.main import COMMANDS
from vljepa_ros.config import ConfigError
from vljepa_ros.ros.cameras import Camera
from vljepa_ros.ros.interface import INTERFACES, PERCEPTION, VIDEO_CAMERA, WORLD_STATE
from vljepa_ros.settings import is_of_rclpy, settings

NAMESPACE = "/vljepa"
NODES = {"perception": (PERCEPTION, WORLD_STATE), "video_camera": (VIDEO_CAMERA,)}
SYSTEM = {
    *(
        "apt",
        "cd",
        "colcon",
        "echo",
        "env",
        "export",
        "git",
        "grep",
        "lmms-eval",
        "rerun",
        "rosdep",
        "wait",
    ),
}
"""Programs of others, whose options are theirs."""


class Unknown(Exception):
    """A command names something that is not there."""


def check(words: Sequence[str]) -> None:
    """
    Raises:
        Unknown: one of the words leads nowhere.
    """
    words = [w for w in words if w != "sudo"]
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if not words or words[0] in SYSTEM:
        return
    program = Path(words[0]).name
    if program not in PROGRAMS:
        raise Unknown(f"{words[0]}: no such program is known here")
    PROGRAMS[program](list(words[1:]))


def _expect(there: bool, what: str) -> None:
    if not there:
        raise Unknown(what)


# --- programs of this repository ---------------------------------------------------------------


def _make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        name, is_setting, _ = word.partition("=")
        pattern = rf"\$\({name}\)|ifeq \(\$\(origin {name}\)" if is_setting else rf"^{name}:"
        _expect(bool(re.search(pattern, makefile, re.MULTILINE)), f"make {word}")


def _vljepa(words: list[str]) -> None:
    _expect(words[0] in COMMANDS, f"vljepa {words[0]}")
    if len(words) > 1:  # in a sentence the name alone
        parser = argparse.ArgumentParser()
        COMMANDS[words[0]].add_arguments(parser)
        _quietly(lambda: parser.parse_args(words[1:]), f"vljepa {' '.join(words)}")


def _quietly(parse: Callable[[], object], what: str) -> str:
    """What is printed by something that may exit, if with 0 only."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            parse()
        except SystemExit as end:
            _expect(end.code in (0, None), f"{what}: {end.code} {output.getvalue()}")
    return output.getvalue()


def _python(words: list[str]) -> None:
    if words[0] == "-c":
        compile(words[1], "docs", "exec")
    elif words[0] == "-m":
        _module(words[1], words[2:])
    else:
        _expect((ROOT / words[0]).is_file(), f"python {words[0]}")


def _module(name: str, words: list[str]) -> None:
    if name in {"venv", "colcon", "pip"}:
        return
    _expect(importlib.util.find_spec(name) is not None, f"python -m {name}")
    if name == "training.train":
        _quietly(lambda: train.main([*words, "--print"]), f"{name} {' '.join(words)}")
        return
    first = next((at for at, w in enumerate(words) if w.startswith("-")), len(words))
    text = _help(name, tuple(words[:first]))
    for word in words[first:]:
        option = word.partition("=")[0]
        _expect(not option.startswith("--") or option in text, f"python -m {name} {option}")


@cache
def _help(name: str, before: tuple[str, ...]) -> str:
    """What `python -m NAME … --help` prints; nothing where an optional package is not installed.

    In this process, since torch takes long to load.
    """
    with (
        patch.object(sys, "argv", [name, *before, "--help"]),
        contextlib.suppress(ImportError),
    ):
        return _quietly(lambda: runpy.run_module(name, run_name="__main__"), f"{name} --help")
    return ""


def _torchrun(words: list[str]) -> None:
    given = get_args_parser().parse_args(words)
    _module(given.training_script, given.training_script_args)


def _sbatch(words: list[str]) -> None:
    at = next(n for n, word in enumerate(words) if word.endswith(".sbatch"))
    _expect((ROOT / words[at]).is_file(), words[at])
    _module("training.train", words[at + 1 :])


# --- ROS ---------------------------------------------------------------------------------------


def _load_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load_reference()


def _names() -> dict[str, str]:
    """Full names of topics and services as launched, with their types."""
    return {
        re.sub("^~", f"{NAMESPACE}/{interface.node}", endpoint.of(Camera(""))): endpoint.type_name
        for interface in INTERFACES
        for endpoint in (
            *(*interface.subscribes, *interface.hears_beside),
            *(*interface.publishes, *interface.services),
        )
    } | {f"{NAMESPACE}/image": "sensor_msgs/msg/Image"}


def _node(program: str) -> Callable[[list[str]], None]:
    def checked(words: list[str]) -> None:
        for flag, word in itertools.pairwise(words):
            name, _, value = word.partition(":=")
            if flag == "-p":
                _parameter(program, name, value)
            elif flag == "-r":
                known = {
                    endpoint.of(Camera(""))
                    for interface in NODES[program]
                    for endpoint in (
                        *(*interface.subscribes, *interface.hears_beside),
                        *interface.publishes,
                    )
                }
                _expect(name in known, f"{program} has no topic {name}")

    return checked


def _parameter(program: str, name: str, value: str | None = None) -> None:
    known = {s.name: s for interface in NODES[program] for s in settings(interface.config)}
    _expect(name in known or is_of_rclpy(name), f"{program} has no parameter {name}")
    if name in known and value is not None:
        try:
            known[name].check(yaml.safe_load(value))
        except ConfigError as error:
            raise Unknown(str(error)) from error


OF_ROS = [["tf2_ros", "tf2_echo"]]
"""Programs of every ROS installation that the pages name."""


def _ros2(words: list[str]) -> None:
    what, *rest = words
    if what == "run":
        if rest[:2] in OF_ROS:
            return
        _expect(rest[0] == "vljepa_ros", rest[0])
        PROGRAMS[rest[1]](rest[2:])
    elif what == "launch":
        _expect((ROOT / "launch" / rest[1]).is_file(), rest[1])
        for argument in rest[2:]:
            name = argument.partition(":=")[0]
            _expect(name in reference.launch_arguments(), f"launch argument {name}")
    elif what in {"topic", "service", "param", "lifecycle"}:
        _ros2_names(what, [word for word in rest[1:] if not word.startswith("-")])


def _ros2_names(what: str, words: list[str]) -> None:
    if not words or not words[0].startswith(NAMESPACE):
        return
    if what in {"param", "lifecycle"}:
        node = words[0].rpartition("/")[2]
        _expect(node in NODES, f"node {node}")
        if what == "param":
            _parameter(node, *words[1:])
        return
    _expect(words[0] in _names(), words[0])
    if what == "service":
        _expect(words[1] == _names()[words[0]], f"{words[0]} is no {words[1]}")


# --- others whose words name something of ours -------------------------------------------------


def _pip(words: list[str]) -> None:
    extras = re.search(
        r"extras_require=\{(.*?)\n    \}", (ROOT / "setup.py").read_text(), re.DOTALL
    )
    assert extras
    for flag, word in zip(["", *words], words, strict=False):
        if flag == "-r":
            _expect((ROOT / word).is_file(), f"pip install -r {word}")
        if word.startswith(".["):
            _expect(f'"{word[2:-1]}":' in extras[1], f"pip install {word}")


def _source(words: list[str]) -> None:
    elsewhere = words[0].startswith(("/opt/ros/", "~", "install/"))
    _expect(elsewhere or (ROOT / words[0]).is_file(), f"source {words[0]}")


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "make": _make,
    "vljepa": _vljepa,
    "python": _python,
    "python3": _python,
    "torchrun": _torchrun,
    "sbatch": _sbatch,
    "perception": _node("perception"),
    "video_camera": _node("video_camera"),
    "ros2": _ros2,
    "pip": _pip,
    "source": _source,
}
