"""The bare model loop: what the node could reach at best, in a process of its own.

One forward is the work of one step of the running node, no more: one new tubelet through the
X-encoder (the clip's other tubelets are kept, as the node keeps them; the whole clip where the
model's tubelets see each other), then the predictor with the caption query. Pixels are ready
tensors on the device, the query is tokenised, nothing is published; the embedding ends on the CPU.

What a query of actions is held against is less: one pass of the predictor over all of them as one
batch, on the tokens of a clip that are there already.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vljepa_ros.model import checkpoint
from vljepa_ros.model.device import resolve_device, resolve_dtype
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.ros.children import ChildError

LOAD_TIMEOUT_S = 600.0
MIN_FORWARDS = 3
"""However long they take: a median needs them."""

Forward: TypeAlias = Callable[[], Tensor]


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
        return self._window((), seconds)

    def measure_predictor(self, actions: Sequence[str], seconds: float) -> BareWindow:
        """For so long run the predictor alone, with these queries as one batch."""
        return self._window(tuple(actions), seconds)

    def _window(self, actions: tuple[str, ...], seconds: float) -> BareWindow:
        self._pipe.send((actions, seconds))
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
    model = _Model(model_path, device, dtype)
    forwards: dict[tuple[str, ...], Forward] = {(): model.step()}
    _timed(forwards[()], 0.0)
    pipe.send([])
    while True:
        try:
            actions, seconds = pipe.recv()
        except EOFError:
            return
        if actions not in forwards:
            forwards[actions] = model.prediction(actions)
            forwards[actions]()
        pipe.send(_timed(forwards[actions], seconds))


def _timed(forward: Forward, seconds: float) -> list[float]:
    """How long each forward took [s], of as many as there is time for."""
    times_s: list[float] = []
    before_s = time.perf_counter()
    end_s = before_s + seconds
    while before_s < end_s or len(times_s) < MIN_FORWARDS:
        forward()
        now_s = time.perf_counter()
        times_s.append(now_s - before_s)
        before_s = now_s
    return times_s


class _Model:
    """A model and ready pixels, and what can be timed of it."""

    def __init__(self, model_path: str, device: str, dtype: str) -> None:
        self._place = resolve_device(device)
        self._number = resolve_dtype(dtype, self._place)
        self._model, self._tokenizer = checkpoint.load(
            model_path, device=self._place, dtype=self._number
        )
        self._config = self._model.config

    def step(self) -> Forward:
        """The work of one step of the running node."""
        model, config = self._model, self._config.x_encoder
        one_tubelet = config.frames_per_pass == config.tubelet_frames
        pixels = self._pixels(config.tubelet_frames if one_tubelet else self._config.clip_frames)
        ids_BL, mask_BL = self._query_ids([self._config.caption_query])
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
    def prediction(self, actions: Sequence[str]) -> Forward:
        """One pass of the predictor for all these queries of one clip."""
        predictor = self._model.predictor
        tokens_BTND = self._model.x_encoder(self._pixels(self._config.clip_frames))
        tokens_BTND = tokens_BTND.expand(len(actions), -1, -1, -1)
        ids_BL, mask_BL = self._query_ids(actions)

        @torch.inference_mode()
        def forward() -> Tensor:
            embedding_BE: Tensor = predictor(tokens_BTND, ids_BL, mask_BL)
            return embedding_BE.float().cpu()

        return forward

    def _pixels(self, frames: int) -> Tensor:
        crop_px = self._config.x_encoder.crop_px
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randn(1, frames, 3, crop_px, crop_px, generator=generator)
        return pixels.to(self._place, self._number)

    def _query_ids(self, queries: Sequence[str]) -> tuple[Tensor, Tensor]:
        limit = self._config.predictor.max_query_tokens
        ids_BL, mask_BL = self._tokenizer.encode_batch(queries, limit, truncate=False)
        return ids_BL.to(self._place), mask_BL.to(self._place)


@torch.inference_mode()
def _kept_tubelets(model: VLJepa, pixels: Tensor) -> list[Tensor]:
    tubelets = model.config.clip_frames // model.config.x_encoder.tubelet_frames
    return [model.x_encoder(pixels)[0, 0] for _ in range(tubelets - 1)]
