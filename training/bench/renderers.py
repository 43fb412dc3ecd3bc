"""Pictures a second of each renderer of the tabletop, taking turns: a line for each size.

    python -m training.bench.renderers

A second of this process's own time, so that other work on the machine counts for less.
`LP_NUM_THREADS=0` keeps OSMesa's drawing in one thread.
"""

from __future__ import annotations

import time
from typing import get_args

import numpy as np

from training.tabletop.render import RendererName, renderer_named
from training.tabletop.world import Episode

SIZES_HW = ((96, 96), (109, 109), (240, 320))
SEED, PICTURES, ROUNDS = 4_000_000, 40, 3


def main() -> None:
    episode = Episode.generate(SEED)
    times_s = np.linspace(0.0, episode.duration_s, PICTURES)
    states = [episode.state(float(t)) for t in times_s]
    for size_hw in SIZES_HW:
        spent_s = dict.fromkeys(get_args(RendererName), 0.0)
        for name in spent_s:
            renderer_named(name).render(states[0], size_hw, episode.camera, episode.look)
        for name in list(spent_s) * ROUNDS:
            renderer = renderer_named(name)
            start_s = time.process_time()
            for state in states:
                renderer.render(state, size_hw, episode.camera, episode.look)
            spent_s[name] += time.process_time() - start_s
        rates = (f"{name} {ROUNDS * PICTURES / s:6.0f}/s" for name, s in spent_s.items())
        print(f"{size_hw[1]} x {size_hw[0]}: {', '.join(rates)}")


if __name__ == "__main__":
    main()
