"""V-JEPA 2's rotary positions from a table.

transformers makes sines and cosines anew for queries and keys of every layer, in the type of the
activations. For a clip of one small tubelet that is a third of the X-encoder's time on a CPU, and
in half precision it turns large positions wrongly. The table is made once, in float32.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.models.vjepa2.modeling_vjepa2 import VJEPA2RopeAttention

BASE = 10_000.0


class TableAttention(VJEPA2RopeAttention):  # type: ignore[misc]
    """The same attention for clips of one size; `use_tables` makes it of transformers' own."""

    cos_NH: Tensor
    sin_NH: Tensor

    def make_table(self) -> None:
        """For all tokens of a pass; H is the width of a head."""
        tokens = torch.arange(self.grid_depth * self.grid_size**2)
        places = super().get_position_ids(tokens[None])
        widths = (self.d_dim, self.h_dim, self.w_dim)
        angles = [_angles(place_N, width) for place_N, width in zip(places, widths, strict=True)]
        still = self.attention_head_size - sum(widths)  # the last few are not turned
        angle_NH = nn.functional.pad(torch.cat(angles, dim=-1), (0, still))
        # Each pair (a, b) meets (-b, a); the sign is the table's.
        sign_H = torch.tensor([-1.0, 1.0]).repeat(self.attention_head_size // 2)
        self.register_buffer("cos_NH", angle_NH.cos(), persistent=False)
        self.register_buffer("sin_NH", angle_NH.sin() * sign_H, persistent=False)

    def get_position_ids(self, x: Tensor, masks: Any = None) -> None:
        """The table has them."""
        if masks is not None or x.shape[1] != len(self.cos_NH):
            raise ValueError(f"the table is for {len(self.cos_NH)} tokens, none left out")

    def apply_rotary_embeddings(self, qk: Tensor, pos_ids: None) -> Tensor:
        """Queries or keys (B, heads, N, H), turned."""
        crossed = qk.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        turned: Tensor = qk * self.cos_NH + crossed * self.sin_NH
        return turned.to(qk.dtype)


def _angles(place_N: Tensor, width: int) -> Tensor:
    """(N, width): as V-JEPA 2 was trained, the frequencies follow one another twice."""
    frequency_F = 1.0 / BASE ** (torch.arange(width // 2, dtype=torch.float32) / (width / 2.0))
    angle_NF: Tensor = place_N.unsqueeze(-1) * frequency_F
    return angle_NF.repeat(1, 2)


def use_tables(encoder: nn.Module) -> None:
    """Turn every attention of a V-JEPA 2 encoder into one with a table; weights stay."""
    for module in encoder.modules():
        if type(module) is VJEPA2RopeAttention:
            module.__class__ = TableAttention
            cast(TableAttention, module).make_table()
