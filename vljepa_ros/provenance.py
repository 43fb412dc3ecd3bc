"""Where figures come from: what a file of results names beside them."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def commit() -> str:
    """The source's commit, `-dirty` where the source is another; empty outside of a repository.

    Documents do not count: results are written into them while others are still measured.
    """
    found = _git("rev-parse", "--short=12", "HEAD")
    changed = _git(
        "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)docs"
    )
    return f"{found}-dirty" if found and changed else found


def _git(*arguments: str) -> str:
    asked = ["git", *arguments]
    try:
        done = subprocess.run(
            asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:  # no git
        return ""
    return done.stdout.strip()


def facts(command: str) -> dict[str, Any]:
    """What stands before the figures of a file."""
    return {"command": command, "date": now(), "commit": commit(), "machine": machine()}


def command() -> str:
    """How this program was started."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = "" if spec is None else spec.name.removesuffix(".__main__")
    return " ".join(["python", *(["-m", name] if name else sys.argv[:1]), *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """Processor, system and versions."""
    info = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
