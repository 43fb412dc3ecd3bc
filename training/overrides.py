"""Settings that take the place of a recipe's own: from a YAML file, then from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from training.runs import Recipe
from vljepa_ros.config import ConfigError, from_dict, to_dict

FREE = ("mixture", "aside", "task_shares")
"""Settings whose keys are free: a new value takes the place of the old one, it adds no keys."""


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as everybody but YAML 1.1 has it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def overridden(recipe: Recipe, file: str = "", settings: Sequence[str] = ()) -> Recipe:
    """The recipe with the settings of a YAML file, if one is named, and then those of `settings`.

    Raises:
        ConfigError: what cannot be read, an unknown setting, a value of the wrong type.
    """
    if file:
        recipe = override(recipe, of_file(Path(file)))
    for text in settings:
        recipe = override(recipe, setting(text))
    return recipe


def override(recipe: Recipe, changes: dict[str, object]) -> Recipe:
    """The recipe with some settings replaced; an unknown one is a ConfigError."""
    return from_dict(Recipe, _merged(to_dict(recipe), changes))


def of_file(path: Path) -> dict[str, object]:
    """The settings in a YAML file.

    Raises:
        ConfigError: it cannot be read, or holds anything else.
    """
    try:
        found = _parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--config {path} cannot be read: {reason}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"--config {path} holds no settings; write them as --print shows them")
    return found


def setting(text: str) -> dict[str, object]:
    """ "sft.fit.steps=10" as the nested mapping that `override` takes.

    Raises:
        ConfigError: not of that form.
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set {text}: write it as sft.fit.steps=100")
    try:
        nested = _parsed(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: {' '.join(str(error).split())}") from error
    for key in reversed(path.split(".")):
        nested = {key: nested}
    assert isinstance(nested, dict)
    return nested


def _parsed(text: str) -> object:
    loaded: object = yaml.load(text, _Loader)
    return loaded


def _merged(old: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    merged = dict(old)
    for key, value in new.items():
        inner = merged.get(key)
        both = isinstance(inner, dict) and isinstance(value, dict) and key not in FREE
        merged[key] = _merged(inner, value) if both else value  # type: ignore[arg-type]
    return merged
