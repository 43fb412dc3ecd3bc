"""Text targets that have never seen an image: a Y-encoder that learnt from texts alone.

That of a finished model has learnt with its predictor, so it hands on what images taught it to
whoever learns to hit its embeddings; a model that writes words would not get that.
"""

from __future__ import annotations

from pathlib import Path

import torch

from training.compare.retrained import retrained
from training.fit import FitConfig
from training.runs import Recipe, YEncoderRun
from vljepa_ros.model import checkpoint
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa


def with_text_targets(folder: str, fit: FitConfig, out: Path) -> Path:
    """The checkpoint `folder` with a new Y-encoder, that the run `y_encoder` made from nothing.

    Args:
        out: folder of the new checkpoint; taken as it is once it is whole.

    Raises:
        CheckpointError: `folder` cannot be used.
    """

    def begin() -> tuple[VLJepa, Tokenizer]:
        model, tokenizer = checkpoint.load(folder)
        torch.manual_seed(fit.seed)
        model.y_encoder = VLJepa(model.config).y_encoder
        return model, tokenizer

    recipe = Recipe("text_targets", runs=("y_encoder",), y_encoder=YEncoderRun(fit))
    return retrained(out, begin, recipe)
