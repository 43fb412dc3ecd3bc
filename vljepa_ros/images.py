"""Camera images, raw or compressed, to RGB: the encodings cameras send and the ways they break.

Reads the fields of sensor_msgs/Image and CompressedImage, so nothing here needs ROS. The results
equal cv_bridge's byte by byte (tests/ros/test_cv_bridge.py, wherever cv_bridge is installed).
"""

from __future__ import annotations

import zlib
from array import array
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vljepa_ros.fields import NS_PER_S
from vljepa_ros.types import Frame, ImageHWC

Data: TypeAlias = "bytes | bytearray | memoryview | array[int]"
"""uint8[] as it comes: rclpy delivers array.array('B'), recordings deliver bytes."""

MAX_SIDE_PX = 16_384
MAX_ASPECT = 32
"""A stripe is no picture, and resizing its short edge to the crop would need gigabytes."""


class Fault(str, Enum):
    """What is wrong with a frame; diagnostics count them under these names."""

    ENCODING = "encoding"
    SIZE = "size"
    STEP = "step"
    DATA = "data"
    COMPRESSED = "compressed"
    STAMP = "stamp"


class FrameError(ValueError):
    """A frame that cannot be used; the message says what is wrong with it and the mend."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


def checked_stamp_ns(sec: int, nanosec: int) -> int:
    """Nanoseconds of a stamp.

    Raises:
        FrameError: nanosec ≥ 1e9 or a time before 1970, so the order of frames is unknown.
    """
    if nanosec >= NS_PER_S or sec < 0:
        raise FrameError(
            Fault.STAMP,
            f"stamp {sec} s + {nanosec} ns is no time: nanosec must be below 1e9 and "
            "sec not negative; the camera driver must stamp its images",
        )
    return int(sec) * NS_PER_S + int(nanosec)


def frame_of(message: Any, *, compressed: bool) -> Frame:
    """The frame that a camera sent; its stamp and frame_id are the camera's own.

    Args:
        message: anything with the fields of sensor_msgs/Image, or of CompressedImage.

    Raises:
        FrameError: the image or its stamp cannot be used.
    """
    stamp = message.header.stamp
    stamp_ns = checked_stamp_ns(stamp.sec, stamp.nanosec)
    return Frame(stamp_ns, rgb_of(message, compressed=compressed), message.header.frame_id)


def rgb_of(message: Any, *, compressed: bool) -> ImageHWC:
    """RGB (H, W, 3) of such a message, whatever its stamp.

    Raises:
        FrameError: the image cannot be used.
    """
    if compressed:
        return rgb_from_compressed(format_=message.format, data=message.data)
    return rgb_from_raw(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=bool(message.is_bigendian),
        step=message.step,
        data=message.data,
    )


@dataclass(frozen=True)
class _Layout:
    """How the pixels of one encoding lie in memory and which conversion makes them RGB."""

    channels: int
    bytes_per_channel: int
    conversion: int | None
    even_width: bool = False

    @property
    def bytes_per_px(self) -> int:
        return self.channels * self.bytes_per_channel


_BAYER = {  # OpenCV names a pattern after its second row: BG is what ROS calls rggb
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
_UYVY = _Layout(2, 1, cv2.COLOR_YUV2RGB_UYVY, even_width=True)
_YUYV = _Layout(2, 1, cv2.COLOR_YUV2RGB_YUY2, even_width=True)
_LAYOUTS = {
    "rgb8": _Layout(3, 1, None),
    "bgr8": _Layout(3, 1, cv2.COLOR_BGR2RGB),
    "rgba8": _Layout(4, 1, cv2.COLOR_RGBA2RGB),
    "bgra8": _Layout(4, 1, cv2.COLOR_BGRA2RGB),
    "mono8": _Layout(1, 1, cv2.COLOR_GRAY2RGB),
    "mono16": _Layout(1, 2, cv2.COLOR_GRAY2RGB),
    **{name: _Layout(1, 1, code) for name, code in _BAYER.items()},
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
}
ENCODINGS = tuple(_LAYOUTS)


def rgb_from_raw(
    *, height: int, width: int, encoding: str, is_bigendian: bool, step: int, data: Data
) -> ImageHWC:
    """RGB (H, W, 3) of a raw image with `step` bytes a row.

    rgb8 without row padding comes back as a view of `data`, everything else as a copy.

    Raises:
        FrameError: unknown encoding, impossible size, a step or data length that does not fit.
    """
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        raise FrameError(
            Fault.ENCODING,
            f"image encoding {encoding!r} is not known; publish one of {', '.join(ENCODINGS)}",
        )
    _check_size(height, width)
    if layout.even_width and width % 2:
        raise FrameError(
            Fault.SIZE, f"{encoding} shares colour between two pixels: width {width} must be even"
        )
    bytes_B = np.frombuffer(data, np.uint8)
    _check_lengths(
        height, width, encoding, bytes_per_px=layout.bytes_per_px, step=step, size=bytes_B.size
    )
    rows_HB = bytes_B.reshape(height, step)[:, : width * layout.bytes_per_px]
    pixels = np.ascontiguousarray(rows_HB)
    if layout.bytes_per_channel == 2:
        pixels = _eight_bit(pixels.view(">u2" if is_bigendian else "<u2"))
    pixels = pixels.reshape(height, width, layout.channels)
    if layout.conversion is None:
        return pixels
    return _convert(pixels, layout.conversion)


def rgb_from_compressed(*, format_: str, data: Data) -> ImageHWC:
    """RGB (H, W, 3) of a JPEG or PNG; `format_` as image_transport writes it.

    The data decide whether it is JPEG or PNG; `format_` says the order of colours
    ("rgb8; jpeg compressed bgr8") and whether a grey picture is a Bayer mosaic.

    Raises:
        FrameError: neither JPEG nor PNG, truncated, corrupt, or of an impossible size.
    """
    if "compressedDepth" in format_:
        raise FrameError(
            Fault.ENCODING, f"format {format_!r} is a depth image; subscribe to a colour topic"
        )
    raw = bytes(data)
    _check_size(*_encoded_size_hw(raw, format_))
    try:
        pixels: npt.NDArray[Any] | None = cv2.imdecode(
            np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED
        )
    except cv2.error as error:
        raise FrameError(Fault.COMPRESSED, f"compressed image is corrupt: {error.err}") from error
    if pixels is None:
        raise FrameError(Fault.COMPRESSED, "compressed image is corrupt: it cannot be decoded")
    if pixels.dtype == np.uint16:
        pixels = _eight_bit(pixels)
    return _decoded_to_rgb(pixels, format_)


# --- checks ------------------------------------------------------------------------------------


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise FrameError(Fault.SIZE, f"image of {width}x{height} pixels is empty")
    long, short = max(height, width), min(height, width)
    if long > MAX_SIDE_PX or long > short * MAX_ASPECT:
        raise FrameError(
            Fault.SIZE,
            f"image of {width}x{height} pixels: a side may have at most {MAX_SIDE_PX} pixels "
            f"and at most {MAX_ASPECT} times the other side",
        )


def _check_lengths(
    height: int, width: int, encoding: str, *, bytes_per_px: int, step: int, size: int
) -> None:
    if step < width * bytes_per_px:
        raise FrameError(
            Fault.STEP,
            f"step {step} is shorter than a row: {width} pixels of {encoding} take "
            f"{width * bytes_per_px} bytes; is the encoding right?",
        )
    if size < height * step:
        raise FrameError(
            Fault.DATA,
            f"image data are truncated: {size} bytes, height x step = {height}x{step} = "
            f"{height * step}",
        )
    if size > height * step:
        raise FrameError(
            Fault.DATA,
            f"image data are mislabelled: {size} bytes, but height x step = {height}x{step} = "
            f"{height * step}; is the encoding {encoding} right?",
        )


# --- compressed data ---------------------------------------------------------------------------

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_JPEG_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_JPEG_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA


def _encoded_size_hw(raw: bytes, format_: str) -> tuple[int, int]:
    """Height and width, after checks that the decoder does not make: OpenCV pads what is cut."""
    if raw.startswith(_PNG_MAGIC):
        return _png_size_hw(raw)
    if raw.startswith(_JPEG_MAGIC):
        return _jpeg_size_hw(raw)
    raise FrameError(
        Fault.COMPRESSED,
        f"compressed image (format {format_!r}, {len(raw)} bytes) is neither JPEG nor PNG",
    )


def _png_size_hw(raw: bytes) -> tuple[int, int]:
    at = len(_PNG_MAGIC)
    while at + 12 <= len(raw):
        end = at + 8 + _big_endian(raw, at, 4)
        if end + 4 > len(raw) or zlib.crc32(raw[at + 4 : end]) != _big_endian(raw, end, 4):
            break
        if raw[at + 4 : at + 8] == b"IEND":
            return _big_endian(raw, 20, 4), _big_endian(raw, 16, 4)
        at = end + 4
    raise FrameError(
        Fault.COMPRESSED, f"PNG of {len(raw)} bytes is truncated or corrupt at byte {at}"
    )


def _jpeg_size_hw(raw: bytes) -> tuple[int, int]:
    size_hw, at = None, 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _JPEG_NO_LENGTH:
            at += 2
        elif marker == _JPEG_SCAN:
            break
        else:
            if marker in _JPEG_FRAME:
                size_hw = _big_endian(raw, at + 5, 2), _big_endian(raw, at + 7, 2)
            at += 2 + _big_endian(raw, at + 2, 2)
    if size_hw is None:
        raise FrameError(Fault.COMPRESSED, f"JPEG of {len(raw)} bytes is corrupt: no frame header")
    # Pixels cannot hold the end marker (0xFF is escaped), so one behind the header ends the
    # picture; what some cameras append after it does no harm.
    if raw.rfind(_JPEG_END, at) < 0:
        raise FrameError(Fault.COMPRESSED, f"JPEG of {len(raw)} bytes is truncated: no end marker")
    return size_hw


def _big_endian(raw: bytes, at: int, size: int) -> int:
    return int.from_bytes(raw[at : at + size], "big")


def _decoded_to_rgb(pixels: npt.NDArray[Any], format_: str) -> ImageHWC:
    encoding, _, stored = format_.partition(";")
    if pixels.ndim == 2:
        return _convert(pixels, _BAYER.get(encoding.strip(), cv2.COLOR_GRAY2RGB))
    # image_transport: "compressed rgb8" means that the encoder was fed RGB as if it were BGR.
    already_rgb = "compressed rgb" in stored
    if pixels.shape[2] == 4:
        return _convert(pixels, cv2.COLOR_RGBA2RGB if already_rgb else cv2.COLOR_BGRA2RGB)
    return pixels if already_rgb else _convert(pixels, cv2.COLOR_BGR2RGB)


# --- pixels ------------------------------------------------------------------------------------


def _convert(pixels: npt.NDArray[Any], code: int) -> ImageHWC:
    image_HWC: ImageHWC = cv2.cvtColor(pixels, code)
    return image_HWC


def _eight_bit(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """16 bit to 8 bit: x * 255 / 65535 rounded, which is x / 257 and never lies between two."""
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
