"""Which device and number type a model runs with."""

from __future__ import annotations

import logging
from typing import Any

import torch

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class EngineError(RuntimeError):
    """The model cannot run as asked; the message says the mend."""


def resolve_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device that was seen to compute.

    `auto` is the first GPU that works, else the CPU (with a warning if a GPU is there and fails).

    Raises:
        EngineError: a name that is none of these, or a GPU asked for that cannot be used.
    """
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        fault = _cuda_fault(torch.device("cuda"))
        if fault is None:
            return torch.device("cuda")
        log.warning("using the CPU: %s", fault)
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"device {name!r} is unknown; use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise EngineError(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        fault = _cuda_fault(device)
        if fault is not None:
            raise EngineError(fault)
    return device


def _cuda_fault(device: torch.device) -> str | None:
    if torch.version.cuda is None and torch.version.hip is None:
        return (
            f"device {str(device)!r}: the installed torch ({torch.__version__}) is built for the "
            "CPU only; install a CUDA build of torch, or set device to cpu or auto"
        )
    if not torch.cuda.is_available():
        return (
            f"device {str(device)!r}: torch sees no GPU; check the driver (nvidia-smi), or set "
            "device to cpu or auto"
        )
    if device.index is not None and device.index >= torch.cuda.device_count():
        return (
            f"device {str(device)!r} does not exist; torch sees cuda:0 to "
            f"cuda:{torch.cuda.device_count() - 1}"
        )
    try:
        # A build without kernels for this GPU imports well and fails at the first product.
        ones = torch.ones(8, 8, device=device)
        torch.cuda.synchronize(device)
        float((ones @ ones).sum())
    except RuntimeError as error:
        return (
            f"device {str(device)!r} does not compute ({error}); install a torch built for this "
            f"GPU (this one: {', '.join(torch.cuda.get_arch_list())}), or set device to cpu"
        )
    return None


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 where the device multiplies it, else float32 on a CPU, float16 on a GPU.

    The reasons are in docs/decisions/0006.

    Raises:
        EngineError: an unknown name.
    """
    if name == "auto":
        if device.type == "cpu":
            return torch.bfloat16 if cpu_multiplies_bfloat16() else torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if name not in DTYPES:
        raise EngineError(f"dtype {name!r} is unknown; use auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; without them it is slower than float32.

    False where torch is too old to say.
    """
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
