"""How widely new weights are drawn."""

from __future__ import annotations

import math


def small_init_std(width: int) -> float:
    """Standard deviation for the weights of a transformer of this token width.

    sqrt(2 / (5 width)): .02 at 1,024 (what the large backbones were published with) and wider for
    our small ones, which a fixed .02 would start almost silent (docs/decisions/0005).
    """
    return math.sqrt(2.0 / (5.0 * width))
