"""Loss and gradients of a real model on several processes against one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from training.bench.processes import in_processes
from training.distributed import ALONE, Ranks
from training.embed import EmbedData, EmbedSettings, EmbedStage
from training.loss import Temperature
from training.parallel import Batch, Parallel
from vljepa_ros.model import presets
from vljepa_ros.model.vljepa import VLJepa

ROWS, CANDIDATES, TOKENS = 16, 3, 6
WAYS = [(parts, sharded) for parts in (1, 2) for sharded in (False, True)]


class RandomRows(torch.utils.data.Dataset[Batch]):
    """Clips of noise with random ids as texts: item i is part i % parts of one batch."""

    def __init__(self, rows: int, parts: int, vocab_size: int, pixels: tuple[int, int]) -> None:
        self._rows, self._parts, self._vocab_size, self._pixels = rows, parts, vocab_size, pixels

    def __getitem__(self, index: int) -> Batch:
        part = slice(index % self._parts, None, self._parts)
        texts = ("text_ids_BL", "text_mask_BL")
        return {name: x if name in texts else x[part] for name, x in self.whole().items()}

    def whole(self) -> Batch:
        generator = torch.Generator().manual_seed(11)
        rows = self._rows

        def ids(count: int) -> Tensor:
            return torch.randint(3, self._vocab_size, (count, TOKENS), generator=generator)

        frames, side = self._pixels
        texts = 2 * rows
        return {
            "pixels_BTCHW": torch.randint(
                0, 256, (rows, frames, 3, side, side), generator=generator
            ).byte(),
            "query_ids_BL": ids(rows),
            "query_mask_BL": torch.ones(rows, TOKENS, dtype=torch.long),
            "text_ids_BL": ids(texts),
            "text_mask_BL": torch.ones(texts, TOKENS, dtype=torch.long),
            "target_row_B": torch.arange(rows),
            "candidate_row_BK": torch.randint(rows, texts, (rows, CANDIDATES), generator=generator),
            "candidate_exists_BK": torch.rand(rows, CANDIDATES, generator=generator) < 0.8,
            "key_B": torch.arange(rows) % (rows - 2),
        }


def gradients(
    ranks: Ranks,
    parts: int = 1,
    sharded: bool = False,
    compiled: bool = False,
    recompute: bool = False,
) -> dict[str, Tensor]:
    """Loss and gradients of one batch, of which this rank sees its parts."""
    torch.manual_seed(0)
    config = presets.tiny()
    model = VLJepa(config)
    cut = parts * ranks.world
    pixels = (config.clip_frames, config.x_encoder.crop_px)
    data = RandomRows(ROWS, cut, config.predictor.vocab_size, pixels)
    settings = EmbedSettings(y_lr_share=0.05, x_lr_share=0.1, token_dropout=0.0)
    stage = EmbedStage(model, Temperature(), EmbedData(data), settings, ranks)
    parallel = Parallel(
        stage, ranks, "cpu", sharded=sharded, compiled=compiled, recompute=recompute
    )
    loss, _ = parallel.backward([data[i] for i in range(ranks.rank, cut, ranks.world)])
    found = {"loss": torch.tensor(ranks.mean(loss), dtype=torch.float64)}
    for name, parameter in stage.module().named_parameters():
        if parameter.grad is not None:
            grad = parameter.grad
            found[name] = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
    return found


def differences(ranks: Ranks) -> dict[str, Tensor]:
    """Of every way to spread the batch over these ranks: the largest differences, relative."""
    wanted = gradients(ALONE)
    found: dict[str, Tensor] = {}
    for parts, sharded in WAYS:
        made = gradients(ranks, parts, sharded)
        worst = max(
            float((made[n] - g).abs().max() / g.abs().max().clamp(min=1e-12))
            for n, g in wanted.items()
            if n != "loss"
        )
        name = f"{'fsdp' if sharded else 'ddp'}_{parts}_parts"
        loss = abs(float(made["loss"] - wanted["loss"]) / float(wanted["loss"]))
        found |= {f"loss_{name}": torch.tensor(loss), f"gradient_{name}": torch.tensor(worst)}
    return found


def measure(folder: Path) -> dict[str, float]:
    """Largest relative differences (float32) over 2 and 4 processes."""
    scores: dict[str, float] = {}
    for world in (2, 4):
        below = folder / f"exact-{world}"
        below.mkdir(parents=True)
        first, *_ = in_processes(world, partial(differences), below)
        scores |= {f"{name}_{world}_ranks": float(value) for name, value in first.items()}
    return scores
