"""How far a prediction can be trusted: measured on streams that the model was not trained on.

Fitted after training (training/reliability.py) and kept beside the weights in a file of its own;
docs/decisions/0052 has the method and its figures.

Shapes: B rows, N tokens, D token width, W predictor width, E embedding width, H hidden units, K
kept directions, P pairs of tokens, L tokens of an action.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors: TypeAlias = Mapping[str, Tensor]
CLARITY = "clarity_"
"""What names of its tensors begin with."""


@dataclass(frozen=True, eq=False)
class Clarity:
    """How probable the words would be that the Y-decoder finds for an embedding, unfound.

    A small network; finding words to ask them costs a pass for each of them.
    """

    hidden_HE: Tensor
    hidden_bias_H: Tensor
    clear_H: Tensor
    clear_bias: Tensor

    def __call__(self, embedding_BE: Tensor) -> Tensor:
        """(B,), 0..1, of unit embeddings."""
        hidden_BH = F.gelu(F.linear(embedding_BE.float(), self.hidden_HE, self.hidden_bias_H))
        return (hidden_BH @ self.clear_H + self.clear_bias).sigmoid()

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> Clarity:
        """
        Raises:
            ValueError: a tensor is missing or unknown.
        """
        _check_names(cls, tensors)
        return cls(**tensors)

    def tensors(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def to(self, device: torch.device) -> Clarity:
        return Clarity(**{name: value.to(device) for name, value in self.tensors().items()})


@dataclass(frozen=True, eq=False)
class Reliability:
    """Uncertainty of a prediction, and novelty of the scene and of an action's words."""

    hidden_HW: Tensor
    hidden_bias_H: Tensor
    doubt_H: Tensor
    doubt_bias: Tensor
    """A small network from what the embedding was projected from to the log odds of an error."""
    mean_D: Tensor
    directions_KD: Tensor
    deviation_K: Tensor
    residual: Tensor
    """Scenes of the training streams: mean token, main directions, spread along and beside them."""
    scene_limit: Tensor
    """Distance that hardly a known scene exceeds."""
    pairs_P: Tensor
    """Neighbouring tokens of known actions as token x 2^32 + next token, sorted, int64."""
    clarity: Clarity | None = None
    """None: never measured, as of a model without Y-decoder."""

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> Reliability:
        """
        Raises:
            ValueError: a tensor is missing or unknown.
        """
        own = {name: value for name, value in tensors.items() if not name.startswith(CLARITY)}
        clarity = {n.removeprefix(CLARITY): v for n, v in tensors.items() if n not in own}
        _check_names(cls, own, besides={"clarity"})
        return cls(**own, clarity=Clarity.from_tensors(clarity) if clarity else None)

    def tensors(self) -> dict[str, Tensor]:
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "clarity"}
        clarity = {} if self.clarity is None else self.clarity.tensors()
        return own | {CLARITY + name: value for name, value in clarity.items()}

    def to(self, device: torch.device) -> Reliability:
        return Reliability.from_tensors({n: v.to(device) for n, v in self.tensors().items()})

    def uncertainty(self, pooled_BW: Tensor) -> Tensor:
        """Probability (B,) that what was predicted from `pooled_BW` is wrong."""
        hidden_BH = F.gelu(F.linear(pooled_BW.float(), self.hidden_HW, self.hidden_bias_H))
        return (hidden_BH @ self.doubt_H + self.doubt_bias).sigmoid()

    def novelty(self, tokens_BND: Tensor, action_ids_BL: Tensor, action_mask_BL: Tensor) -> Tensor:
        """Above 1 (B,): the scene is unlike the known ones, or the action has unknown words."""
        words_B = self._word_novelty(action_ids_BL, action_mask_BL)
        return torch.maximum(self.scene_novelty(tokens_BND), words_B)

    def scene_novelty(self, tokens_BND: Tensor) -> Tensor:
        """Above 1 (B,): the scene is unlike the known ones."""
        return self.scene_distance(tokens_BND) / self.scene_limit

    def scene_distance(self, tokens_BND: Tensor) -> Tensor:
        """Mahalanobis distance (B,) of a tubelet's mean token, root mean square of a direction."""
        offset_BD = tokens_BND.float().mean(dim=1) - self.mean_D
        along_BK = offset_BD @ self.directions_KD.T
        beside_BD = offset_BD - along_BK @ self.directions_KD
        squared_B = (along_BK / self.deviation_K).square().sum(1)
        squared_B = squared_B + beside_BD.square().sum(1) / self.residual.square()
        return (squared_B / (len(self.deviation_K) + 1)).sqrt()

    def _word_novelty(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """0 where every two neighbouring tokens are known, else 1 and the share of unknown ones."""
        known_BP = torch.isin(token_pairs(ids_BL, mask_BL), self.pairs_P)
        there_BP = torch.cat([mask_BL[:, :1], mask_BL], dim=1).bool()
        unknown_B = (~known_BP & there_BP).float().sum(1) / there_BP.sum(1)
        return torch.where(unknown_B > 0, 1 + unknown_B, 0.0)


def _check_names(cls: type[Any], tensors: Tensors, besides: Set[str] = frozenset()) -> None:
    wrong = ({f.name for f in fields(cls)} - besides) ^ set(tensors)
    if wrong:
        raise ValueError(f"these tensors are missing or unknown: {', '.join(sorted(wrong))}")


def token_pairs(ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
    """Each text's neighbouring tokens as one number each (B, L + 1), its start and end included."""
    edge_B1 = torch.full_like(ids_BL[:, :1], -1)
    ids_BL = ids_BL.masked_fill(mask_BL == 0, -1)
    left_BP = torch.cat([edge_B1, ids_BL], dim=1)
    right_BP = torch.cat([ids_BL, edge_B1], dim=1)
    return (left_BP + 1) * 2**32 + right_BP + 1
