"""The bare model loop: what the node could reach at best, in a process of its own.

One forward is the work of one step of the running node, no more: one new tubelet through the
X-encoder (the clip's other tubelets are kept, as the node keeps them; the whole clip where the
model's tubelets see each other), then the predictor with the caption query. Pixels are ready
tensors on the device, the query is tokenised, nothing is published; the embedding ends on the CPU.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vljepa_ros.model import checkpoint
from vljepa_ros.model.device import resolve_device, resolve_dtype
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.ros.children import ChildError

LOAD_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class BareWindow:
    """One measured stretch of the bare loop."""

    forwards_per_s: float
    forward_ms: float
    """Median of one forward."""

    def and_also(self, other: BareWindow) -> BareWindow:
        """The mean of both: what the loop would have done between them."""
        return BareWindow(
            (self.forwards_per_s + other.forwards_per_s) / 2,
            (self.forward_ms + other.forward_ms) / 2,
        )


class BareLoop:
    """The process; idle between two windows. A context manager."""

    def __init__(self, model_path: str, *, device: str, dtype: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, model_path, device, dtype, threads), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> BareLoop:
        self._answer(LOAD_TIMEOUT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.close()
        self._process.join(10.0)
        if self._process.is_alive():
            self._process.kill()

    def measure(self, seconds: float) -> BareWindow:
        """Run the loop for so long."""
        self._pipe.send(seconds)
        times_s = self._answer(seconds + 60.0)
        return BareWindow(len(times_s) / float(np.sum(times_s)), float(np.median(times_s)) * 1e3)

    def _answer(self, timeout_s: float) -> Any:
        """
        Raises:
            ChildError: the process ended or hangs.
        """
        if not self._pipe.poll(timeout_s):
            raise ChildError(f"the bare loop gave no answer within {timeout_s:.0f} s")
        try:
            return self._pipe.recv()
        except EOFError as error:
            raise ChildError("the bare loop ended; see its output above") from error


def _serve(pipe: Connection, model_path: str, device: str, dtype: str, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the tool's, which closes the pipe
    if threads:
        torch.set_num_threads(threads)
    forward = _forward(model_path, device, dtype)
    for _ in range(3):
        forward()
    pipe.send([])
    while True:
        try:
            seconds = pipe.recv()
        except EOFError:
            return
        times_s = []
        end_s = time.perf_counter() + seconds
        before_s = time.perf_counter()
        while before_s < end_s:
            forward()
            now_s = time.perf_counter()
            times_s.append(now_s - before_s)
            before_s = now_s
        pipe.send(times_s)


def _forward(model_path: str, device: str, dtype: str) -> Callable[[], Tensor]:
    place = resolve_device(device)
    number = resolve_dtype(dtype, place)
    model, tokenizer = checkpoint.load(model_path, device=place, dtype=number)
    config = model.config
    one_tubelet = config.x_encoder.frames_per_pass == config.x_encoder.tubelet_frames
    frames = config.x_encoder.tubelet_frames if one_tubelet else config.clip_frames
    crop_px = config.x_encoder.crop_px
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(1, frames, 3, crop_px, crop_px, generator=generator).to(place, number)
    ids_BL, mask_BL = tokenizer.encode_batch(
        [config.caption_query], config.predictor.max_query_tokens, truncate=False
    )
    ids_BL, mask_BL = ids_BL.to(place), mask_BL.to(place)
    kept = _kept_tubelets(model, pixels) if one_tubelet else []

    @torch.inference_mode()
    def forward() -> Tensor:
        tokens_BTND = model.x_encoder(pixels)
        if one_tubelet:
            tokens_BTND = torch.stack([*kept, tokens_BTND[0, 0]]).unsqueeze(0)
        embedding_BE: Tensor = model.predictor(tokens_BTND, ids_BL, mask_BL)
        return embedding_BE.float().cpu()

    return forward


@torch.inference_mode()
def _kept_tubelets(model: VLJepa, pixels: Tensor) -> list[Tensor]:
    tubelets = model.config.clip_frames // model.config.x_encoder.tubelet_frames
    return [model.x_encoder(pixels)[0, 0] for _ in range(tubelets - 1)]
