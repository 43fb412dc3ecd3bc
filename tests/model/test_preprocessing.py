"""Against the official processor's arithmetic, written out again in numpy and integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers.image_transforms import get_resize_output_image_size

from vljepa_ros.model.preprocessing import (
    ImageError,
    normalise,
    prepare_frame,
    preprocess,
    resize_crop_uint8,
    resized_size,
)

Image = npt.NDArray[np.uint8]


def random_image(height: int, width: int, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def axis_weights(size: int, new_size: int) -> npt.NDArray[np.float64]:
    """Antialiased triangle filter of one axis as a (new_size, size) matrix."""
    scale = size / new_size
    support = max(scale, 1.0)
    weights = np.zeros((new_size, size))
    for i in range(new_size):
        centre = scale * (i + 0.5)
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), size)
        taps = np.arange(first, last)
        row = np.maximum(0.0, 1.0 - np.abs((taps - centre + 0.5) / support))
        weights[i, first:last] = row / row.sum()
    return weights


def resize_axis(image: npt.NDArray[np.int64], new_size: int) -> npt.NDArray[np.int64]:
    """Along the last axis, in the 16-bit fixed point of image libraries, rounded to 0..255."""
    size = image.shape[-1]
    if size == new_size:
        return image
    weights = axis_weights(size, new_size)
    precision = 0
    while precision < 22 and int(0.5 + weights.max() * (1 << (precision + 1))) < (1 << 15):
        precision += 1
    fixed = np.floor(weights * (1 << precision) + 0.5).astype(np.int64)
    sums = image @ fixed.T + (1 << (precision - 1))
    return np.clip(sums >> precision, 0, 255)


def official(image_HWC: Image, crop_px: int) -> npt.NDArray[np.float32]:
    """VJEPA2VideoProcessor: shortest edge, centre crop, then scale and normalise in one."""
    short = int(crop_px * 256 / 224)
    new_height, new_width = get_resize_output_image_size(
        image_HWC, short, default_to_square=False, input_data_format="channels_last"
    )
    planes = image_HWC.transpose(2, 0, 1).astype(np.int64)
    rows = resize_axis(planes, new_width)
    resized = resize_axis(rows.swapaxes(1, 2), new_height).swapaxes(1, 2)
    top, left = int((new_height - crop_px) / 2.0), int((new_width - crop_px) / 2.0)
    cropped = resized[:, top : top + crop_px, left : left + crop_px].astype(np.float32)
    mean = np.array([0.485, 0.456, 0.406], np.float32) * np.float32(255.0)
    std = np.array([0.229, 0.224, 0.225], np.float32) * np.float32(255.0)
    normalised: npt.NDArray[np.float32] = (cropped - mean[:, None, None]) / std[:, None, None]
    return normalised


@pytest.mark.parametrize(
    ("height", "width", "crop_px"),
    [(120, 160, 96), (161, 90, 96), (480, 640, 64), (37, 41, 96), (109, 200, 96), (300, 300, 256)],
)
def test_equal_to_the_official_arithmetic(height: int, width: int, crop_px: int) -> None:
    image = random_image(height, width)
    found = preprocess(image[None], crop_px)[0].numpy()
    assert found.dtype == np.float32
    assert found.shape == (3, crop_px, crop_px)
    np.testing.assert_allclose(found, official(image, crop_px), atol=2.4e-7, rtol=2e-7)


def test_sizes_are_those_of_transformers() -> None:
    for height, width in [(480, 640), (641, 479), (96, 96), (1, 30), (333, 1000)]:
        expected = get_resize_output_image_size(
            np.zeros((height, width, 3), np.uint8),
            int(96 * 256 / 224),
            default_to_square=False,
            input_data_format="channels_last",
        )
        assert resized_size(height, width, 96) == expected


def test_the_short_edge_can_be_scaled_to_the_crop_itself() -> None:
    assert resized_size(60, 90, 32, 32) == (32, 48)
    image = random_image(32, 48)
    assert np.array_equal(
        resize_crop_uint8(image[None], 32, 32)[0].permute(1, 2, 0).numpy(), image[:, 8:40]
    )
    assert not torch.equal(
        resize_crop_uint8(image[None], 32, 32), resize_crop_uint8(image[None], 32)
    )


def test_known_colours() -> None:
    grey = preprocess(np.full((1, 50, 50, 3), 128, np.uint8), 32)[0]
    for channel, (mean, std) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        expected = torch.full((32, 32), (128 / 255 - mean) / std)
        torch.testing.assert_close(grey[channel], expected, atol=1e-6, rtol=0)


def test_numpy_and_torch_views_and_frames_agree() -> None:
    image = random_image(60, 80)
    plain = resize_crop_uint8(image[None], 32)
    assert torch.equal(resize_crop_uint8(torch.from_numpy(image[None]), 32), plain)
    read_only = image[None]
    read_only.flags.writeable = False
    assert torch.equal(resize_crop_uint8(read_only, 32), plain)
    bgr = np.ascontiguousarray(image[..., ::-1])
    assert torch.equal(resize_crop_uint8(bgr[None, ..., ::-1], 32), plain)
    both = resize_crop_uint8(np.stack([random_image(60, 80, 5), image]), 32)
    assert torch.equal(both[1:], plain)


@pytest.mark.parametrize("size", [(32, 32), (32, 48), (60, 80)])
def test_a_prepared_frame_does_not_change_with_the_image_it_was_made_of(
    size: tuple[int, int],
) -> None:
    image = random_image(*size)
    frame = prepare_frame(image, 32, 32)
    before = frame.copy()
    assert np.array_equal(frame, resize_crop_uint8(image[None], 32, 32)[0].permute(1, 2, 0).numpy())
    image[:] = 0
    assert np.array_equal(frame, before)


def test_pixels_of_any_order_are_normalised_alike() -> None:
    frames = torch.from_numpy(np.stack([random_image(8, 8, seed) for seed in range(2)]))
    colours_apart = frames.permute(0, 3, 1, 2).contiguous()
    normalised = normalise(frames.permute(0, 3, 1, 2))
    assert normalised.is_contiguous()
    assert torch.equal(normalised, normalise(colours_apart))


def test_normalising_leaves_the_pixels_alone() -> None:
    pixels = torch.randint(0, 256, (2, 4, 3, 8, 8), dtype=torch.uint8)
    before = pixels.clone()
    assert normalise(pixels).shape == pixels.shape
    assert torch.equal(pixels, before)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((1, 0, 8, 3), np.uint8), "nothing to see"),
        (np.zeros((1, 8, 0, 3), np.uint8), "nothing to see"),
        (np.zeros((1, 8, 8, 3), np.float32), "uint8"),
        (np.zeros((1, 8, 8, 4), np.uint8), "must be"),
        (np.zeros((8, 8, 3), np.uint8), "must be"),
        (np.zeros((1, 1, 5000, 3), np.uint8), "crop it first"),
    ],
)
def test_what_cannot_be_prepared_is_refused(images: npt.NDArray[np.uint8], words: str) -> None:
    with pytest.raises(ImageError, match=words):
        preprocess(images, 32)
