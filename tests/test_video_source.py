"""Files and devices as sources of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vljepa_ros import video_source
from vljepa_ros.video_source import SourceError, open_source


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "bgr0"
        for index in range(5):
            picture = av.VideoFrame.from_ndarray(
                np.full((16, 32, 3), (index, 2 * index, 200), np.uint8), format="rgb24"
            )
            # A camera that paused: variable frame rate.
            picture.pts = index if index < 3 else index + 10
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def test_a_file_is_played_in_rgb_and_in_its_own_time_again_and_again(film: Path) -> None:
    source = open_source(str(film))
    assert not source.is_live
    for _ in range(2):
        times_s, pictures = zip(*source.pictures(), strict=True)
        assert times_s == pytest.approx([0.0, 0.1, 0.2, 1.3, 1.4])
        assert [p[0, 0].tolist() for p in pictures] == [[i, 2 * i, 200] for i in range(5)]


def test_a_rate_of_our_own_is_even_and_a_width_keeps_the_shape(film: Path) -> None:
    times_s, pictures = zip(*open_source(str(film), rate_hz=4.0, width=16).pictures(), strict=True)
    assert times_s == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert {p.shape for p in pictures} == {(8, 16, 3)}


def test_a_file_without_pictures_is_refused(tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(SourceError, match="no video stream"):
        open_source(str(sound))


class Device:
    """Stands in for cv2.VideoCapture: three pictures, then it is unplugged."""

    def __init__(self, source: int | str) -> None:
        self.source, self.left, self.released = source, 3, False

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> bool:
        self.rate_hz = value
        return key == cv2.CAP_PROP_FPS

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return self.left >= 0, np.full((4, 8, 3), (10, 20, 30), np.uint8)

    def release(self) -> None:
        self.released = True


def test_a_device_gives_rgb_until_it_is_unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Device] = []
    monkeypatch.setattr(
        video_source.cv2, "VideoCapture", lambda source: made.append(Device(source)) or made[-1]
    )
    source = open_source("3", rate_hz=15.0)
    assert source.is_live and (made[0].source, made[0].rate_hz) == (3, 15.0)
    pictures: list[Any] = []
    with pytest.raises(SourceError, match="3 stopped"):
        for _, picture in source.pictures():
            pictures.append(picture)
    assert len(pictures) == 3 and pictures[0][0, 0].tolist() == [30, 20, 10]
    assert made[0].released
