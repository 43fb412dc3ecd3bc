"""From measured rounds to the bench's ratios. Pure arithmetic.

Every stretch of the node lies between two of the bare loop, seconds apart, so a machine that slows
down slows both. A ratio is taken in each round, and the median over the rounds is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from vljepa_ros.config import ModelConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.ros.bench.bare import BareWindow
from vljepa_ros.ros.bench.probe import Stretch
from vljepa_ros.stream.clip_buffer import ClipBuffer
from vljepa_ros.stream.token_cache import TokenCache
from vljepa_ros.types import Frame, ImageHWC

GOALS = {
    "throughput_ratio": (">=", 0.90),
    "latency_ratio": ("<=", 1.3),
    "overload_age_ratio": ("<=", 2.0),
    "memory_ratio": ("<=", 1.05),
    "query8_latency_ratio": ("<=", 2.0),
    "load_rate_ratio": (">=", 0.90),
    "load_ok_share": (">=", 0.95),
    "load_lost": ("<=", 0.0),
}


@dataclass(frozen=True)
class Beside:
    """A stretch of camera images, and the bare loop just before and after it."""

    stretch: Stretch
    bare: BareWindow


@dataclass(frozen=True)
class Round:
    """One turn of all measurements."""

    busy: Beside
    """The camera is somewhat faster than the model."""
    overload: Beside
    """The camera is three times faster."""
    calm: Beside
    """The camera is slow enough that nothing waits."""

    @property
    def throughput_ratio(self) -> float:
        return states_per_s(self.busy.stretch) / self.busy.bare.forwards_per_s

    @property
    def latency_ratio(self) -> float:
        return latency_ms(self.calm.stretch) / self.calm.bare.forward_ms

    @property
    def overload_age_ratio(self) -> float:
        return latency_ms(self.overload.stretch) / self.overload.bare.forward_ms


@dataclass(frozen=True)
class Memory:
    """Resident memory of the node [MB] at two times after the first image [s]."""

    early_s: float
    early_mb: float
    late_s: float
    late_mb: float

    @property
    def ratio(self) -> float:
        return self.late_mb / self.early_mb


class TooFewError(RuntimeError):
    """A stretch in which the node said too little to measure anything."""


def states_per_s(stretch: Stretch) -> float:
    """Rate of the states within a stretch.

    Raises:
        TooFewError: fewer than three.
    """
    published_ns = enough(stretch, [a.published_ns for a in stretch.arrivals])
    return (len(published_ns) - 1) * 1e9 / (max(published_ns) - min(published_ns))


def latency_ms(stretch: Stretch) -> float:
    """Median time from the camera's stamp to publishing: the age of what is published.

    Raises:
        TooFewError: fewer than three states.
    """
    ages = enough(stretch, [a.published_ns - a.stamp_ns for a in stretch.arrivals])
    return float(np.median(ages)) / 1e6


def received_ms(stretch: Stretch) -> float:
    """Median time from the camera's stamp to the arrival at another process."""
    ages = enough(stretch, [a.received_ns - a.stamp_ns for a in stretch.arrivals])
    return float(np.median(ages)) / 1e6


def tubelets_per_state(stretch: Stretch, config: ModelConfig) -> float:
    """How many tubelets the node had to encode for a state, counted by what it keeps of a stream.

    The same token cache is run over the stamps of the states: the bare loop must do as much.
    """
    engine = _CountingEngine(config)
    cache = TokenCache(cast(Engine, engine))
    buffer = ClipBuffer(
        config.clip_frames, config.clip_rate_hz, pass_frames=config.x_encoder.frames_per_pass
    )
    nothing = np.zeros((1, 1, 3), np.uint8)

    def see(stamps_ns: Iterable[int]) -> None:
        for stamp_ns in stamps_ns:
            buffer.add(Frame(stamp_ns, nothing))
            clip = buffer.clip()
            if clip is not None:
                cache.tokens(clip)

    see(stretch.warm_up_stamps_ns)
    before = cache.encoded
    see(arrival.stamp_ns for arrival in stretch.arrivals)
    return (cache.encoded - before) / max(len(stretch.arrivals), 1)


class _CountingEngine:
    """Stands in for the engine where only the bookkeeping matters."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.tubelets_are_independent = (
            config.x_encoder.frames_per_pass == config.x_encoder.tubelet_frames
        )

    def encode_tubelets(self, prepared_BTHWC: ImageHWC) -> ImageHWC:
        return prepared_BTHWC

    encode_clips = encode_tubelets

    def split_clips(self, tokens_BTND: ImageHWC) -> list[ImageHWC]:
        return [tokens_BTND]

    def stack_tubelets(self, _tubelets: Sequence[object]) -> None:
        """Nobody looks."""


def enough(stretch: Stretch, values: list[int]) -> list[int]:
    """The values, one for each state.

    Raises:
        TooFewError: fewer than three.
    """
    if len(values) < 3:
        raise TooFewError(
            f"{len(values)} states came of {stretch.images} images in {stretch.seconds:.1f} s; "
            "too few to measure: give the windows more time, or see the node's log"
        )
    return values


def results(rounds: Sequence[Round], memory: Memory, config: ModelConfig) -> dict[str, Any]:
    """All figures by name: the ratios first, then what they were made of."""

    def median(of: Callable[[Round], float]) -> float:
        return float(np.median([of(r) for r in rounds]))

    figures: dict[str, Any] = {
        "throughput_ratio": median(lambda r: r.throughput_ratio),
        "latency_ratio": median(lambda r: r.latency_ratio),
        "overload_age_ratio": median(lambda r: r.overload_age_ratio),
        "memory_ratio": memory.ratio,
        "bare_forward_ms": median(lambda r: r.calm.bare.forward_ms),
        "bare_forwards_per_s": median(lambda r: r.busy.bare.forwards_per_s),
        "node_states_per_s": median(lambda r: states_per_s(r.busy.stretch)),
        "node_latency_ms": median(lambda r: latency_ms(r.calm.stretch)),
        "node_received_ms": median(lambda r: received_ms(r.calm.stretch)),
        "node_overload_age_ms": median(lambda r: latency_ms(r.overload.stretch)),
        "node_overload_states_per_s": median(lambda r: states_per_s(r.overload.stretch)),
        "node_tubelets_per_state": median(lambda r: tubelets_per_state(r.busy.stretch, config)),
        "busy_factor": median(lambda r: _factor(r.busy)),
        "overload_factor": median(lambda r: _factor(r.overload)),
        "calm_factor": median(lambda r: _factor(r.calm)),
        "overload_camera_hz": median(lambda r: r.overload.stretch.camera_hz),
        "calm_camera_hz": median(lambda r: r.calm.stretch.camera_hz),
        "memory_early_mb": memory.early_mb,
        "memory_early_s": memory.early_s,
        "memory_late_mb": memory.late_mb,
        "memory_late_s": memory.late_s,
    }
    rounded = {name: float(f"{value:.4g}") for name, value in figures.items()}
    return rounded | {"rounds": [_round_figures(r) for r in rounds]}


def _factor(beside: Beside) -> float:
    """How many times faster the camera is than the model."""
    return beside.stretch.camera_hz / beside.bare.forwards_per_s


def _round_figures(one: Round) -> dict[str, float]:
    return {
        name: float(f"{getattr(one, name):.4g}")
        for name in ("throughput_ratio", "latency_ratio", "overload_age_ratio")
    }


def reached(name: str, value: float) -> bool:
    """Whether a ratio is as good as the goal."""
    sign, goal = GOALS[name]
    return value >= goal if sign == ">=" else value <= goal
