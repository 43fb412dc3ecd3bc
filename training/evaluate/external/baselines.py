"""CLIP, SigLIP, SigLIP 2 and Perception Encoder from folders that transformers wrote.

Image models see each frame alone; a clip is the mean of its frames' embeddings, as in the paper's
comparison. None of them hears a query. Nothing is downloaded, and no code of a folder is run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from training.data.decode import Frames
from training.data.errors import DataError
from vljepa_ros.model.device import resolve_device, resolve_dtype
from vljepa_ros.model.engine import Embeddings

IMAGE_MODELS = ("clip", "siglip", "siglip2")
PERCEPTION_ENCODER = "pe_video"
FRAMES = 8
"""As many as the paper gives to image models."""
TEXTS_A_BATCH = 64

Prepare = Callable[[list[Frames]], dict[str, Tensor]]
"""Clips or frames (T, H, W, 3) to what the model takes."""


class ImageTextEmbedder:
    """A model of images and texts; a clip is the mean over its frames."""

    inverse_query = ""

    def __init__(
        self, model: nn.Module, tokenizer: Any, prepare: Prepare, name: str, frames: int = FRAMES
    ) -> None:
        self.name, self.frames = name, frames
        self._model, self._tokenizer, self._prepare = model.eval(), tokenizer, prepare
        self._weight = next(model.parameters())

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        parts = [
            self._texts(list(texts[start : start + TEXTS_A_BATCH]))
            for start in range(0, len(texts), TEXTS_A_BATCH)
        ]
        return _to_numpy(torch.cat(parts))

    @torch.inference_mode()
    def embed_clips(self, clips: Sequence[Frames], queries: Sequence[str]) -> Embeddings:
        return _to_numpy(torch.stack([self._clip(clip_THWC) for clip_THWC in clips]))

    def _clip(self, clip_THWC: Frames) -> Tensor:
        inputs = self._moved(self._prepare(list(clip_THWC)))
        frames_TE = self._model.get_image_features(**inputs).pooler_output  # type: ignore[operator]
        mean_E: Tensor = normalize(frames_TE.float(), dim=-1).mean(dim=0)
        return mean_E

    def _texts(self, texts: list[str]) -> Tensor:
        features: Tensor = self._model.get_text_features(**self._ids(texts)).pooler_output  # type: ignore[operator]
        return features

    def _ids(self, texts: list[str]) -> dict[str, Tensor]:
        limit = int(self._model.config.text_config.max_position_embeddings)  # type: ignore[union-attr, arg-type]
        ids = self._tokenizer(
            texts,
            padding="max_length",
            padding_side="right",
            truncation=True,
            max_length=limit,
            return_tensors="pt",
        )
        # No mask: SigLIP was trained to see its padding, and CLIP, being causal, cannot see it.
        return self._moved({"input_ids": ids["input_ids"]})

    def _moved(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        device, dtype = self._weight.device, self._weight.dtype
        return {
            name: value.to(device, dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
        }


class PerceptionEncoderEmbedder(ImageTextEmbedder):
    """transformers' Perception Encoder for video: sees the frames of a clip together."""

    def _clip(self, clip_THWC: Frames) -> Tensor:
        inputs = self._moved(self._prepare([clip_THWC]))
        encoded = self._model.video_encoder(**inputs).pooler_output  # type: ignore[operator]
        embedding_1E: Tensor = self._model.video_head(encoded)  # type: ignore[operator]
        return embedding_1E[0]

    def _texts(self, texts: list[str]) -> Tensor:
        encoded = self._model.text_model(**self._ids(texts), output_hidden_states=True)  # type: ignore[operator]
        embeddings: Tensor = self._model.text_video_head(encoded.hidden_states[-1][:, 0])  # type: ignore[operator]
        return embeddings

    def _ids(self, texts: list[str]) -> dict[str, Tensor]:
        ids = self._tokenizer(
            texts, padding=True, padding_side="right", truncation=True, return_tensors="pt"
        )
        return self._moved({name: ids[name] for name in ("input_ids", "attention_mask")})


def load_baseline(folder: Path, kind: str, device: str, dtype: str) -> ImageTextEmbedder:
    """The model of a folder that transformers wrote, of a kind (`model_type`) that is known.

    Raises:
        DataError: another kind, or the folder lacks a part.
        EngineError: the device or number type cannot be used.
    """
    if kind not in (*IMAGE_MODELS, PERCEPTION_ENCODER):
        raise DataError(
            f"{folder} holds a model of type {kind!r}; known are "
            f"{', '.join((*IMAGE_MODELS, PERCEPTION_ENCODER))} and checkpoints of VL-JEPA"
        )
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, AutoVideoProcessor

    chosen = resolve_device(device)
    local = {"local_files_only": True}
    try:
        model = AutoModel.from_pretrained(folder, dtype=resolve_dtype(dtype, chosen), **local)
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        is_video = kind == PERCEPTION_ENCODER
        maker = AutoVideoProcessor if is_video else AutoImageProcessor
        processor = maker.from_pretrained(folder, **local)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(
            f"{folder} cannot be loaded ({error}); it must hold weights, tokenizer and processor "
            "as save_pretrained writes them, and its libraries must be installed"
        ) from error

    def prepare(pictures: list[Frames]) -> dict[str, Tensor]:
        return dict(processor(pictures, return_tensors="pt"))

    wrapped = PerceptionEncoderEmbedder if is_video else ImageTextEmbedder
    return wrapped(model.to(chosen), tokenizer, prepare, f"{kind}:{folder.name}")


def _to_numpy(embeddings_BE: Tensor) -> Embeddings:
    array: Embeddings = normalize(embeddings_BE.float(), dim=-1).cpu().numpy()
    return np.ascontiguousarray(array)
