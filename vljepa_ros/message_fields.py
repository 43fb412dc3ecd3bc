"""The plain fields, numbers and texts, of the messages that perception publishes.

What is nested in them (headers, times, embeddings) each builder of messages makes of its own types:
the nodes (`ros/conversions.py`) and what is written without ROS (`recordings/messages.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vljepa_ros.config import ModelConfig
from vljepa_ros.fields import text_field
from vljepa_ros.types import LabelScore, SemanticEvent, SemanticState


def state_fields(state: SemanticState, dropped_frames: int) -> dict[str, Any]:
    """Of SemanticState."""
    return {
        "camera": text_field(state.camera),
        "query": text_field(state.query),
        "state_id": int(state.state_id),
        "changed": bool(state.changed),
        "change_score": float(state.change_score),
        "change_threshold": float(state.change_threshold),
        "dropped_frames": int(dropped_frames),
    }


def event_fields(event: SemanticEvent) -> dict[str, Any]:
    """Of SemanticEvent."""
    return {
        "camera": text_field(event.camera),
        "state_id": int(event.state_id),
        "previous_state_id": int(event.previous_state_id),
        "reason": int(event.reason),
        "query": text_field(event.query),
        "caption": text_field(event.caption),
        "caption_score": float(event.caption_score),
        "change_score": float(event.change_score),
    }


def label_fields(score: LabelScore) -> dict[str, Any]:
    """Of LabelScore."""
    return {
        "label": text_field(score.label),
        "similarity": float(score.similarity),
        "probability": float(score.probability),
    }


def info_fields(
    model: ModelConfig,
    *,
    space_id: str,
    sha256: str,
    action_types: Sequence[str],
    has_decoder: bool,
) -> dict[str, Any]:
    """Of EmbeddingInfo. `action_types`: those that the model takes; empty: it cannot imagine."""
    return {
        "space_id": space_id,
        "model_name": text_field(model.name),
        "model_sha256": sha256,
        "dim": int(model.embedding_width),
        "normalized": True,
        "metric": "cosine",
        "clip_frames": int(model.clip_frames),
        "clip_seconds": float((model.clip_frames - 1) / model.clip_rate_hz),
        "action_types": [text_field(name) for name in action_types],
        "has_decoder": bool(has_decoder),
    }
