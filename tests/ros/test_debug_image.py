"""The debug image: what is drawn in it, and that nothing is drawn while nobody looks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.signals import SignalHandlerOptions
from ros_harness import Client, picture, wait_until
from sensor_msgs.msg import Image

from vljepa_ros.ros.debug_image import LIMIT, LINE, WIDTH_PX, DebugImages, drawn
from vljepa_ros.types import LabelScore, SemanticState

pytestmark = pytest.mark.ros
CAPTION = "the gripper lifts the red cube"


def state(
    score: float = 0.25, threshold: float = 0.5, labels: tuple[str, ...] = ()
) -> SemanticState:
    scores = tuple(LabelScore(label, 0.1, 0.5) for label in labels)
    unit_E = np.ones(1, np.float32)
    return SemanticState(1, "lens", "eye", 0, "?", unit_E, scores, 7, 0, False, score, threshold)


def count(image_HWC: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((image_HWC == colour).all(axis=2).sum())


def test_the_picture_comes_first_and_the_score_is_a_bar_against_its_threshold() -> None:
    seen_HWC = picture(3, 48, 64)
    image_HWC = drawn(seen_HWC, state(), CAPTION)
    assert image_HWC.dtype == np.uint8 and image_HWC.shape == (480 + 60, WIDTH_PX, 3)
    larger_HWC = cv2.resize(seen_HWC, (640, 480), interpolation=cv2.INTER_AREA)
    assert np.array_equal(image_HWC[:480], larger_HWC)
    assert count(image_HWC[480:], LINE) == 160 * 8 and count(image_HWC[480:], LIMIT) == 2 * 8
    assert count(drawn(seen_HWC, state(0.9, 0.5), "")[480:], LINE) == (576 - 2) * 8
    assert count(drawn(seen_HWC, state(-0.1, 1.0), "")[480:], LINE) == 0


@pytest.mark.parametrize("caption", ["", "机器人打开抽屉", "word " * 200])
def test_any_caption_is_drawn_within_the_image(caption: str) -> None:
    seen_HWC = picture(3)
    image_HWC = drawn(seen_HWC, state(labels=("a cup", "наклейка")), caption)
    assert not np.array_equal(image_HWC, drawn(seen_HWC, state(), CAPTION))
    assert (image_HWC[488:] > 64).any() and not image_HWC[488:, WIDTH_PX - 4 :].any()


@pytest.fixture
def node() -> Iterator[LifecycleNode]:
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # they would outlive the test
    node = LifecycleNode("debugger")
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def test_nothing_is_drawn_while_nobody_looks(node: LifecycleNode) -> None:
    debug_images = DebugImages(node, "~/debug_image")
    node.trigger_configure()
    node.trigger_activate()
    times: list[int] = []

    def draw() -> Image:
        times.append(1)
        return Image()

    for _ in range(5):
        debug_images.show(draw)
    assert not times
    subscription = node.create_subscription(Image, "~/debug_image", lambda image: None, 1)

    def someone_looks() -> bool:
        debug_images.show(draw)
        return bool(times)

    wait_until(someone_looks, "an image for who looks")
    node.destroy_subscription(subscription)
    wait_until(lambda: not debug_images._publisher.get_subscription_count(), "nobody looking")
    drawn_before = len(times)
    debug_images.show(draw)
    assert len(times) == drawn_before
    debug_images.close()


def test_the_running_node_shows_what_it_saw_with_the_stamp_of_the_camera(active: Client) -> None:
    images: list[Image] = []
    subscription = active.node.create_subscription(
        Image, "/perception/debug_image", images.append, 9
    )
    try:
        begin_ns = time.time_ns()
        for number in range(50):  # until both sides have found each other
            state = active.see(3, stamp_ns=begin_ns + number * 250_000_000)
            if images:
                break
        shown = wait_until(lambda: images and images[0], "a debug image")
    finally:
        active.node.destroy_subscription(subscription)
    assert (shown.encoding, shown.width, shown.height) == ("rgb8", WIDTH_PX, 480 + 60)
    assert shown.header.frame_id == "lens" and shown.header.stamp.sec >= begin_ns // 10**9
    assert shown.header.stamp.sec <= state.header.stamp.sec
    image_HWC = np.frombuffer(shown.data, np.uint8).reshape(shown.height, shown.width, 3)
    larger_HWC = cv2.resize(picture(3), (640, 480), interpolation=cv2.INTER_AREA)
    assert np.array_equal(image_HWC[:480], larger_HWC)
