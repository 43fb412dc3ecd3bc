"""A checkpoint of which one part is new, and was trained anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from training.runs import Recipe
from training.train import Chain
from vljepa_ros import provenance
from vljepa_ros.model import checkpoint
from vljepa_ros.model.text import Tokenizer
from vljepa_ros.model.vljepa import VLJepa

MODEL = "model"


def retrained(out: Path, begin: Callable[[], tuple[VLJepa, Tokenizer]], recipe: Recipe) -> Path:
    """The checkpoint `<out>/model`: what the runs of `recipe` make of what `begin` gives.

    Args:
        begin: called only where the checkpoint is not there yet, or not whole.
    """
    made, start = out / MODEL, out / "start"
    if (made / checkpoint.CONFIG).exists():  # written last
        return made
    model, tokenizer = begin()
    if recipe.runs:
        checkpoint.save(model, tokenizer, start, {"recipe": recipe.name})
        chain = Chain(replace(recipe, start=str(start), model=model.config), out / "chain")
        chain.run()
        model, tokenizer = chain.model, chain.tokenizer
    meta = {"recipe": recipe.name, "commit": provenance.commit()}
    checkpoint.save(model, tokenizer, made, meta)
    return made
