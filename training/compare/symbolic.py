"""Learner `symbolic`: dense heads on the frozen tokens, and rules on the maps that they predict.

It has answers about scenes: their captions, and questions to them. What happens or would happen it
cannot say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.compare import question_rules, scene_rules
from training.compare.frozen import Frozen
from training.compare.learner import Scores, chunks
from training.compare.scene_rules import Scene
from training.evaluate.choices import Item
from training.tabletop import language
from training.tabletop.cache import GRID, MAPS, POSE_FIELDS
from training.x_encoder import DenseHeads, dense_loss
from vljepa_ros.model.engine import Tokens

DRAWER = POSE_FIELDS.index("drawer")


class SymbolicLearner:
    """Trains `DenseHeads` on the newest tubelet's tokens."""

    def __init__(self, frozen: Frozen, batches: Dataset[dict[str, Tensor]]) -> None:
        """`batches` are `LabelBatches`: it learns from labels, not from texts."""
        self._frozen, self._batches = frozen, batches
        self._side = round(frozen.model.predictor.places**0.5)
        self._heads = DenseHeads(frozen.config.x_encoder.width, (GRID // self._side) ** 2)

    def module(self) -> nn.Module:
        return self._heads

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [(self._heads, 1.0)]

    def batches(self) -> Dataset[dict[str, Tensor]]:
        return self._batches

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        maps, pose_BP = self._heads(batch["tokens_BND"].float())
        return dense_loss(maps, pose_BP, batch, self._side)

    def evaluate(self) -> dict[str, float]:
        return {}

    def speaks(self, query: str) -> bool:
        return query == self._frozen.config.scene_query

    def parameters(self) -> dict[str, int]:
        return {"heads": sum(p.numel() for p in self._heads.parameters())}

    def scores(self, clips: Sequence[Tokens], items: Sequence[Item]) -> Iterator[Scores]:
        """1 for the answer by rule; of scene captions, how well each fits."""
        for scene, item in zip(self.scenes(clips), items, strict=True):
            if item.query == self._frozen.config.scene_query:
                yield np.array([scene_rules.fit(scene, text) for text in item.candidates])
                continue
            said = question_rules.answer(scene, item.query)
            if said is None:
                yield np.full(len(item.candidates), np.nan)
            else:
                yield np.array([float(text == said) for text in item.candidates])

    def captions(self, clips: Sequence[Tokens], queries: Sequence[str]) -> list[str]:
        """The canonical caption of the scene in symbols."""
        return [language.canonical(scene.meaning()) for scene in self.scenes(clips)]

    @torch.inference_mode()
    def scenes(self, clips: Sequence[Tokens]) -> Iterator[Scene]:
        """What the rules make of each clip's newest tubelet."""
        self._heads.eval()
        for tokens_BTND, _ in chunks(clips, [""] * len(clips), self._frozen.device):
            maps, pose_BP = self._heads(tokens_BTND[:, -1])
            grids = {name: self._grid(maps[name].argmax(-1)).cpu().numpy() for name in MAPS}
            for row in range(len(tokens_BTND)):
                newest = {name: grid_BGG[row] for name, grid_BGG in grids.items()}
                yield scene_rules.read_scene(newest, float(pose_BP[row, DRAWER]))

    def _grid(self, cells_BNS: Tensor) -> Tensor:
        """Cells patch by patch as one picture (B, G, G): the way back of `to_patches`."""
        side, cells = self._side, GRID // self._side
        grid = cells_BNS.reshape(-1, side, side, cells, cells).transpose(2, 3)
        return grid.reshape(-1, GRID, GRID)
