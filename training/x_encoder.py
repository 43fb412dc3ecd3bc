"""Run `x_encoder`: the X-encoder learns to see from dense labels that the simulator gives.

Each visual token must say, for every cell of its patch, which colour and shape lie there, whether
that stands or lies (on the table or on another thing), moves and is held; the tokens together say
where the gripper is and how far the drawer stands open (docs/decisions: why dense labels and not
masked prediction).

Shapes: B tubelets, N tokens, D token width, S cells of a patch, C classes, G cells of a side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from training.tabletop.cache import POSE_FIELDS, CachedEpisode, FrameCache, TubeletBatches
from vljepa_ros.model.preprocessing import normalise
from vljepa_ros.model.vljepa import VLJepa

BACKGROUND_WEIGHT = 0.2
MAP_CLASSES = {"colour": 9, "shape": 5, "stance": 5, "moving": 2, "held": 2}
MAP_WEIGHTS = {"colour": 1.0, "shape": 3.0, "stance": 3.0, "moving": 1.0, "held": 1.0}
"""Shapes come last: after a model's first 1,000 steps .999 of the colours were right, but .85 of
the shapes."""
POSE_WEIGHT = 5.0
HEADS_LR_SHARE = 5.0
"""The heads are new where the X-encoder is trained on: they must learn before it unlearns."""


class DenseHeads(nn.Module):
    """Linear read-outs of the tokens; thrown away after the run."""

    def __init__(self, width: int, cells_per_patch: int) -> None:
        super().__init__()
        self.maps = nn.ModuleDict(
            {n: nn.Linear(width, cells_per_patch * c) for n, c in MAP_CLASSES.items()}
        )
        self.where = nn.Linear(width, len(POSE_FIELDS))
        self.pose = nn.Linear(width, len(POSE_FIELDS))

    def forward(self, tokens_BND: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Logits (B, N, S, C) of each map, and the pose (B, P) as an attention-pooled read-out."""
        batch, tokens, _ = tokens_BND.shape
        maps = {
            name: head(tokens_BND).reshape(batch, tokens, -1, MAP_CLASSES[name])
            for name, head in self.maps.items()
        }
        weight_BNP = self.where(tokens_BND).softmax(dim=1)
        return maps, (weight_BNP * self.pose(tokens_BND)).sum(dim=1)


def to_patches(map_BGG: Tensor, patches_per_side: int) -> Tensor:
    """(B, G, G) cell labels to (B, N, S): the cells of each patch, row by row."""
    cells = map_BGG.shape[-1] // patches_per_side
    side = patches_per_side
    grid: Tensor = map_BGG.reshape(-1, side, cells, side, cells).transpose(2, 3)
    return grid.flatten(3).flatten(1, 2)


class XEncoderStage:
    """Trains `model.x_encoder` on single tubelets of the cached streams."""

    def __init__(
        self,
        model: VLJepa,
        cache: FrameCache,
        episodes: Sequence[CachedEpisode],
        batch_size: int,
        seed: int,
        parts: int = 1,
    ) -> None:
        config = model.config.x_encoder
        self._side = config.crop_px // config.patch_px
        heads = DenseHeads(config.width, (cache.grid // self._side) ** 2)
        self._module = nn.ModuleDict({"x_encoder": model.x_encoder, "heads": heads})
        self._batches = TubeletBatches(cache, episodes, batch_size, seed, parts)

    def module(self) -> nn.Module:
        return self._module

    def parts(self) -> list[tuple[nn.Module, float]]:
        return [
            (self._module["x_encoder"], 1.0),
            (self._module["heads"], HEADS_LR_SHARE),
        ]

    def batches(self) -> Dataset[dict[str, Tensor]]:
        return self._batches

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        tokens_BND = self._module["x_encoder"](normalise(batch["pixels_BTCHW"])).flatten(1, 2)
        maps, pose_BP = self._module["heads"](tokens_BND)
        return dense_loss(maps, pose_BP, batch, self._side)

    def evaluate(self) -> dict[str, float]:
        return {}


def dense_loss(
    maps: dict[str, Tensor], pose_BP: Tensor, batch: dict[str, Tensor], side: int
) -> tuple[Tensor, dict[str, float]]:
    """Loss of all read-outs of `DenseHeads` against a batch's labels, `side` patches a side."""
    total = POSE_WEIGHT * F.smooth_l1_loss(pose_BP.float(), batch["pose_BP"], beta=0.05)
    metrics = {"pose": float(total.detach()) / POSE_WEIGHT}
    for name, logits_BNSC in maps.items():
        truth_BNS = to_patches(batch[name], side).long()
        part, accuracy = label_loss(logits_BNSC.float(), truth_BNS)
        total = total + MAP_WEIGHTS[name] * part
        metrics[f"{name}_accuracy"] = accuracy
    return total, metrics


def label_loss(logits_BNSC: Tensor, truth_BNS: Tensor) -> tuple[Tensor, float]:
    """Cross-entropy with a light background, and the accuracy on what is not background."""
    weight_C = torch.ones(logits_BNSC.shape[-1], device=logits_BNSC.device)
    weight_C[0] = BACKGROUND_WEIGHT
    loss = F.cross_entropy(logits_BNSC.flatten(0, 2), truth_BNS.flatten(), weight_C)
    present = truth_BNS > 0
    right = (logits_BNSC.argmax(-1) == truth_BNS)[present]
    return loss, float(right.float().mean()) if right.numel() else 0.0
