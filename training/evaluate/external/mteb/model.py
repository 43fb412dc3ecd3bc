"""A model as MTEB's encoder: texts by the Y-encoder, a video by the predicted answer to a query.

Videos are decoded here, not by MTEB: the same frames as in `protocols`, and no torchcodec needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Video
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction
from torch.utils.data import DataLoader

from training.data.decode import Frames, spread_frames
from training.evaluate.external.clips import read_clip
from training.evaluate.external.embedders import Embedder
from training.evaluate.external.items import VideoSegment
from training.evaluate.external.sets.build import ACTION_QUERY, CAPTION_QUERY
from vljepa_ros.model.engine import Embeddings

QUERIES = {
    "VideoZeroshotClassification": ACTION_QUERY,
    "VideoClassification": ACTION_QUERY,
    "VideoMultilabelClassification": ACTION_QUERY,
    "VideoClustering": ACTION_QUERY,
    "VideoPairClassification": ACTION_QUERY,
}
"""MTEB's type of task -> asked of every clip; other types get the caption query."""
_FRAGMENT = re.compile(r"#t=([\d.]+),([\d.]+)$")


class MtebEncoder(AbsEncoder):  # type: ignore[misc]  # mteb is optional: mypy runs without it
    """Any model of ours under MTEB.

    A video that comes with a text is asked that text, as in video question answering.
    """

    def __init__(self, embedder: Embedder, query: str = "") -> None:
        """`query`: asked of every clip without a text; "" = by the type of the task."""
        self._embedder, self._query = embedder, query
        about = {
            "name": f"local/{embedder.name}",
            "modalities": ["text", "video"],
            "similarity_fn_name": ScoringFunction.COSINE,
        }
        self.mteb_model_meta = ModelMeta.create_empty(about)

    def encode(self, inputs: DataLoader[Any], *, task_metadata: Any, **_: Any) -> Embeddings:
        """(n, E), unit norm, of all rows in their order.

        Raises:
            MediaError: a video cannot be decoded.
            TextError: a question is too long for the model.
        """
        query = self._query or QUERIES.get(task_metadata.type, CAPTION_QUERY)
        return np.concatenate([self._batch(batch, query) for batch in undecoded(inputs)])

    def _batch(self, batch: Mapping[str, Sequence[Any]], query: str) -> Embeddings:
        texts = batch.get("text")
        if "video" not in batch:
            return self._embedder.embed_texts(list(batch["text"]))
        clips = [_clip(video, self._embedder.frames) for video in batch["video"]]
        return self._embedder.embed_clips(clips, list(texts or [query] * len(clips)))


def undecoded(inputs: DataLoader[Any]) -> DataLoader[Any]:
    """The same rows, with each video as {"bytes", "path"} instead of torchcodec's decoder."""
    dataset: Any = inputs.dataset
    if "video" not in dataset.column_names:
        return inputs
    return DataLoader(
        dataset.cast_column("video", Video(decode=False)),
        batch_size=inputs.batch_size,
        collate_fn=inputs.collate_fn,
        num_workers=inputs.num_workers,
    )


def address(segment: VideoSegment) -> str:
    """A segment as one string, with its times as a media fragment: `video.mp4#t=1.5,3.0`."""
    if segment.start_s is None and segment.end_s is None:
        return str(segment.path)
    end_s = float("inf") if segment.end_s is None else segment.end_s
    return f"{segment.path}#t={segment.start_s or 0.0},{end_s}"


def _clip(video: Mapping[str, Any], frames: int) -> Frames:
    if video["bytes"] is not None:
        return np.stack(spread_frames(video["bytes"], frames, None, None))
    path = str(video["path"])
    times = _FRAGMENT.search(path)
    if times is None:
        return read_clip(VideoSegment(Path(path)), frames)
    start_s, end_s = map(float, times.groups())
    return read_clip(VideoSegment(Path(path[: times.start()]), start_s, end_s), frames)
