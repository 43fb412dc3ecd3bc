"""How quick and how large a full memory is; the last line is one JSON object.

    python -m training.evaluate.memory_speed --entries 1000000

A search among all entries against a plain float32 matrix product of the same size, side by side in
one run, on one thread; RAM against what the embeddings alone take as float16.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli

from vljepa_ros.config import MemoryConfig
from vljepa_ros.types import EmbeddingE, EventReason, SemanticEvent, SemanticState, Step
from vljepa_ros.world.memory import Memory

SEED, ROUNDS = 0, 15
SPACE = "bench"
ENTRIES_A_STATE = 4


def measure(
    entries: int = 1_000_000, width: int = 256, folder: str = ""
) -> dict[str, float | int | str]:
    """Ratios of search and RAM, and the time that noting takes."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=folder or None) as place:
        config = MemoryConfig(path=str(Path(place) / "memory.db"), max_mb=1e6)
        memory = Memory(config, SPACE, width)
        rng = np.random.default_rng(SEED)
        before_kb, began_s = _resident_kb(), time.perf_counter()
        for step in _steps(entries, width, rng):
            memory.note(step)
        noting_s = time.perf_counter() - began_s
        grown_kb = _resident_kb() - before_kb
        size_mb = memory.size_mb()
        plain_NE = rng.standard_normal((entries, width), dtype=np.float32)
        wanted_E = plain_NE[0] / np.linalg.norm(plain_NE[0])
        times: dict[str, list[float]] = {"search": [], "hour": [], "plain": []}
        for _ in range(ROUNDS):
            times["plain"].append(_timed(lambda: plain_NE @ wanted_E))
            times["search"].append(_timed(lambda: memory.find(wanted_E)))
            times["hour"].append(_timed(lambda: memory.find(wanted_E, end_ns=3600 * 10**9)))
        memory.close()
    median = {name: float(np.median(some)) for name, some in times.items()}
    return {
        "seed": SEED,
        "entries": entries,
        "width": width,
        "search_to_plain_product": median["search"] / median["plain"],
        "search_of_an_hour_to_plain_product": median["hour"] / median["plain"],
        "ram_to_float16_embeddings": grown_kb * 1024 / (2 * entries * width),
        "disk_to_float16_embeddings": size_mb * 1e6 / (2 * entries * width),
        "noting_to_plain_product": noting_s / entries / median["plain"],
        "search_ms": 1e3 * median["search"],
        "plain_product_ms": 1e3 * median["plain"],
        "noting_ms": 1e3 * noting_s / entries,
    }


def _steps(entries: int, width: int, rng: np.random.Generator) -> Iterator[Step]:
    """One event a second, some for each state."""
    for n in range(entries):
        embedding_E: EmbeddingE = rng.standard_normal(width, dtype=np.float32)
        embedding_E /= np.linalg.norm(embedding_E)
        state_id, stamp_ns = 1 + n // ENTRIES_A_STATE, (1 + n) * 10**9
        state = SemanticState(
            stamp_ns, "", "camera", 0, "What is happening?", embedding_E, (), state_id, 0, True,
            0.0, 0.0,
        )  # fmt: skip
        event = SemanticEvent(
            stamp_ns, "", "camera", state_id, 0, EventReason.CHANGE, state.query,
            "the gripper puts the red cube down", 0.0, (), embedding_E, 0.0,
        )  # fmt: skip
        yield Step(state, event)


def _timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _resident_kb() -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x)
    return int(line.split()[1])


if __name__ == "__main__":
    print(json.dumps(auto_cli(measure, as_positional=False)))
