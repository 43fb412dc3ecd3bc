"""Small changes of a clip, the same for all of its frames."""

from __future__ import annotations

import torch
from torch import Tensor

from training.data.errors import DataError


class Augmentation:
    """Crop, brightness, contrast and colour, each a little; kornia's, so it needs that package.

    No mirror by default: captions say left and right.

    Raises:
        DataError: kornia is not installed.
    """

    def __init__(self, crop_px: int, mirror: bool = False) -> None:
        try:
            from kornia import augmentation as kornia
        except ImportError as error:
            raise DataError(
                "augmentation needs kornia; pip install kornia, or train without augment"
            ) from error
        steps = [
            # Mild: what is asked about must stay in the picture.
            kornia.RandomResizedCrop((crop_px, crop_px), scale=(0.8, 1.0), ratio=(0.9, 1.1)),
            kornia.ColorJiggle(brightness=0.15, contrast=0.15, saturation=0.15, hue=0.02, p=0.8),
        ]
        if mirror:
            steps.append(kornia.RandomHorizontalFlip(p=0.5))
        self._steps = kornia.VideoSequential(*steps, data_format="BTCHW", same_on_frame=True)

    def __call__(self, pixels_TCHW: Tensor, seed: int) -> Tensor:
        """(T, 3, H, W) uint8 to the same; equal seeds change equal clips equally."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            changed_BTCHW: Tensor = self._steps(pixels_TCHW[None].float() / 255)
        return (changed_BTCHW[0] * 255).round().clamp(0, 255).to(torch.uint8)
