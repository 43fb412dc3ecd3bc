"""What the predictor must see to answer, taught beside the answers (docs/decisions/0053).

A contrastive loss on answers says that one was wrong, not where to look. The simulator knows: at
the visual positions, the middle layer must tell where the things lie that the query names, and the
last layer what will lie where after the action. Linear read-outs, thrown away after the run.

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
from training.tabletop.grounding import LABELS, MOST_NAMED
from training.x_encoder import MAP_CLASSES, label_loss, to_patches
from vljepa_ros.model.predictor import Predictor

NAMED_WEIGHT = 2.0
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
        self.named = nn.Linear(width, cells * MOST_NAMED)
        self.after = nn.ModuleDict({n: nn.Linear(width, cells * MAP_CLASSES[n]) for n in LABELS})

    def loss(
        self, middle_BNW: Tensor, last_BNW: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of both read-outs, of layers' outputs at all positions, visual ones first."""
        loss, metrics = self._named_loss(middle_BNW[:, self._visual], batch["named_BMGG"])
        for name, head in self.after.items():
            truth_BNS = to_patches(batch[f"{name}_after_BGG"], self._side).long()
            known_B = (truth_BNS != UNKNOWN).flatten(1).all(dim=1)
            if known_B.any():
                logits_BNSC = head(last_BNW[known_B, self._visual]).unflatten(
                    -1, (-1, MAP_CLASSES[name])
                )
                part, accuracy = label_loss(logits_BNSC.float(), truth_BNS[known_B])
                loss = loss + AFTER_WEIGHT * part
                metrics[f"{name}_after"] = accuracy
        return loss, metrics

    def _named_loss(
        self, middle_BNW: Tensor, named_BMGG: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        known_B = (named_BMGG != UNKNOWN).flatten(1).all(dim=1)
        if not known_B.any():
            return middle_BNW.new_zeros(()), {}
        logits_BNSM = self.named(middle_BNW[known_B]).unflatten(-1, (-1, MOST_NAMED)).float()
        truth_BNSM = torch.stack(
            [to_patches(mask_BGG, self._side) for mask_BGG in named_BMGG[known_B].unbind(1)], -1
        ).float()
        weight = torch.tensor(NAMED_CELL_WEIGHT, device=truth_BNSM.device)
        loss = F.binary_cross_entropy_with_logits(logits_BNSM, truth_BNSM, pos_weight=weight)
        seen, true = logits_BNSM.detach() > 0, truth_BNSM > 0
        overlap = (seen & true).sum() / (seen | true).sum().clamp(min=1)
        return NAMED_WEIGHT * loss, {"named_overlap": float(overlap)}


class HiddenStates:
    """Within its context, the outputs of a predictor's middle and last layer in every call."""

    def __init__(self, predictor: Predictor) -> None:
        layers = predictor.backbone.layers
        self._watched = (layers[len(layers) // 2], predictor.backbone.norm)
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
    def last_BNW(self) -> Tensor:
        """Of all calls' rows, one after the other, after the final norm."""
        return torch.cat(self._seen[1])
