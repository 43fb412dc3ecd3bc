"""Where the files that ship with the package are: in the source tree, or where it was installed."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = "vljepa_ros"
DEFAULT_MODEL = "tabletop"


class PathsError(FileNotFoundError):
    """A file that ships with the package is not there; the message says the mend."""


def share() -> Path:
    """The folder that holds `models`, `config` and `launch`.

    That of the tree this file lies in, be it the source or an install prefix (colcon, a ROS
    installation, pip), else the first in AMENT_PREFIX_PATH.

    Raises:
        PathsError: none of them has it.
    """
    for folder in _candidates():
        if (folder / "models").is_dir():
            return folder
    raise PathsError(
        f"the models of {PACKAGE} are not beside the code nor in AMENT_PREFIX_PATH: "
        "source the workspace's setup.bash, or give model_path"
    )


def default_model() -> Path:
    """The checkpoint folder used when no other is named.

    Raises:
        PathsError: it was not installed.
    """
    folder = share() / "models" / DEFAULT_MODEL
    if not (folder / "config.json").is_file():
        raise PathsError(f"no default model in {folder}: give model_path, a checkpoint folder")
    return folder


def _candidates() -> list[Path]:
    here = Path(__file__)
    found = []
    for file in (here, here.resolve()):  # a symlinked install points into the source tree
        root = file.parent.parent
        if (root / "package.xml").is_file():
            found.append(root)
        found += [parent / "share" / PACKAGE for parent in file.parents[2:]]
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    found += [Path(prefix) / "share" / PACKAGE for prefix in prefixes if prefix]
    return found
