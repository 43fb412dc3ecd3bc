"""Counted operations of a step, and what the hardware could do at most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.flop_counter import FlopCounterMode

PEAK_FLOPS_PER_S = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "Orin": 85e12,
}
"""Dense bfloat16 by name of the device, from the vendors' data sheets; the first that fits."""


def peak_flops_per_s(device: str) -> float | None:
    """The device's peak; None where it is not known."""
    if torch.device(device).type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for known, peak in PEAK_FLOPS_PER_S.items() if known in name), None)


@contextmanager
def counted() -> Iterator[FlopCounterMode]:
    """Counts the operations within it; compiled layers run as they are written meanwhile."""
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        yield counter
