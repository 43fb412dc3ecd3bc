"""What the predictor must see to answer, taught beside the answers (docs/decisions/0053).

A contrastive loss on answers says that one was wrong, not where to look. The simulator knows: at
the visual positions, the middle layer must tell where the things lie that the query names and in
which order a scene's things lie; the layer before the last, where the things lie that the answer
names and what will lie where after the action. Linear read-outs, thrown away after the run.

Shapes: B rows, N places, W predictor width, S cells of a patch, M things named, C classes, G cells
of a side.
"""

from __future__ import annotations

from types import TracebackType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from training.tabletop.batches import UNKNOWN
from training.tabletop.grounding import LABELS, MOST_ITEMS, MOST_NAMED
from training.x_encoder import MAP_CLASSES, label_loss, to_patches
from vljepa_ros.model.predictor import Predictor

NAMED_WEIGHT = 2.0
ANSWERED_WEIGHT = 1.0
ORDER_WEIGHT = 1.0
AFTER_WEIGHT = 0.5
NAMED_CELL_WEIGHT = 8.0
"""Beside a cell that is not named: a thing covers about one in thirty."""


class GroundingHeads(nn.Module):
    """Read-outs of a predictor's visual positions."""

    def __init__(self, predictor: Predictor, grid: int) -> None:
        super().__init__()
        joined = 1 if predictor.config.merge_frames else predictor.tubelets
        # The newest tubelet's places, where frames are not merged.
        self._visual = slice((joined - 1) * predictor.places, joined * predictor.places)
        self._side = round(predictor.places**0.5)
        width, cells = predictor.config.width, (grid // self._side) ** 2
        classes = {"named": MOST_NAMED, "answered": MOST_NAMED, "order": 1 + MOST_ITEMS}
        classes |= {f"{name}_after": MAP_CLASSES[name] for name in LABELS}
        self.heads = nn.ModuleDict({n: nn.Linear(width, cells * c) for n, c in classes.items()})

    def loss(
        self, middle_BNW: Tensor, late_BNW: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of all read-outs, of layers' outputs at all positions, visual ones first."""
        middle_BNW, late_BNW = middle_BNW[:, self._visual], late_BNW[:, self._visual]
        parts = [
            self._masks("named", middle_BNW, batch, NAMED_WEIGHT),
            self._masks("answered", late_BNW, batch, ANSWERED_WEIGHT),
            self._map("order", middle_BNW, batch, ORDER_WEIGHT),
            *(self._map(f"{name}_after", late_BNW, batch, AFTER_WEIGHT) for name in LABELS),
        ]
        metrics = {name: value for _, found in parts for name, value in found.items()}
        return torch.stack([loss for loss, _ in parts]).sum(), metrics

    def _masks(
        self, name: str, outputs_BNW: Tensor, batch: dict[str, Tensor], weight: float
    ) -> tuple[Tensor, dict[str, float]]:
        """Where each of M things is, in the rows where that is known."""
        truth_BMGG = batch[f"{name}_BMGG"]
        known_B = (truth_BMGG != UNKNOWN).flatten(1).all(dim=1)
        if not known_B.any():
            return outputs_BNW.new_zeros(()), {}
        masks_BNS = [to_patches(mask, self._side) for mask in truth_BMGG[known_B].unbind(1)]
        truth_BNSM = torch.stack(masks_BNS, -1)
        logits_BNSM = self.heads[name](outputs_BNW[known_B]).unflatten(-1, truth_BNSM.shape[2:])
        loss, overlap = _mask_loss(logits_BNSM.float(), truth_BNSM)
        return weight * loss, {f"{name}_overlap": overlap}

    def _map(
        self, name: str, outputs_BNW: Tensor, batch: dict[str, Tensor], weight: float
    ) -> tuple[Tensor, dict[str, float]]:
        """Which of C classes each cell has, in the rows where that is known."""
        truth_BNS = to_patches(batch[f"{name}_BGG"], self._side).long()
        known_B = (truth_BNS != UNKNOWN).flatten(1).all(dim=1)
        if not known_B.any():
            return outputs_BNW.new_zeros(()), {}
        cells = truth_BNS.shape[-1]
        logits_BNSC = self.heads[name](outputs_BNW[known_B]).unflatten(-1, (cells, -1))
        loss, accuracy = label_loss(logits_BNSC.float(), truth_BNS[known_B])
        return weight * loss, {name: accuracy}


def _mask_loss(logits_BNSM: Tensor, truth_BNSM: Tensor) -> tuple[Tensor, float]:
    """Cross-entropy of masks, and their overlap with the truth (intersection over union)."""
    weight = torch.tensor(NAMED_CELL_WEIGHT, device=truth_BNSM.device)
    loss = F.binary_cross_entropy_with_logits(logits_BNSM, truth_BNSM.float(), pos_weight=weight)
    seen, true = logits_BNSM.detach() > 0, truth_BNSM > 0
    overlap = (seen & true).sum() / (seen | true).sum().clamp(min=1)
    return loss, float(overlap)


class HiddenStates:
    """Within its context, the outputs of a predictor's middle and late layer in every call.

    The late layer is the one before the last, so that the answer can be read from it.
    """

    def __init__(self, predictor: Predictor) -> None:
        layers = predictor.backbone.layers
        middle = len(layers) // 2
        self._watched = (layers[middle], layers[max(middle, len(layers) - 2)])
        self._seen: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> HiddenStates:
        for module, seen in zip(self._watched, self._seen, strict=True):
            self._handles.append(
                module.register_forward_hook(lambda *call, seen=seen: seen.append(call[-1]))
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def middle_BNW(self) -> Tensor:
        """Of all calls' rows, one after the other."""
        return torch.cat(self._seen[0])

    @property
    def late_BNW(self) -> Tensor:
        """Of all calls' rows, one after the other."""
        return torch.cat(self._seen[1])
