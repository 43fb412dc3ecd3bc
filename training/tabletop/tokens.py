"""Visual tokens of every cached tubelet, computed once with the frozen X-encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from training.precision import autocast
from training.tabletop.cache import FrameCache, Shard
from vljepa_ros.model.preprocessing import normalise
from vljepa_ros.model.vljepa import VLJepa

BATCH_TUBELETS = 256


def encode_cache(
    model: VLJepa, cache: FrameCache, device: str, say: Callable[[str], None] = print
) -> None:
    """Write `tokens.npy` (tubelets, N, D) float16 where these weights have not done so yet."""
    fingerprint = _digest(model.x_encoder)
    for index, shard in enumerate(cache.shards):
        mark = shard.folder / "tokens.fingerprint"
        if mark.exists() and mark.read_text() == fingerprint:
            continue
        mark.unlink(missing_ok=True)
        np.save(shard.folder / "tokens.npy", _encode_shard(model, shard, device))
        mark.write_text(fingerprint)
        say(f"tokens of shard {index + 1} of {len(cache.shards)}")


def _digest(module: nn.Module) -> str:
    sha256 = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        sha256.update(name.encode())
        sha256.update(value.detach().cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()


@torch.inference_mode()
def _encode_shard(model: VLJepa, shard: Shard, device: str) -> npt.NDArray[np.float16]:
    frames = np.array(shard.arrays["frames"])
    tubelets_RTCHW = torch.from_numpy(frames.reshape(-1, 2, *frames.shape[1:]))
    parts = []
    for chunk in tubelets_RTCHW.split(BATCH_TUBELETS):
        with autocast(device):
            tokens_BTND = model.x_encoder(normalise(chunk.to(device)))
        parts.append(tokens_BTND[:, 0].half().cpu().numpy())
    return np.concatenate(parts)
