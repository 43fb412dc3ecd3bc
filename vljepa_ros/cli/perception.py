"""Options of the commands that perceive recordings, and the settings and model that they name."""

from __future__ import annotations

import argparse
import dataclasses
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.cli.errors import CommandError
from vljepa_ros.config import ConfigError, PerceptionConfig, WorldStateConfig
from vljepa_ros.settings import from_file

if TYPE_CHECKING:
    from vljepa_ros.model.engine import Engine

VIDEO_START_NS = 1_000_000_000
"""As of `recordings.video`, which takes long to load."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topic", default="", help="image topic, where there are several")
    parser.add_argument("--params", type=Path, help="parameter file of the nodes (YAML)")
    parser.add_argument("--model", help="checkpoint folder (default: the shipped one)")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--video-start",
        metavar="TIME",
        type=_time_ns,
        default=VIDEO_START_NS,
        help="stamp of a video's first picture: 2026-11-25T08:00, local time (default: 1 s)",
    )


def config_of(given: argparse.Namespace) -> PerceptionConfig:
    """The node's settings: those of the file, then what the options say.

    Raises:
        CommandError: the parameter file cannot be used.
    """
    config = PerceptionConfig()
    try:
        if given.params is not None:
            config = from_file(
                PerceptionConfig, given.params, "perception", beside=[WorldStateConfig]
            )
    except ConfigError as error:
        raise CommandError(str(error)) from error
    if given.model is not None:  # the digest in the file is that of the model in the file
        config = dataclasses.replace(config, model_path=given.model, model_sha256="")
    if given.device is not None:
        config = dataclasses.replace(config, device=given.device)
    return config


def engine_of(config: PerceptionConfig) -> Engine:
    """The model, once it is known that it takes the configured query and labels.

    Raises:
        CommandError: model, query or labels cannot be used, or recordings cannot be read here.
    """
    # Late: torch takes seconds to load, and a wrong option should be told at once.
    from vljepa_ros.model.checkpoint import CheckpointError
    from vljepa_ros.model.engine import Engine, EngineError
    from vljepa_ros.model.text import TextError
    from vljepa_ros.recordings.errors import RecordingError, require_rosbags
    from vljepa_ros.stream.perceiver import Perceiver

    try:
        require_rosbags()
        engine = Engine.load(
            config.model_path,
            device=config.device,
            dtype=config.dtype,
            threads=config.threads,
            expected_sha256=config.model_sha256,
        )
        Perceiver(engine, config)  # tells of a query or label that is no text
    except (RecordingError, CheckpointError, EngineError, TextError, OSError) as error:
        raise CommandError(str(error)) from error
    return engine


def _time_ns(text: str) -> int:
    try:
        when_ns = round(datetime.fromisoformat(text).timestamp() * 1e9)
    except (ValueError, OverflowError, OSError):
        when_ns = 0
    if when_ns <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it as 2026-11-25T08:00")
    return when_ns
