"""One result measured: its command is run, and what it says is kept with where it comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from training.results.registry import Result
from vljepa_ros import provenance
from vljepa_ros.config import ConfigError

Say = Callable[[str], None]


def measure(result: Result, folder: Path, quick: bool = False, say: Say = print) -> None:
    """Write `<folder>/<name>.json`, and the pictures that belong to it.

    Raises:
        ConfigError: the command failed, or its last line is no JSON object.
    """
    more = result.quick or () if quick else ()
    command = (*result.command, *more, *_files(result, folder))
    told = f"python -m {' '.join(command)}"
    say(f"{result.name}: {told}")
    folder.mkdir(parents=True, exist_ok=True)
    lines = run(command, say)
    if result.out:
        return
    try:
        said = provenance.facts(told) | json.loads(lines[-1])
    except (IndexError, TypeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{told}: its last line is no JSON object") from error
    (folder / f"{result.name}.json").write_text(json.dumps(said, indent=2) + "\n")


def run(command: tuple[str, ...], say: Say = print) -> list[str]:
    """What a module prints, line by line while it runs.

    Raises:
        ConfigError: it failed.
    """
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            say(f"  {lines[-1][:200]}")
    if process.returncode:
        raise ConfigError(f"python -m {' '.join(command)} failed: {process.returncode}")
    return lines


def _files(result: Result, folder: Path) -> list[str]:
    """Options that name the files which the command writes."""
    named = {result.out: "json", result.picture: "png"}
    return [
        word
        for option, ending in named.items()
        if option
        for word in (option, str(folder / f"{result.name}.{ending}"))
    ]
