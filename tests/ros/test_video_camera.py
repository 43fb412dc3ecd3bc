"""The running node `video_camera`, alone and in front of the perception node."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from ros_harness import (
    LATCHED,
    Client,
    NodeProcess,
    endpoints_declared,
    endpoints_of,
    wait_until,
)
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import UInt64

from vljepa_ros.images import rgb_from_compressed, rgb_from_raw
from vljepa_ros.ros.interface import VIDEO_CAMERA

pytestmark = pytest.mark.ros
FRAMES = 24
RATE_HZ = 12


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds; every picture another grey, so that each can be told from the others."""
    path = tmp_path_factory.mktemp("video") / "greys.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE_HZ)
        stream.width, stream.height, stream.bit_rate = 64, 48, 4_000_000
        for index in range(FRAMES):
            grey_HWC = np.full((48, 64, 3), 10 * index + 10, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey_HWC, format="rgb24")))
        container.mux(stream.encode())
    return path


class Viewer:
    """Hears everything a video_camera publishes."""

    def __init__(self, client: Client) -> None:
        self.raw: list[Image] = []
        self.compressed: list[CompressedImage] = []
        self.finished: list[int] = []
        self._node = client.node
        self._subscriptions = [
            self._node.create_subscription(Image, "/image", self.raw.append, 100),
            self._node.create_subscription(
                CompressedImage, "/image/compressed", self.compressed.append, 100
            ),
            self._node.create_subscription(
                UInt64,
                "/video_camera/finished",
                lambda message: self.finished.append(message.data),
                LATCHED,
            ),
        ]

    def close(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


@pytest.fixture
def viewer(session_client: Client) -> Iterator[Viewer]:
    session_client.drop_publishers()
    viewer = Viewer(session_client)
    yield viewer
    viewer.close()


def camera(tmp_path: Path, **parameters: object) -> NodeProcess:
    arguments = [a for name, value in parameters.items() for a in ("-p", f"{name}:={value}")]
    return NodeProcess("vljepa_ros.ros.video_camera", tmp_path / "log", *arguments)


def test_a_video_is_published_whole_at_its_rate_and_the_process_ends(
    tmp_path: Path, video: Path, viewer: Viewer
) -> None:
    process = camera(
        tmp_path, source=video, wait_for_subscribers=2, transport="both", frame_id="lens"
    )
    assert process.wait() == 0, process.log
    wait_until(lambda: viewer.finished == [FRAMES], "the number of images sent")
    wait_until(lambda: len(viewer.compressed) == len(viewer.raw) == FRAMES, "every image")
    greys = []
    for raw, compressed in zip(viewer.raw, viewer.compressed, strict=True):
        rgb_HWC = rgb_from_raw(
            height=raw.height,
            width=raw.width,
            encoding=raw.encoding,
            is_bigendian=False,
            step=raw.step,
            data=raw.data,
        )
        greys.append(float(rgb_HWC.mean()))
        again_HWC = rgb_from_compressed(format_=compressed.format, data=compressed.data)
        assert again_HWC.mean() == pytest.approx(rgb_HWC.mean(), abs=3.0)
        assert raw.header == compressed.header and raw.header.frame_id == "lens"
    assert greys == pytest.approx([10 * i + 10 for i in range(FRAMES)], abs=6.0)
    stamps_s = [m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in viewer.raw]
    assert all(np.diff(stamps_s) > 0)
    # Never faster than the video, however busy the machine.
    assert stamps_s[-1] - stamps_s[0] > 0.5 * (FRAMES - 1) / RATE_HZ
    assert f"finished: {FRAMES} images sent" in process.log


def test_it_has_the_topics_that_are_declared(
    tmp_path: Path, video: Path, session_client: Client
) -> None:
    process = camera(tmp_path, source=video, transport="both", wait_for_subscribers=99)
    try:
        process.wait_for_log("waiting for 99 subscribers")
        node, declared = session_client.node, endpoints_declared(VIDEO_CAMERA, "/")
        wait_until(lambda: endpoints_of(node, "video_camera", "/") == declared, "its topics")
    finally:
        process.end()


def test_looping_at_another_rate_size_and_encoding_until_interrupted(
    tmp_path: Path, video: Path, viewer: Viewer
) -> None:
    process = camera(tmp_path, source=video, loop="true", rate_hz=200.0, width=32, encoding="bgr8")
    try:
        wait_until(lambda: len(viewer.raw) > 2 * FRAMES, "a third round")
    finally:
        process.signal(signal.SIGINT, signal.SIGINT)
    assert process.wait() == 0, process.log
    assert "Traceback" not in process.log
    assert not viewer.finished
    message = viewer.raw[-1]
    assert (message.width, message.height, message.step) == (32, 24, 96)
    assert message.encoding == "bgr8" and not viewer.compressed


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({}, "parameter source"),
        ({"source": "/nowhere.mp4"}, "/nowhere.mp4 does not exist"),
        ({"source": "/dev/video97"}, "/dev/video97 cannot be opened"),
        ({"source": "BROKEN"}, "broken"),
        ({"source": "CUT"}, "broken"),
        ({"source": "VIDEO", "rate_hz": -1.0}, "rate_hz must lie in"),
        ({"source": "VIDEO", "encoding": "rgb9"}, "encoding must be one of"),
        ({"source": "VIDEO", "sauce": "x"}, "sauce is unknown"),
    ],
)
def test_a_source_or_parameter_that_cannot_be_used_ends_it_with_a_reason(
    tmp_path: Path, video: Path, parameters: dict[str, object], word: str
) -> None:
    broken, cut = tmp_path / "broken.mp4", tmp_path / "cut.mp4"
    broken.write_bytes(b"not a video at all " * 100)
    cut.write_bytes(video.read_bytes()[:2000])
    files = {"VIDEO": video, "BROKEN": broken, "CUT": cut}
    chosen = {name: files.get(str(value), value) for name, value in parameters.items()}
    process = camera(tmp_path, **chosen)
    assert process.wait() == 1
    assert word in process.log and "Traceback" not in process.log


def test_every_image_of_a_video_becomes_a_state_or_a_drop(
    tmp_path: Path, video: Path, active: Client
) -> None:
    finished: list[int] = []
    subscription = active.node.create_subscription(
        UInt64, "/video_camera/finished", lambda m: finished.append(m.data), LATCHED
    )
    process = camera(tmp_path, source=video, wait_for_subscribers=1, rate_hz=60.0)
    assert process.wait() == 0, process.log
    assert wait_until(lambda: finished, "the end")[0] == FRAMES

    def all_accounted() -> bool:
        return bool(active.states) and (
            len(active.states) + active.states[-1].dropped_frames == FRAMES
        )

    wait_until(all_accounted, "states and drops that make up all frames")
    active.node.destroy_subscription(subscription)
    assert active.states[0].header.frame_id == "camera"
