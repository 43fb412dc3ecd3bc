"""How far a model can be trusted: measured on streams that it was not trained on.

Fitted after training (training/reliability.py) and kept beside the weights in a file of its own;
docs/decisions/0050, 0052 and 0065 have the methods and their figures. What could not be measured
is None: scenes and clarity take clips and queries alone, the others the truth of what actions lead
to.

Shapes: B rows, N tokens, D token width, W predictor width, E embedding width, H hidden units, I
inputs, K kept directions or kinds, P pairs of tokens, L tokens of an action.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors: TypeAlias = Mapping[str, Tensor]
SomePart = TypeVar("SomePart", bound="Part")


class Part:
    """A dataclass of tensors."""

    @classmethod
    def from_tensors(cls: type[SomePart], tensors: Tensors) -> SomePart:
        """
        Raises:
            ValueError: a tensor is missing or unknown.
        """
        wrong = {f.name for f in fields(cls)} ^ set(tensors)  # type: ignore[arg-type]
        if wrong:
            raise ValueError(f"these tensors are missing or unknown: {', '.join(sorted(wrong))}")
        return cls(**tensors)

    def tensors(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Actions(Part):
    """How probably what is predicted of an action is wrong, and which words actions have."""

    hidden_HW: Tensor
    hidden_bias_H: Tensor
    doubt_H: Tensor
    doubt_bias: Tensor
    """A small network from what the embedding was projected from to the log odds of an error."""
    outcomes_KH: Tensor
    outcomes_bias_K: Tensor
    undecided: Tensor
    """The same network tells outcomes; how undecided it is between them adds to the log odds."""
    pairs_P: Tensor
    """Neighbouring tokens of known actions as token x 2^32 + next token, sorted, int64."""

    def uncertainty(self, pooled_BW: Tensor) -> Tensor:
        """Probability (B,) that what was predicted from `pooled_BW` is wrong."""
        hidden_BH = _hidden(pooled_BW, self.hidden_HW, self.hidden_bias_H)
        outcomes_BK = F.linear(hidden_BH, self.outcomes_KH, self.outcomes_bias_K)
        odds_B = hidden_BH @ self.doubt_H + self.doubt_bias
        return (odds_B + self.undecided * entropy(outcomes_BK)).sigmoid()

    def novelty(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """0 where every two neighbouring tokens are known, else 1 and the share of unknown ones."""
        known_BP = torch.isin(token_pairs(ids_BL, mask_BL), self.pairs_P)
        there_BP = torch.cat([mask_BL[:, :1], mask_BL], dim=1).bool()
        unknown_B = (~known_BP & there_BP).float().sum(1) / there_BP.sum(1)
        return torch.where(unknown_B > 0, 1 + unknown_B, 0.0)


@dataclass(frozen=True, eq=False)
class Scenes(Part):
    """Known scenes: their mean token, main directions, spread along and beside them."""

    mean_D: Tensor
    directions_KD: Tensor
    deviation_K: Tensor
    residual: Tensor
    limit: Tensor
    """Distance that hardly a known scene exceeds."""

    def novelty(self, tokens_BND: Tensor) -> Tensor:
        """Above 1 (B,): the scene is unlike the known ones."""
        return self.distance(tokens_BND) / self.limit

    def distance(self, tokens_BND: Tensor) -> Tensor:
        """Mahalanobis distance (B,) of a tubelet's mean token, root mean square of a direction."""
        offset_BD = tokens_BND.float().mean(dim=1) - self.mean_D
        along_BK = offset_BD @ self.directions_KD.T
        beside_BD = offset_BD - along_BK @ self.directions_KD
        squared_B = (along_BK / self.deviation_K).square().sum(1)
        squared_B = squared_B + beside_BD.square().sum(1) / self.residual.square()
        return (squared_B / (len(self.deviation_K) + 1)).sqrt()


@dataclass(frozen=True, eq=False)
class Clarity(Part):
    """How probable the words would be that the Y-decoder finds for an embedding, unfound.

    A small network; finding words to ask them costs a pass for each of them.
    """

    hidden_HE: Tensor
    hidden_bias_H: Tensor
    clear_H: Tensor
    clear_bias: Tensor

    def __call__(self, embedding_BE: Tensor) -> Tensor:
        """(B,), 0..1, of unit embeddings."""
        hidden_BH = _hidden(embedding_BE, self.hidden_HE, self.hidden_bias_H)
        return (hidden_BH @ self.clear_H + self.clear_bias).sigmoid()


@dataclass(frozen=True, eq=False)
class SceneAfter(Part):
    """What the scene query will answer after an action, without asking it once more.

    A small network that tells the step from its answer before.
    """

    hidden_HI: Tensor
    """I: what an imagination was projected from, then the answer before."""
    hidden_bias_H: Tensor
    step_EH: Tensor
    step_bias_E: Tensor

    def __call__(self, pooled_BW: Tensor, before_BE: Tensor) -> Tensor:
        """Embedding (B, E), unit norm."""
        input_BI = torch.cat([pooled_BW.float(), before_BE], dim=1)
        hidden_BH = _hidden(input_BI, self.hidden_HI, self.hidden_bias_H)
        step_BE = F.linear(hidden_BH, self.step_EH, self.step_bias_E)
        return F.normalize(before_BE + step_BE, dim=1)


PARTS: Mapping[str, type[Part]] = {
    "actions": Actions,
    "scenes": Scenes,
    "clarity": Clarity,
    "scene_after": SceneAfter,
}


@dataclass(frozen=True, eq=False)
class Reliability:
    """What was measured of a model."""

    actions: Actions | None = None
    scenes: Scenes | None = None
    clarity: Clarity | None = None
    scene_after: SceneAfter | None = None

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> Reliability:
        """
        Raises:
            ValueError: a tensor is missing or unknown.
        """
        grouped: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            if part not in PARTS:
                raise ValueError(f"the tensor {name} is unknown")
            grouped.setdefault(part, {})[rest] = tensor
        return cls(**{n: PARTS[n].from_tensors(some) for n, some in grouped.items()})  # type: ignore[arg-type]

    def tensors(self) -> dict[str, Tensor]:
        parts: dict[str, Part | None] = {name: getattr(self, name) for name in PARTS}
        return {
            f"{name}.{inner}": tensor
            for name, part in parts.items()
            if part is not None
            for inner, tensor in part.tensors().items()
        }

    def to(self, device: torch.device) -> Reliability:
        return Reliability.from_tensors({n: x.to(device) for n, x in self.tensors().items()})


def _hidden(input_BI: Tensor, hidden_HI: Tensor, hidden_bias_H: Tensor) -> Tensor:
    """Hidden units (B, H) of a small network."""
    return F.gelu(F.linear(input_BI.float(), hidden_HI, hidden_bias_H))


def entropy(logits_BK: Tensor) -> Tensor:
    """Of each row's softmax (B,) [nats]; 0 without columns."""
    log_BK = logits_BK.log_softmax(dim=-1)
    return -(log_BK.exp() * log_BK).sum(dim=-1)


def token_pairs(ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
    """Each text's neighbouring tokens as one number each (B, L + 1), its start and end included."""
    edge_B1 = torch.full_like(ids_BL[:, :1], -1)
    ids_BL = ids_BL.masked_fill(mask_BL == 0, -1)
    left_BP = torch.cat([edge_B1, ids_BL], dim=1)
    right_BP = torch.cat([ids_BL, edge_B1], dim=1)
    return (left_BP + 1) * 2**32 + right_BP + 1
