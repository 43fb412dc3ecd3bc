"""python -m examples.tabletop_world --ros-args -r __ns:=/vljepa -p scene_seed:=5000003"""

from __future__ import annotations

import sys

from examples.tabletop_world.node import main

if __name__ == "__main__":
    sys.exit(main())
