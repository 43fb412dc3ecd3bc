"""What perception saw with what it said of it, as an image; drawn only while someone looks.

Shapes: H height, W width, C = 3.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image

from vljepa_ros.ros import conversions, qos
from vljepa_ros.types import Frame, ImageHWC, SemanticState

WIDTH_PX = 640
LINE_PX = 26
LINES = 2
FONT, FONT_SCALE, MARGIN_PX = cv2.FONT_HERSHEY_SIMPLEX, 0.55, 8
WHITE, LINE, LIMIT = (255, 255, 255), (79, 163, 224), (224, 80, 80)


class DebugImages:
    """The debug topic of one camera. `show` is called on the worker's thread."""

    def __init__(self, node: LifecycleNode, topic: str) -> None:
        self._node = node
        self._publisher = node.create_lifecycle_publisher(Image, topic, qos.STATE)

    def show(self, draw: Callable[[], Image]) -> None:
        """Draw and publish, if someone has subscribed."""
        if self._publisher.get_subscription_count():
            self._publisher.publish(draw())

    def close(self) -> None:
        self._node.destroy_lifecycle_publisher(self._publisher)


def debug_message(frame: Frame, state: SemanticState, caption: str) -> Image:
    """`drawn` as a message with the stamp and frame_id of the image."""
    return conversions.image_message(
        drawn(frame.image_HWC, state, caption), when_ns=frame.stamp_ns, frame_id=frame.frame_id
    )


def drawn(image_HWC: ImageHWC, state: SemanticState, caption: str) -> ImageHWC:
    """The image, WIDTH_PX wide; below it the caption, and the change score against its threshold.

    Letters beyond ASCII, which OpenCV cannot draw, become question marks.
    """
    height = max(1, round(WIDTH_PX * image_HWC.shape[0] / image_HWC.shape[1]))
    canvas_HWC = np.zeros((height + LINES * LINE_PX + MARGIN_PX, WIDTH_PX, 3), np.uint8)
    canvas_HWC[:height] = cv2.resize(image_HWC, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    _bar(canvas_HWC, height, state)
    said = f"state {state.state_id}: {caption or '(no caption)'}"
    scores = f"change {state.change_score:.2f} of {state.change_threshold:.2f}"
    if state.labels:
        best = max(state.labels, key=lambda label: label.probability)
        scores += f"  {best.label} {best.probability:.2f}"
    for number, text in enumerate((said, scores), start=1):
        _write(canvas_HWC, text, height + MARGIN_PX + number * LINE_PX - 8)
    return canvas_HWC


def _bar(canvas_HWC: ImageHWC, top: int, state: SemanticState) -> None:
    """Score as a bar and threshold as a mark, the whole width being the larger one or 1."""
    most = max(1.0, state.change_score, state.change_threshold)
    score_px = round(WIDTH_PX * max(state.change_score, 0.0) / most)
    limit_px = min(round(WIDTH_PX * state.change_threshold / most), WIDTH_PX - 2)
    canvas_HWC[top : top + MARGIN_PX, :score_px] = LINE
    canvas_HWC[top : top + MARGIN_PX, limit_px : limit_px + 2] = LIMIT


def _write(canvas_HWC: ImageHWC, text: str, baseline: int) -> None:
    plain = text.encode("ascii", "replace").decode()
    width = cv2.getTextSize(plain, FONT, FONT_SCALE, 1)[0][0]
    scale = FONT_SCALE * min(1.0, (WIDTH_PX - 2 * MARGIN_PX) / max(width, 1))
    place = (MARGIN_PX, baseline)
    cv2.putText(canvas_HWC, plain, place, FONT, scale, WHITE, 1, cv2.LINE_AA)
