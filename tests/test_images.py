"""Every encoding against its definition in numpy, and every way an image can be broken."""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from vljepa_ros.images import (
    ENCODINGS,
    Fault,
    FrameError,
    rgb_from_compressed,
    rgb_from_raw,
)

HEIGHT, WIDTH = 6, 8
RGB_HWC = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GREY_HW = RGB_HWC[..., 1]
ALPHA_HW1 = np.full((HEIGHT, WIDTH, 1), 77, np.uint8)


def raw(pixels: npt.NDArray[Any], encoding: str, *, padding: int = 0, **fields: Any) -> Any:
    """Decode an array laid out as `encoding` says, each row followed by `padding` bytes."""
    rows = pixels.reshape(HEIGHT, -1).view(np.uint8)
    padded = np.concatenate([rows, np.full((HEIGHT, padding), 255, np.uint8)], axis=1)
    known = {
        "height": HEIGHT,
        "width": WIDTH,
        "encoding": encoding,
        "is_bigendian": False,
        "step": padded.shape[1],
        "data": array("B", padded.tobytes()),
    }
    return rgb_from_raw(**{**known, **fields})


@pytest.mark.parametrize("padding", [0, 1, 5, 64])
@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", RGB_HWC),
        ("bgr8", RGB_HWC[..., ::-1].copy()),
        ("rgba8", np.concatenate([RGB_HWC, ALPHA_HW1], axis=2)),
        ("bgra8", np.concatenate([RGB_HWC[..., ::-1], ALPHA_HW1], axis=2)),
    ],
)
def test_colour_orders_and_row_padding(
    encoding: str, pixels: npt.NDArray[Any], padding: int
) -> None:
    np.testing.assert_array_equal(raw(pixels, encoding, padding=padding), RGB_HWC)


@pytest.mark.parametrize("padding", [0, 3])
def test_grey(padding: int) -> None:
    np.testing.assert_array_equal(
        raw(GREY_HW, "mono8", padding=padding), np.repeat(GREY_HW[..., None], 3, axis=2)
    )


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 2, 3])
def test_16_bit_grey_in_both_byte_orders(big: bool, padding: int) -> None:
    values = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    stored = values.astype(">u2" if big else "<u2")
    expected = np.round(values.astype(np.float64) * 255 / 65535).astype(np.uint8)
    decoded = raw(stored, "mono16", padding=padding, is_bigendian=big)
    np.testing.assert_array_equal(decoded, np.repeat(expected[..., None], 3, axis=2))
    assert decoded.min() == 0 and decoded.max() == 255


@pytest.mark.parametrize(
    ("encoding", "pattern"),
    [
        ("bayer_rggb8", "RGGB"),
        ("bayer_bggr8", "BGGR"),
        ("bayer_gbrg8", "GBRG"),
        ("bayer_grbg8", "GRBG"),
    ],
)
def test_bayer_mosaics_of_an_even_colour(encoding: str, pattern: str) -> None:
    colour = {"R": 200, "G": 100, "B": 50}
    tile = np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2)
    decoded = raw(np.tile(tile, (HEIGHT // 2, WIDTH // 2)), encoding)
    np.testing.assert_array_equal(decoded.reshape(-1, 3), [[200, 100, 50]] * (HEIGHT * WIDTH))


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")],
)
def test_yuv_422_with_two_brightnesses_a_pair(encoding: str, order: str) -> None:
    u, v = 90, 160
    bright = iter([60, 180])
    pair = [{"U": u, "V": v}.get(c) or next(bright) for c in order]
    decoded = raw(np.tile(np.array(pair, np.uint8), (HEIGHT, WIDTH // 2)), encoding)
    for x, y in ((0, 60), (1, 180)):  # BT.601, video range
        luma = 1.164 * (y - 16)
        expected = [
            luma + 1.596 * (v - 128),
            luma - 0.813 * (v - 128) - 0.391 * (u - 128),
            luma + 2.018 * (u - 128),
        ]
        assert decoded[0, x].tolist() == pytest.approx(np.clip(expected, 0, 255), abs=1.5)


def test_unpadded_rgb_is_not_copied() -> None:
    data = array("B", RGB_HWC.tobytes())
    decoded = raw(RGB_HWC, "rgb8", data=data)
    data[0] ^= 255
    assert decoded[0, 0, 0] == data[0]


@pytest.mark.parametrize(
    ("fields", "fault", "word"),
    [
        ({"encoding": "rgb9"}, Fault.ENCODING, "rgb9"),
        ({"encoding": ""}, Fault.ENCODING, "publish one of"),
        ({"height": 0}, Fault.SIZE, "empty"),
        ({"width": 0}, Fault.SIZE, "empty"),
        ({"width": 2**31}, Fault.SIZE, "at most"),
        ({"height": 1, "width": 48, "step": 144}, Fault.SIZE, "times the other"),
        ({"encoding": "yuyv", "width": 7}, Fault.SIZE, "even"),
        ({"step": 23}, Fault.STEP, "shorter than a row"),
        ({"step": 0}, Fault.STEP, "shorter than a row"),
        ({"encoding": "rgba8"}, Fault.STEP, "32 bytes"),
        ({"data": array("B", RGB_HWC.tobytes()[:-1])}, Fault.DATA, "truncated"),
        ({"data": b""}, Fault.DATA, "truncated"),
        ({"encoding": "mono8", "step": 8}, Fault.DATA, "mislabelled"),
    ],
)
def test_a_broken_raw_image_says_what_is_wrong(
    fields: dict[str, Any], fault: Fault, word: str
) -> None:
    with pytest.raises(FrameError, match=word) as caught:
        raw(RGB_HWC, fields.pop("encoding", "rgb8"), **fields)
    assert caught.value.fault is fault


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("seed", range(20))
def test_no_combination_of_fields_raises_anything_else(encoding: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [0, 1, 2, 3, 7, 8, 64, 2**32 - 1]
    for _ in range(20):
        try:
            decoded = rgb_from_raw(
                height=int(rng.choice(sizes)),
                width=int(rng.choice(sizes)),
                encoding=encoding,
                is_bigendian=bool(rng.integers(2)),
                step=int(rng.choice([*sizes, 16, 24, 192])),
                data=bytes(int(rng.choice([0, 1, 64, 192, 512, 1536]))),
            )
        except FrameError:
            continue
        assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3


# --- compressed --------------------------------------------------------------------------------

SMOOTH_HWC = cv2.resize(RGB_HWC, (64, 48), interpolation=cv2.INTER_CUBIC)
BGR_HWC = SMOOTH_HWC[..., ::-1].copy()


def encoded(kind: str, pixels: npt.NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(f".{kind}", pixels)[1].tobytes())


JPEG, PNG = encoded("jpg", BGR_HWC), encoded("png", BGR_HWC)


@pytest.mark.parametrize("format_", ["png", "jpeg", "", "bgr8; png compressed bgr8"])
def test_png_is_exact_whatever_the_format_says(format_: str) -> None:
    np.testing.assert_array_equal(rgb_from_compressed(format_=format_, data=PNG), SMOOTH_HWC)


def test_jpeg_is_near_and_padding_behind_it_does_no_harm() -> None:
    for data in (JPEG, JPEG + bytes(100), JPEG + b"made by a camera"):
        decoded = rgb_from_compressed(format_="rgb8; jpeg compressed bgr8", data=data)
        assert np.abs(decoded.astype(int) - SMOOTH_HWC).mean() < 6.0


def test_a_format_that_says_rgb_was_stored_so() -> None:
    stored = encoded("png", SMOOTH_HWC)
    decoded = rgb_from_compressed(format_="rgb8; png compressed rgb8", data=stored)
    np.testing.assert_array_equal(decoded, SMOOTH_HWC)


def test_grey_16_bit_and_transparent_png() -> None:
    grey = SMOOTH_HWC[..., 0]
    decoded = rgb_from_compressed(format_="png", data=encoded("png", grey))
    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=2))
    deep = rgb_from_compressed(format_="png", data=encoded("png", grey.astype(np.uint16) * 257))
    np.testing.assert_array_equal(deep, decoded)
    clear = np.concatenate([BGR_HWC, np.full((48, 64, 1), 9, np.uint8)], axis=2)
    np.testing.assert_array_equal(
        rgb_from_compressed(format_="png", data=encoded("png", clear)), SMOOTH_HWC
    )


def test_a_compressed_bayer_mosaic_is_demosaiced() -> None:
    tile = np.array([[200, 100], [100, 50]], np.uint8)
    stored = encoded("png", np.tile(tile, (8, 8)))
    decoded = rgb_from_compressed(format_="bayer_rggb8; png compressed ", data=stored)
    assert np.unique(decoded.reshape(-1, 3), axis=0).tolist() == [[200, 100, 50]]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "neither"),
        (b"hello", "neither"),
        (encoded("bmp", BGR_HWC), "neither"),
        (JPEG[:2], "neither"),
        (JPEG[:20], "no frame header"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:-2], "truncated"),
        (JPEG[:4] + b"\xff\xff" + JPEG[6:], "no frame header"),
        (PNG[:8], "truncated"),
        (PNG[:-1], "truncated"),
        (PNG[:50] + bytes([PNG[50] ^ 1]) + PNG[51:], "corrupt"),
    ],
)
def test_a_broken_compressed_image_says_what_is_wrong(data: bytes, word: str) -> None:
    with pytest.raises(FrameError, match=word) as caught:
        rgb_from_compressed(format_="jpeg", data=data)
    assert caught.value.fault is Fault.COMPRESSED


def test_a_header_of_gigapixels_is_refused_before_it_is_decoded() -> None:
    at = JPEG.index(b"\xff\xc0") + 5
    with pytest.raises(FrameError) as caught:
        rgb_from_compressed(format_="jpeg", data=JPEG[:at] + b"\xff\xff\xff\xff" + JPEG[at + 4 :])
    assert caught.value.fault is Fault.SIZE


def test_a_depth_image_is_refused() -> None:
    with pytest.raises(FrameError, match="depth"):
        rgb_from_compressed(format_="16UC1; compressedDepth png", data=PNG)


@pytest.mark.parametrize("whole", [JPEG, PNG], ids=["jpeg", "png"])
def test_no_damage_raises_anything_else(whole: bytes) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 4):
            damaged[at] = rng.integers(256)
        try:
            decoded = rgb_from_compressed(format_="jpeg", data=bytes(damaged))
        except FrameError:
            continue
        assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3
