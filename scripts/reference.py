#!/usr/bin/env python3
"""Writes docs/reference.md from the source (`make reference`); no node is started.

Parameters come from the config classes, topics and services from `ros/interface.py`, what a service
answers from its own file, launch arguments from the launch file, commands from their parsers.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from vljepa_ros.cli.main import COMMANDS
from vljepa_ros.ros.cameras import Camera
from vljepa_ros.ros.interface import INTERFACES, Endpoint, Interface
from vljepa_ros.settings import Setting, settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference.md"
LAUNCH_FILE = ROOT / "launch" / "perception.launch.py"
OURS = "vljepa_ros"
ROS_TYPES = {float: "double", int: "integer", bool: "bool", str: "string"}
ONE, NAMED = Camera("camera"), Camera("NAME", "NAME/")

INTRODUCTION = """\
<!-- Written by `make reference` from the source. Edit that, not this page. -->
# Reference

Names are those before remapping, and `~` is the node's own name: with the launch file `~/set_query`
of `perception` is `/vljepa/perception/set_query`. With the parameter `cameras`, NAME stands for
each of its names. Units stand in brackets. Types link to the files that describe their fields.
"""


def page() -> str:
    """The whole page, as Markdown."""
    sections = [INTRODUCTION, *map(_node, INTERFACES), _launch(), _commands(), _status()]
    return "\n".join(sections).rstrip() + "\n"


# --- nodes -------------------------------------------------------------------------------------


def _node(node: Interface) -> str:
    topics = [
        *(_topic(endpoint, "subscribes") for endpoint in (*node.subscribes, *node.hears_beside)),
        *(_topic(endpoint, "publishes") for endpoint in node.publishes),
    ]
    answers = [
        (f"`{endpoint.name}`", _type(endpoint), _first_sentence(endpoint))
        for endpoint in (*node.services, *node.actions)
    ]
    parameters = [_parameter(setting, node) for setting in settings(node.config)]
    parts = [
        f"## Node `{node.node}`\n",
        _table(("topic", "", "type", "quality of service", "when"), topics),
        _table(("service or action", "type", ""), answers),
        _table(("parameter", "type", "default", "range", "can change", ""), parameters),
    ]
    return "\n".join(part for part in parts if part)


def _topic(endpoint: Endpoint, direction: str) -> tuple[str, ...]:
    name = f"`{endpoint.of(ONE)}`"
    if endpoint.of(NAMED) != endpoint.of(ONE):
        name += f", `{endpoint.of(NAMED)}`"
    return name, direction, _type(endpoint), _quality(endpoint.qos), endpoint.when


def _quality(profile: QoSProfile) -> str:
    reliable = profile.reliability != ReliabilityPolicy.BEST_EFFORT
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    words = ["reliable" if reliable else "best effort", *(["transient local"] if latched else [])]
    return f"{', '.join(words)}, last {profile.depth}"


def _type(endpoint: Endpoint) -> str:
    package, kind, name = endpoint.type_name.split("/")
    return f"[{name}](../{kind}/{name}.{kind})" if package == OURS else endpoint.type_name


def _first_sentence(endpoint: Endpoint) -> str:
    """What the comment at the head of an interface file begins with."""
    _, kind, name = endpoint.type_name.split("/")
    lines = (ROOT / kind / f"{name}.{kind}").read_text().splitlines()
    head = lines[: lines.index("")]
    text = " ".join(line.removeprefix("# ") for line in head)
    return text.replace(". ", ".\n").splitlines()[0]


def _parameter(setting: Setting, node: Interface) -> tuple[str, ...]:
    allowed = ", ".join(setting.choices)
    if setting.low is not None and setting.high is not None:
        allowed = f"{setting.low:,.12g} … {setting.high:,.12g}"
    otherwise = "unconfigured" if node.is_lifecycle else "at start"
    return (
        f"`{setting.name}`",
        "string[]" if setting.is_list else ROS_TYPES[setting.hint],
        f"`{json.dumps(setting.ros_default)}`",
        allowed,
        "at any time" if setting.live else otherwise,
        setting.description,
    )


# --- launch file, commands, status -------------------------------------------------------------


def launch_arguments() -> dict[str, tuple[str, str]]:
    """Default and description of each argument; read, since launch may not be installed."""
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(LAUNCH_FILE.read_text()).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in {"ARGUMENTS", "PARAMETERS"}
    }
    parameters = {
        name: ("", f"{text}; empty = as params_file") for name, text in found["PARAMETERS"].items()
    }
    arguments: dict[str, tuple[str, str]] = found["ARGUMENTS"]
    return arguments | parameters


def _launch() -> str:
    rows = [
        (f"`{name}`", f"`{json.dumps(default)}`", text)
        for name, (default, text) in launch_arguments().items()
    ]
    return f"## Launch file `{LAUNCH_FILE.name}`\n\n" + _table(("argument", "default", ""), rows)


def _commands() -> str:
    parts = ["## Command `vljepa`\n"]
    for name, module in COMMANDS.items():
        parser = argparse.ArgumentParser(add_help=False)
        module.add_arguments(parser)
        rows = [(f"`{_call(a)}`", (a.help or "") % vars(a)) for a in parser._actions]
        text = (module.__doc__ or "").strip()
        parts.append(f"### `vljepa {name}`\n\n{text}\n\n" + _table(("argument", ""), rows))
    return "\n".join(parts)


def _call(action: argparse.Action) -> str:
    """How an argument is written, as `-o, --output OUT`."""
    shown = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    value = f"{{{','.join(map(str, action.choices))}}}" if action.choices else shown
    value += " …" if action.nargs in {"+", "*"} else ""
    if not action.option_strings:
        return value
    takes_none = action.nargs == 0
    return ", ".join(action.option_strings) + ("" if takes_none else f" {value}")


def _status() -> str:
    """Codes of msg/Status.msg, each with the comment before it."""
    lines = (ROOT / "msg" / "Status.msg").read_text().splitlines()
    rows = []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("uint16 ") and "=" in line:
            name, code = line.removeprefix("uint16 ").split("=")
            meaning = before.removeprefix("# ") if before.startswith("#") else ""
            rows.append((code, name, meaning))
    return (
        "## Status of an answer\n\nEvery answer has a [Status](../msg/Status.msg); what is wrong, "
        "and the mend, is said in `error_msg`.\n\n" + _table(("error_code", "", ""), rows)
    )


# --- Markdown ----------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table, or nothing where there are no rows."""
    body = [tuple(cell.replace("|", "\\|").replace("<", "\\<") for cell in row) for row in rows]
    if not body:
        return ""

    def lines() -> Iterator[str]:
        yield "| " + " | ".join(head) + " |"
        yield "|" + "---|" * len(head)
        for row in body:
            yield "| " + " | ".join(row) + " |"

    return "\n".join(lines()) + "\n"


def main(arguments: Any = None) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
