"""The command answers at once where it has nothing to compute: no library that is slow to load."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vljepa_ros.cli.main import COMMANDS

WITHOUT = """
import sys

for name in ("torch", "numpy", "cv2", "transformers", "rosbags", "ray", "lance", "pyarrow"):
    sys.modules[name] = None  # an import of it fails
from vljepa_ros.cli.main import main

main(sys.argv[1:])
"""


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_needs_no_library_that_is_slow_to_load(arguments: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("usage: vljepa")
