"""What energon's loader needs to go on, as JSON: its own way to keep it would be pickle."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from megatron.energon.flavors.webdataset.sample_loader import SliceState
from megatron.energon.rng import SystemRngState
from megatron.energon.savable_loader import (
    SavableDataLoaderState,
    SavableDatasetCheckpoint,
    SavableDatasetState,
)
from megatron.energon.state import FlexState

from training.data.errors import DataError

RECORDS = {
    kind.__name__: kind
    for kind in (
        SavableDataLoaderState,
        SavableDatasetCheckpoint,
        SavableDatasetState,
        SliceState,
        SystemRngState,
    )
}
"""Nothing else is made from a file."""
KIND, VALUE = "kind", "value"


def to_bytes(given: int, state: Any) -> bytes:
    """
    Args:
        given: parts that the loader has given.

    Raises:
        DataError: it holds what this energon's state did not hold when this was written.
    """
    return json.dumps([given, _plain(state)]).encode()


def from_bytes(data: bytes) -> tuple[int, Any]:
    """What was given to `to_bytes`.

    Raises:
        DataError: these are no bytes of `to_bytes`.
    """
    try:
        given, state = json.loads(data)
        return int(given), _state(state)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the loader's saved position cannot be read ({error}); start again with another --out"
        ) from error


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    name = "tensor" if isinstance(value, torch.Tensor) else type(value).__name__
    if name in CONTAINERS:
        return {KIND: name, VALUE: CONTAINERS[name][0](value)}
    if RECORDS.get(name) is not type(value):
        raise DataError(
            f"energon's state holds a {name}, which is not known how to keep; use the version in "
            "requirements/optional/cluster.txt"
        )
    fields = dataclasses.fields(value)
    return {KIND: name, VALUE: {f.name: _plain(getattr(value, f.name)) for f in fields}}


def _state(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_state(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    kind, value = plain[KIND], plain[VALUE]
    if kind in CONTAINERS:
        return CONTAINERS[kind][1](value)
    return RECORDS[kind](**{name: _state(item) for name, item in value.items()})


def _array(plain: tuple[str, list[Any]]) -> np.ndarray:
    return np.array(plain[1], np.dtype(plain[0]))


CONTAINERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tuple": (
        lambda value: [_plain(item) for item in value],
        lambda plain: tuple(_state(item) for item in plain),
    ),
    "FlexState": (
        lambda value: {name: _plain(item) for name, item in value.items()},
        lambda plain: FlexState({name: _state(item) for name, item in plain.items()}),
    ),
    "bytes": (lambda value: base64.b64encode(value).decode(), base64.b64decode),
    "ndarray": (lambda value: [str(value.dtype), value.tolist()], _array),
    "tensor": (
        lambda value: [str(value.numpy().dtype), value.tolist()],
        lambda plain: torch.from_numpy(_array(plain)),
    ),
}
"""Type → to JSON, from JSON."""
