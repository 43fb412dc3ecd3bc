"""Models behind one interface: texts and clips in, embeddings of one space out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from training.data.decode import Frames
from training.data.errors import DataError
from training.evaluate.external.folder import read_json
from vljepa_ros.model.engine import Embeddings, Engine


class Embedder(Protocol):
    """A model that puts texts and clips into one space."""

    name: str
    frames: int
    """T: how many frames of a clip it wants."""
    inverse_query: str
    """Asked of two states; "" where the model hears no query."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """(n, E), unit norm; a text that is too long is cut at its end."""
        ...

    def embed_clips(self, clips: Sequence[Frames], queries: Sequence[str]) -> Embeddings:
        """(n, E), unit norm, of clips (T, H, W, 3) and one query each."""
        ...


class VLJepaEmbedder:
    """A VL-JEPA: a clip is the predicted answer to its query, a text what the Y-encoder says."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.name = engine.space_id
        self.frames = engine.config.clip_frames
        self.inverse_query = engine.config.inverse_query

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        return self.engine.encode_texts(texts, truncate=True)

    def embed_clips(self, clips: Sequence[Frames], queries: Sequence[str]) -> Embeddings:
        prepared_BTHWC = np.stack(
            [np.stack([self.engine.prepare(frame_HWC) for frame_HWC in clip]) for clip in clips]
        )
        return self.engine.predict(self.engine.encode_clips(prepared_BTHWC), queries)


def load(model: Path, device: str = "auto", dtype: str = "auto") -> Embedder:
    """The model of a folder: a checkpoint of ours, or one that transformers wrote.

    Raises:
        DataError: neither of both, or a kind of model that is not known.
        CheckpointError, EngineError: our checkpoint cannot be used.
    """
    config = model / "config.json"
    if not config.is_file():
        raise DataError(f"{model} has no config.json; give the folder of a model")
    kind = read_json(config).get("model_type")
    if kind is None:
        return VLJepaEmbedder(Engine.load(model, device=device, dtype=dtype))
    from training.evaluate.external.baselines import load_baseline

    return load_baseline(model, kind, device, dtype)
