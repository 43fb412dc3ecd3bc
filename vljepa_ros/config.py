"""Every setting, its default written once, as frozen dataclasses.

The same classes declare the ROS parameters (`PerceptionConfig`) and travel in a checkpoint's
`config.json` (`ModelConfig`). Unknown keys are errors: see `from_dict`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

C = TypeVar("C")


# --- the model: what a checkpoint's config.json holds -----------------------------------------


@dataclass(frozen=True)
class XEncoderConfig:
    """V-JEPA 2 vision transformer: pixels to visual tokens."""

    crop_px: int = 96
    resize_px: int = 0
    """Shortest edge an image is scaled to before the centre is cut out; 0 = what V-JEPA 2's own
    processor does, crop_px * 256 / 224."""
    patch_px: int = 16
    tubelet_frames: int = 2
    frames_per_pass: int = 2
    """Frames that attend to each other. The paper: all of the clip. One tubelet: tokens of a
    stream can be kept and reused (docs/decisions)."""
    width: int = 256
    layers: int = 5
    heads: int = 4
    mlp_ratio: float = 4.0


@dataclass(frozen=True)
class PredictorConfig:
    """Llama layers without causal mask: visual tokens and a query to an embedding."""

    width: int = 256
    layers: int = 5
    heads: int = 4
    kv_heads: int = 4
    mlp_width: int = 704
    vocab_size: int = 1024
    max_query_tokens: int = 48
    rope_theta: float = 10_000.0
    rope_factor: float = 1.0
    """Llama 3's stretching of the slow rotary frequencies; 1 = none (paper: Llama 3.2's 32)."""
    merge_frames: bool = True
    """Join the tokens of one place over time before the input projection (paper: off)."""
    learned_positions: bool = True
    """Add a learned vector for each place and time to the projected visual tokens (paper: off)."""
    next_tokens: bool = False
    """Also predict the visual tokens of the scene after an action (docs/decisions/0051)."""


@dataclass(frozen=True)
class YEncoderConfig:
    """Bidirectional Gemma text encoder with a linear head: text to an embedding."""

    width: int = 192
    layers: int = 3
    heads: int = 4
    kv_heads: int = 4
    head_width: int = 48
    mlp_width: int = 512
    vocab_size: int = 1024
    max_tokens: int = 96
    local_window: int = 0
    """Five of six layers attend within this many tokens (EmbeddingGemma: 512); 0 = to all."""
    dense_widths: tuple[int, ...] = ()
    """EmbeddingGemma's own dense layers between pooling and head; empty at small scale."""


@dataclass(frozen=True)
class YDecoderConfig:
    """Small causal Llama: an embedding, as prefix tokens, to text."""

    width: int = 192
    layers: int = 3
    heads: int = 4
    kv_heads: int = 4
    mlp_width: int = 512
    vocab_size: int = 1024
    prefix_tokens: int = 4
    max_new_tokens: int = 64


@dataclass(frozen=True)
class ModelConfig:
    """One VL-JEPA: four parts and the clip they see."""

    name: str = "tabletop"
    clip_frames: int = 8
    clip_rate_hz: float = 4.0
    embedding_width: int = 256
    scene_query: str = "Describe the scene."
    """The fixed query of everything that must not depend on set_query."""
    caption_query: str = "What is happening?"
    inverse_query: str = "Which action led from the first picture to the last?"
    """Asked of two states joined to one clip, as in the paper's world prediction (section 4)."""
    action_types: tuple[str, ...] = ("text",)
    x_encoder: XEncoderConfig = field(default_factory=XEncoderConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    y_encoder: YEncoderConfig = field(default_factory=YEncoderConfig)
    y_decoder: YDecoderConfig | None = field(default_factory=YDecoderConfig)


# --- the robot: what the nodes' parameters say -------------------------------------------------


def setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """A dataclass field that knows its description, range and whether it may change at run time."""
    metadata = {
        "description": description,
        "low": low,
        "high": high,
        "choices": choices,
        "live": live,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class SelectiveConfig:
    """Selective decoding: when the meaning has moved far enough to speak."""

    threshold: float = setting(
        0.6,
        "Change score above which a new state opens: the share of its probability that the last "
        "caption has lost [0..1]",
        low=0.0,
        high=1.0,
        live=True,
    )
    distance_threshold: float = setting(
        0.4,
        "The same where words do not decide and the score is 1 - cosine to the embedding of the "
        "last event [0..1]",
        low=0.0,
        high=1.0,
        live=True,
    )
    trust: float = setting(
        0.1,
        "Words decide while the captions of the last 10 s had at least this probability when they "
        "were decoded; below it, as on scenes the model does not know, the distance does [0..1]",
        low=0.0,
        high=1.0,
        live=True,
    )
    hysteresis: float = setting(
        0.8,
        "Share of the threshold under which a pending change is dropped",
        low=0.0,
        high=1.0,
        live=True,
    )
    settle: float = setting(
        0.0,
        "Embedding's distance from the step before, as a share of that from the last event, that "
        "counts as settled and is not waited for; 0 = none",
        low=0.0,
        high=10.0,
        live=True,
    )
    patience_s: float = setting(
        0.15,
        "A pending change is published so long after the last step at which the caption held [s]",
        low=0.0,
        high=3600.0,
        live=True,
    )
    clarity: float = setting(
        0.45,
        "A pending change waits while the words found for it would have less probability than this "
        "[0..1]; 0 = no waiting",
        low=0.0,
        high=1.0,
        live=True,
    )
    unclear_s: float = setting(
        1.0,
        "It waits so long at most after the last step at which the caption held [s]",
        low=0.0,
        high=3600.0,
        live=True,
    )
    noise_factor: float = setting(
        1.5,
        "Least distance from the last event that can be a change, as a multiple of the stream's "
        "own noise; 0 = any",
        low=0.0,
        high=100.0,
        live=True,
    )
    min_interval_s: float = setting(
        0.2, "Least time between two change events [s]", low=0.0, high=3600.0, live=True
    )
    max_interval_s: float = setting(
        60.0,
        "A heartbeat event follows after this silence [s]; 0 = never",
        low=0.0,
        high=86400.0,
        live=True,
    )


@dataclass(frozen=True)
class MemoryConfig:
    """What the robot remembers of what it saw."""

    path: str = setting(
        "", "Database file that outlives the node; empty = in RAM only, gone with the process"
    )
    state_interval_s: float = setting(
        10.0,
        "Between events a state is remembered after so long; 0 = events only [s]",
        low=0.0,
        high=86_400.0,
        live=True,
    )
    max_age_s: float = setting(
        2_592_000.0,
        "What was written so long ago is forgotten [s]",
        low=1.0,
        high=1e10,
        live=True,
    )
    max_mb: float = setting(
        512.0,
        "The oldest is forgotten where the entries take more, on disk; in RAM about half of it "
        "[MB]",
        low=0.1,
        high=1e6,
        live=True,
    )
    pose_frame: str = setting(
        "",
        "Fixed frame of TF, such as map, in which the camera's pose is kept with each entry; empty "
        "= no poses",
    )
    pose_of: str = setting(
        "",
        "Frame whose pose that is, such as base_link; empty = the camera's, as its images name it",
    )


@dataclass(frozen=True)
class PerceptionConfig:
    """Parameters of the node `perception`."""

    model_path: str = setting("", "Checkpoint folder; empty = the default model of this package")
    model_sha256: str = setting(
        "", "Expected digest of model.safetensors; empty = the one in config.json"
    )
    device: str = setting("auto", "auto, cpu, cuda or cuda:N")
    dtype: str = setting(
        "auto",
        "Number type of the model; auto = bfloat16 where the device multiplies it in hardware, "
        "else float32 on a CPU and float16 on a GPU",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    threads: int = setting(0, "CPU threads of the model; 0 = torch's choice", low=0, high=256)
    camera: str = setting("camera", "Name of the camera in states and events")
    cameras: tuple[str, ...] = setting(
        (),
        "Names of several cameras, each listened to on <name>/image and published on topics of its "
        "own; empty = one, on image, named by camera",
    )
    image_transport: str = setting(
        "raw", "Topic to listen to: image or image/compressed", choices=("raw", "compressed")
    )
    reliability: str = setting(
        "auto",
        "QoS of the image subscription; auto follows the publishers found",
        choices=("auto", "reliable", "best_effort"),
    )
    query: str = setting("", "Query at start; empty = the model's caption query")
    labels: tuple[str, ...] = setting((), "Labels scored in every state")
    rate_hz: float = setting(
        0.0,
        "Most steps per second; 0 = every frame the model keeps up with [Hz]",
        low=0.0,
        high=1000.0,
        live=True,
    )
    history_states: int = setting(
        64,
        "States of each camera that can still be asked about; each keeps its newest clip's tokens",
        low=1,
        high=100_000,
        live=True,
    )
    autostart: bool = setting(True, "Configure and activate without a lifecycle manager")
    stale_after_s: float = setting(
        2.0,
        "Silence of the camera that diagnostics call stale [s]",
        low=0.1,
        high=3600.0,
        live=True,
    )
    selective: SelectiveConfig = field(default_factory=SelectiveConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)


@dataclass(frozen=True)
class WorldStateConfig:
    """Parameters of the node `world_state`."""

    deadline_s: float = setting(
        10.0,
        "Time for an answer where the request says none, in real time [s]",
        low=0.001,
        high=86_400.0,
        live=True,
    )
    rollout_deadline_s: float = setting(
        60.0,
        "The same for rollout_transitions [s]",
        low=0.001,
        high=86_400.0,
        live=True,
    )
    max_rollouts: int = setting(
        16, "Rollouts that run at once; more are answered BUSY", low=1, high=128, live=True
    )


@dataclass(frozen=True)
class VideoCameraConfig:
    """Parameters of the node `video_camera`."""

    source: str = setting("", "Video file, or a camera device: its number or /dev/videoN")
    rate_hz: float = setting(
        0.0, "Images per second; 0 = as the source has them [Hz]", low=0.0, high=1000.0
    )
    loop: bool = setting(False, "Start a video file again at its end")
    frame_id: str = setting("camera", "frame_id of every image")
    encoding: str = setting("rgb8", "Encoding of raw images", choices=("rgb8", "bgr8", "mono8"))
    width: int = setting(
        0, "Width of the images, the height follows; 0 = as the source [px]", low=0, high=16384
    )
    transport: str = setting(
        "raw",
        "What is published: image, image/compressed, or both",
        choices=("raw", "compressed", "both"),
    )
    jpeg_quality: int = setting(90, "Quality of compressed images [%]", low=1, high=100)
    reliability: str = setting(
        "reliable",
        "QoS of the images; best_effort loses images above 512 kB with default DDS settings",
        choices=("reliable", "best_effort"),
    )
    depth: int = setting(5, "Images kept for a slow subscriber", low=1, high=1000)
    wait_for_subscribers: int = setting(
        0, "Subscribers that must be there before the first image", low=0, high=1000
    )


# --- reading -----------------------------------------------------------------------------------


class ConfigError(ValueError):
    """A setting that cannot be used; the message names it and says the mend."""


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dict of a config, ready for JSON or YAML."""
    return dataclasses.asdict(config)


def from_dict(cls: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """Build `cls` from a nested mapping.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type; the message names its place.
    """
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"unknown setting {where}{unknown[0]!s}; known: {', '.join(sorted(known))}"
        )
    return cls(**{k: _convert(hints[k], v, f"{where}{k}") for k, v in values.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    options = typing.get_args(hint)
    if type(None) in options:
        if value is None:
            return None
        hint = next(o for o in options if o is not type(None))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping, not {value!r}")
        return from_dict(hint, value, f"{where}.")
    if typing.get_origin(hint) is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise ConfigError(f"{where} must be a list, not {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if typing.get_origin(hint) is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping, not {value!r}")
        item = typing.get_args(hint)[1]
        return {str(k): _convert(item, v, f"{where}.{k}") for k, v in value.items()}
    return _convert_scalar(hint, value, where)


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if typing.get_origin(hint) is typing.Literal:
        options = typing.get_args(hint)
        if value not in options:
            raise ConfigError(
                f"{where} must be one of {', '.join(map(str, options))}, not {value!r}"
            )
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where} must be {hint.__name__}, not {value!r}")
    return value
