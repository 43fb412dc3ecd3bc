"""Text targets that have never seen an image: a Y-encoder that learnt from texts alone.

That of a finished model has learnt with its predictor, so it hands on what images taught it to
whoever learns to hit its embeddings; a model that writes words would not get that.
"""

from __future__ import annotations

from pathlib import Path

import torch

from training.fit import FitConfig
from training.runs import DataConfig, Recipe, YEncoderRun
from training.train import Chain
from vljepa_ros import provenance
from vljepa_ros.model import checkpoint
from vljepa_ros.model.vljepa import VLJepa

RECIPE = "text_targets"


def with_text_targets(folder: str, fit: FitConfig, data: DataConfig, out: Path) -> Path:
    """The checkpoint `folder` with a new Y-encoder, that the run `y_encoder` made from nothing.

    Args:
        out: folder of the new checkpoint; taken as it is once it is whole.

    Raises:
        CheckpointError: `folder` cannot be used.
    """
    made, start = out / "model", out / "start"
    if (made / checkpoint.CONFIG).exists():  # written last
        return made
    model, tokenizer = checkpoint.load(folder)
    torch.manual_seed(fit.seed)
    model.y_encoder = VLJepa(model.config).y_encoder
    checkpoint.save(model, tokenizer, start, {"recipe": RECIPE})
    recipe = Recipe(
        RECIPE,
        str(start),
        runs=("y_encoder",),
        model=model.config,
        data=data,
        y_encoder=YEncoderRun(fit),
    )
    chain = Chain(recipe, out / "chain")
    chain.run()
    meta = {"recipe": RECIPE, "commit": provenance.commit()}
    checkpoint.save(chain.model, chain.tokenizer, made, meta)
    return made
