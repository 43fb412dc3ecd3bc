"""Many recordings at once, under Ray Data: `replay` for each, in workers that keep their model.

All that is known of package `ray` is in this file. Recordings and outputs are paths, so every
machine of the cluster must see them under the same names, and have this package installed.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_ros.config import PerceptionConfig, from_dict, to_dict
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.engine import Engine, EngineError
from vljepa_ros.model.text import TextError
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.replay import Replayed, ReplayOptions, replay
from vljepa_ros.recordings.seer import Tally

VERSIONS = ">=2.60,<2.64"
"""From 2.64 on `map` no longer takes max_task_retries; without it a recording that kills its worker
would be tried for ever."""
SAID = (RecordingError, CheckpointError, EngineError, TextError)
"""Errors whose message says the mend."""


@dataclass(frozen=True)
class FleetOptions:
    """How the work is spread; a worker takes as many CPUs as the model has threads, at least 1."""

    workers: int = 0
    """Most at once; 0 = as many as the cluster has room for."""
    gpus: float | None = None
    """Share of a GPU that each takes; None = a whole one where the cluster has any."""


@dataclass(frozen=True)
class Outcome:
    """What became of one recording."""

    source: Path
    replayed: Replayed | None
    """None where it failed."""
    error: str
    """Why it failed: a sentence that says the mend; else empty."""
    took_s: float


def replay_many(
    pairs: Sequence[tuple[Path, Path]],
    config: PerceptionConfig,
    options: ReplayOptions | None = None,
    fleet: FleetOptions | None = None,
) -> Iterator[Outcome]:
    """Replay each source to its output; yields what became of each as soon as it is known.

    Uses the Ray that is running: the one this process has joined, the one that the environment
    variable RAY_ADDRESS names, or else one of its own on this machine. A recording that fails, or
    whose worker dies, stops no other; none is tried twice.

    Raises:
        RecordingError: package ray is missing, or its cluster cannot be joined.
    """
    ray = _require_ray()
    waiting = {source.absolute(): output.absolute() for source, output in pairs}
    with _joined(ray), _quiet(ray):
        rows = _mapped(ray, waiting, fleet or FleetOptions(), config, options or ReplayOptions())
        for row in rows.iter_rows():
            outcome = _outcome(row)
            del waiting[outcome.source]
            yield outcome
    for source in waiting:
        yield Outcome(source, None, _lost(source), 0.0)


class Replayer:
    """One worker. Its model is loaded for the first recording and kept for the others."""

    def __init__(self, config: dict[str, Any], options: dict[str, Any]) -> None:
        """
        Args:
            config, options: PerceptionConfig and ReplayOptions as dicts.
        """
        self._config = from_dict(PerceptionConfig, config)
        self._options = ReplayOptions(**options)
        self._engine: Engine | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Replay `source` to `output` of the row; what is returned is read by `_outcome`."""
        began_s = time.monotonic()
        source, output = Path(row["source"]), Path(row["output"])
        topic, tally, notes, error = "", Tally(), "", ""
        try:
            done = replay(source, output, self._loaded(), self._config, self._options)
            topic, tally, notes = done.topic, done.tally, "\n".join(done.notes)
        except SAID as failed:
            error = str(failed)
        except Exception as failed:  # noqa: BLE001 - told of this one; the others go on
            error = f"{source} could not be replayed: {failed!r}"
        counts = {"images": tally.images, "states": tally.states, "events": tally.events}
        took_s = time.monotonic() - began_s
        return {**row, **counts, "topic": topic, "notes": notes, "error": error, "took_s": took_s}

    def _loaded(self) -> Engine:
        if self._engine is None:
            config = self._config
            self._engine = Engine.load(
                config.model_path,
                device=config.device,
                dtype=config.dtype,
                threads=config.threads,
                expected_sha256=config.model_sha256,
            )
        return self._engine


def _outcome(row: dict[str, Any]) -> Outcome:
    source = Path(row["source"])
    if row["error"]:
        return Outcome(source, None, row["error"], row["took_s"])
    tally = Tally(row["images"], row["states"], row["events"])
    notes = tuple(row["notes"].splitlines())
    done = Replayed(source, Path(row["output"]), row["topic"], tally, notes)
    return Outcome(source, done, "", row["took_s"])


def _lost(source: Path) -> str:
    return (
        f"{source} was not replayed: its worker died, as where memory runs out; give each worker "
        "more room (fewer of them at once) and run again with --resume"
    )


# --- Ray ---------------------------------------------------------------------------------------


def _require_ray() -> Any:
    """Package `ray`, with all that is used of it."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RecordingError(
            f"this needs the package ray ({error}); pip install 'ray[data]{VERSIONS}', or this "
            "package with its extra ray: pip install '.[ray]'"
        ) from error
    return ray


def _gpus(ray: Any, fleet: FleetOptions, config: PerceptionConfig) -> float:
    if fleet.gpus is not None:
        return fleet.gpus
    return float(config.device != "cpu" and ray.cluster_resources().get("GPU", 0.0) > 0.0)


def _mapped(
    ray: Any,
    pairs: Mapping[Path, Path],
    fleet: FleetOptions,
    config: PerceptionConfig,
    options: ReplayOptions,
) -> Any:
    """A Dataset of what became of them; nothing is done before it is read."""
    rows = [{"source": str(source), "output": str(output)} for source, output in pairs.items()]
    workers = ray.data.ActorPoolStrategy(
        min_size=1,
        max_size=min(fleet.workers or len(rows), len(rows)),
        max_tasks_in_flight_per_actor=1,  # a worker that dies costs one recording
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the last two: see VERSIONS
        return ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            Replayer,
            fn_constructor_args=(to_dict(config), dataclasses.asdict(options)),
            compute=workers,
            num_cpus=max(config.threads, 1),
            num_gpus=_gpus(ray, fleet, config),
            max_restarts=-1,
            max_task_retries=0,
        )


@contextmanager
def _joined(ray: Any) -> Iterator[None]:
    """Within a cluster; one that is joined or started here is left at the end."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # tells nobody how it is used
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of many kinds
        address = os.environ.get("RAY_ADDRESS")
        mend = f"is a Ray running at RAY_ADDRESS={address}?" if address else "see its logs"
        said = " ".join(str(error).split()).rstrip(".")
        raise RecordingError(f"Ray cannot be used: {said}; {mend}") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Without Ray Data's bars and logs, which would say each error again, with its traceback."""
    context = ray.data.DataContext.get_current()
    wanted = {
        "max_errored_blocks": -1,  # a worker that dies ends no other
        "enable_progress_bars": False,
        "print_on_execution_start": False,
    }
    before = {name: getattr(context, name) for name in wanted}
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    levels = [logger.level for logger in loggers]
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
