"""Which topic a camera is heard on, and how lost images are counted by the publisher's numbers."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from ros_harness import image, picture

from vljepa_ros.ros import qos
from vljepa_ros.ros.camera_input import CameraInput
from vljepa_ros.ros.health import CameraMeter


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


def listen(
    context: Context, *remaps: str, transport: str = "raw", meter: CameraMeter | None = None
) -> CameraInput:
    arguments = ["--ros-args", *(part for remap in remaps for part in ("-r", remap))]
    node = Node("eye_test", context=context, namespace="robot", cli_args=arguments)
    return CameraInput(
        node,
        topic="image",
        transport=transport,
        reliability="auto",
        meter=meter or CameraMeter(),
        take=lambda message: None,
    )


@pytest.mark.parametrize(
    ("transport", "remaps", "topic"),
    [
        ("raw", [], "/robot/image"),
        ("raw", ["image:=/cam/image_raw"], "/cam/image_raw"),
        ("compressed", [], "/robot/image/compressed"),
        ("compressed", ["image:=/cam/image_raw"], "/cam/image_raw/compressed"),
        ("compressed", ["image/compressed:=/cam/jpeg"], "/cam/jpeg"),
        ("compressed", ["image:=/cam/raw", "image/compressed:=/cam/jpeg"], "/cam/jpeg"),
    ],
)
def test_the_topic_is_found_as_image_transport_does(
    context: Context, transport: str, remaps: list[str], topic: str
) -> None:
    heard = listen(context, *remaps, transport=transport)
    assert heard.topic == topic
    assert heard._subscription is not None
    assert heard._subscription.topic_name == topic


@pytest.mark.parametrize(
    ("publishers", "numbers", "lost"),
    [
        (1, [5, 6, 7], 0),
        (1, [5, 9, 10, 20], 12),
        (0, [5, 7], 1),  # the last images of a camera that has ended meanwhile
        (1, [50, 1, 2], 0),  # a publisher that was started again
        (2, [5, 100, 6, 101], 0),  # two that count each for itself
        (1, [None, None], 0),  # a middleware that does not tell
    ],
)
def test_lost_images_are_counted(
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    publishers: int,
    numbers: list[int | None],
    lost: int,
) -> None:
    meter = CameraMeter()
    heard = listen(context, meter=meter)
    monkeypatch.setattr(heard, "_found", lambda: [object()] * publishers)
    for number in numbers:
        heard._on_image(image(picture(), 1), {"publication_sequence_number": number})
    assert meter.loss == (lost, len(numbers))


@pytest.mark.parametrize(("publishers", "lost"), [(0, 2), (1, 0)])
def test_the_first_images_of_a_camera_that_comes_later_count(
    context: Context, monkeypatch: pytest.MonkeyPatch, publishers: int, lost: int
) -> None:
    """Of one that was there before us nobody knows what it sent since."""
    meter = CameraMeter()
    heard = listen(context, meter=meter)
    there = offering(*[RELIABLE] * publishers)
    monkeypatch.setattr(heard, "_found", lambda: there)
    heard.look()
    for number in (3, 4):
        heard._on_image(image(picture(), 1), {"publication_sequence_number": number})
    assert meter.loss == (lost, 2)


def offering(*kinds: ReliabilityPolicy) -> list[Any]:
    return [SimpleNamespace(qos_profile=SimpleNamespace(reliability=kind)) for kind in kinds]


BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE


@pytest.mark.parametrize(
    ("setting", "offers", "reliable"),
    [
        ("auto", (), True),
        ("auto", (RELIABLE,), True),
        ("auto", (BEST_EFFORT,), False),
        ("auto", (RELIABLE, BEST_EFFORT), False),
        ("reliable", (BEST_EFFORT,), True),
        ("best_effort", (RELIABLE,), False),
    ],
)
def test_reliability_follows_the_publishers(
    setting: str, offers: tuple[ReliabilityPolicy, ...], reliable: bool
) -> None:
    assert qos.follow(setting, offering(*offers)) is reliable
