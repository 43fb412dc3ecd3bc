"""Our conversion equals cv_bridge's byte by byte, wherever a ROS installation has cv_bridge."""

from __future__ import annotations

from array import array

import cv2
import numpy as np
import pytest

cv_bridge = pytest.importorskip(
    "cv_bridge", reason="cv_bridge comes with a ROS installation only", exc_type=ImportError
)

from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from vljepa_ros.images import ENCODINGS, rgb_from_compressed, rgb_from_raw  # noqa: E402

BYTES_PER_PX = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono16": 2} | dict.fromkeys(
    ("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), 2
)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_raw_images(encoding: str, big: bool, padding: int) -> None:
    height, width = 22, 32
    step = width * BYTES_PER_PX.get(encoding, 1) + padding
    data = np.random.default_rng(0).integers(0, 256, height * step, np.uint8).tobytes()
    message = Image(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big),
        step=step,
        data=array("B", data),
    )
    ours = rgb_from_raw(
        height=height, width=width, encoding=encoding, is_bigendian=big, step=step, data=data
    )
    theirs = cv_bridge.CvBridge().imgmsg_to_cv2(message, "rgb8")
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_compressed_images(kind: str) -> None:
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    data = cv2.imencode(f".{kind}", cv2.resize(small, (64, 48)))[1].tobytes()
    message = CompressedImage(format=kind, data=array("B", data))
    theirs = cv_bridge.CvBridge().compressed_imgmsg_to_cv2(message, "rgb8")
    np.testing.assert_array_equal(rgb_from_compressed(format_=kind, data=data), theirs)
