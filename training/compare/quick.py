"""The comparison at toy size: an untrained tiny model, a few streams, two points of a curve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from training.compare.settings import BRIEF, LEARNERS, VARIANTS, Comparison, ItemsConfig
from training.compare.x_encoders import Way, XEncoders, by_labels, by_texts
from training.runs import DataConfig, tabletop_tiny
from training.train import Chain
from vljepa_ros.model import checkpoint


def quick_comparison(folder: Path) -> Comparison:
    """Everything that the real one does, in about a minute on two cores.

    Its model is written below `folder`, and its streams are cached there.
    """
    recipe = tabletop_tiny()
    chain = Chain(recipe, folder / "chain")
    model = folder / "model"
    checkpoint.save(chain.model, chain.tokenizer, model, {"recipe": recipe.name})
    return Comparison(
        model=str(model),
        y_encoder=replace(recipe.y_encoder.fit, steps=2),
        learners=(*LEARNERS, *VARIANTS, *BRIEF),
        seeds=(1, 2),
        lrs=(1e-3,),
        rates={},
        brief_steps={"token_brief": 3, "jepa_brief": 2},
        data=DataConfig(cache=str(folder / "cache"), episodes=4, render_workers=1),
        fit=replace(recipe.sft.fit, steps=4, batch_size=16),
        milestones=2,
        items=ItemsConfig(episodes=3, most=12, pools=8),
        cost_rounds=4,
    )


def quick_x_encoders(toy: Comparison) -> XEncoders:
    """Of the painter's pictures alone: no other renderer is always there."""
    labels, texts = by_labels(), by_texts(steps=2)
    few = replace(toy.fit, steps=2, batch_size=4)
    labels, texts = replace(labels, fit=few), replace(texts, fit=few)
    ways = {
        "labels": Way(labels=labels),
        "texts": Way(texts=texts),
        "labels_then_texts": Way(labels=labels, texts=texts),
        "taken": Way(start=toy.model),
    }
    comparison = replace(toy, y_encoder=None)
    return XEncoders(ways, ("painter",), toy.data, seed=7, comparison=comparison)
