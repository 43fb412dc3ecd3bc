"""Pixels as V-JEPA 2's official video processor makes them, without torchvision.

Two steps, so that a stream does the first once a frame and the second on the model's device:
`resize_crop_uint8` (uint8 to uint8) and `normalise` (uint8 to float32).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MAX_ASPECT = 32.0
"""Long edge over short edge; beyond it, scaling the short edge up would fill the memory."""


class ImageError(ValueError):
    """An image that cannot be prepared; the message says why."""


def resized_size(height: int, width: int, crop_px: int, resize_px: int = 0) -> tuple[int, int]:
    """(height, width) with the shortest edge at `resize_px`; 0 = int(crop_px * 256 / 224)."""
    short = resize_px or int(crop_px * 256 / 224)
    if width <= height:
        return int(short * height / width), short
    return short, int(short * width / height)


def resize_crop_uint8(
    images_THWC: npt.NDArray[np.uint8] | Tensor, crop_px: int, resize_px: int = 0
) -> Tensor:
    """RGB images (T, H, W, 3) uint8 to (T, 3, crop_px, crop_px) uint8.

    Antialiased bilinear on the uint8 values, then the centre. See `resized_size`.

    Raises:
        ImageError: not uint8 RGB, an empty image, or an aspect beyond `MAX_ASPECT`.
    """
    return _resized_crop(images_THWC, crop_px, resize_px).contiguous()


def prepare_frame(
    image_HWC: npt.NDArray[np.uint8], crop_px: int, resize_px: int = 0
) -> npt.NDArray[np.uint8]:
    """The same of one image, which stays (crop_px, crop_px, 3).

    Raises:
        ImageError: as `resize_crop_uint8`.
    """
    crop_CHW = _resized_crop(image_HWC[None], crop_px, resize_px)[0]
    return np.ascontiguousarray(crop_CHW.permute(1, 2, 0).numpy())


def _resized_crop(
    images_THWC: npt.NDArray[np.uint8] | Tensor, crop_px: int, resize_px: int
) -> Tensor:
    """(T, 3, crop_px, crop_px): a view, but never of the images given, which may change."""
    if isinstance(images_THWC, np.ndarray):
        if images_THWC.dtype != np.uint8:
            raise ImageError(f"images must be uint8 RGB, not {images_THWC.dtype}")
        # from_numpy refuses negative strides and warns about read-only memory.
        images_THWC = torch.from_numpy(np.require(images_THWC, requirements=["C", "W"]))
    if images_THWC.dtype != torch.uint8 or images_THWC.ndim != 4 or images_THWC.shape[-1] != 3:
        raise ImageError(
            f"images must be (T, H, W, 3) uint8 RGB, not {tuple(images_THWC.shape)} "
            f"{images_THWC.dtype}"
        )
    height, width = images_THWC.shape[1:3]
    if not images_THWC.numel():
        raise ImageError(f"an image of {height} x {width} pixels has nothing to see")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise ImageError(
            f"an image of {height} x {width} pixels is longer than {MAX_ASPECT:.0f} times its "
            "width; crop it first"
        )
    size = resized_size(height, width, crop_px, resize_px)
    images_TCHW = images_THWC.permute(0, 3, 1, 2)
    if size != (height, width):
        images_TCHW = interpolate(images_TCHW, size=size, mode="bilinear", antialias=True)
    else:
        images_TCHW = images_TCHW.clone()
    top, left = (size[0] - crop_px) // 2, (size[1] - crop_px) // 2
    return images_TCHW[..., top : top + crop_px, left : left + crop_px]


def normalise(images_TCHW: Tensor) -> Tensor:
    """uint8 (..., 3, H, W) to float32 of ImageNet mean 0 and deviation 1, on the same device.

    The result is contiguous, whatever the order of the pixels was: on a CPU the X-encoder takes a
    tenth longer for colours that lie side by side.
    """
    mean_C11, std_C11 = _mean_and_std(images_TCHW.device)
    return images_TCHW.contiguous().sub(mean_C11).div_(std_C11)


@lru_cache
def _mean_and_std(device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 1, 1) each, scaled as the official processor scales them, to its last bit."""
    with torch.inference_mode(False):  # training uses them too
        mean_C11 = (
            torch.tensor(IMAGENET_MEAN, dtype=torch.float32, device=device).view(3, 1, 1) * 255.0
        )
        std_C11 = (
            torch.tensor(IMAGENET_STD, dtype=torch.float32, device=device).view(3, 1, 1) * 255.0
        )
    return mean_C11, std_C11


def preprocess(images_THWC: npt.NDArray[np.uint8] | Tensor, crop_px: int) -> Tensor:
    """RGB images (T, H, W, 3) uint8 to the X-encoder's float32 (T, 3, crop_px, crop_px)."""
    return normalise(resize_crop_uint8(images_THWC, crop_px))
