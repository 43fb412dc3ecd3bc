"""The page of a recording as a real browser shows it, wide and narrow: looked at in screenshots."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_harness import film, picture, write_bag

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings.replay import replay
from vljepa_ros.recordings.report import write_report
from vljepa_ros.recordings.story import Story, read_story
from vljepa_ros.types import ImageHWC

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), ""
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="needs Chromium: apt install chromium"),
]
PICTURE_PX = 240
"""Width of a picture in the page."""
RED, GREEN, BLUE = range(3)
CONFIG = PerceptionConfig(
    labels=("a cube", "a cup"),
    selective=SelectiveConfig(distance_threshold=0.01, noise_factor=0.0, patience_s=0.0),
)


@pytest.fixture(scope="module")
def story(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("recording")
    replay(write_bag(folder / "bag", film(12)), folder / "out.mcap", engine, CONFIG)
    return read_story(folder / "out.mcap")


def seen(story: Story, folder: Path, width: int) -> ImageHWC:
    """What the browser shows of the story's page, in a window of that width."""
    page, shot = folder / "page.html", folder / "shot.png"
    write_report(story, page, force=True)
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += ["--disable-background-networking", "--force-device-scale-factor=1"]
    window = [f"--window-size={width},2400", f"--user-data-dir={folder / 'profile'}"]
    subprocess.run(
        [BROWSER, *options, *window, f"--screenshot={shot}", page.as_uri()],
        check=True,
        timeout=110,
        capture_output=True,
    )
    bgr_HWC = cv2.imread(str(shot))
    assert bgr_HWC is not None and bgr_HWC.shape[1] == width
    return np.asarray(cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB), np.uint8)


def likeness(screen_HWC: ImageHWC, image_HWC: ImageHWC) -> float:
    """Correlation with the place on the screen that is most like the picture [-1..1]."""
    height = round(PICTURE_PX * image_HWC.shape[0] / image_HWC.shape[1])
    wanted = cv2.resize(image_HWC, (PICTURE_PX, height), interpolation=cv2.INTER_LINEAR)
    return float(cv2.matchTemplate(screen_HWC, wanted, cv2.TM_CCOEFF_NORMED).max())


def tinted(screen_HWC: ImageHWC, more: int, less: int) -> int:
    """Pixels with clearly more of one channel than of another."""
    channels = screen_HWC.astype(int)
    return int((channels[..., more] - channels[..., less] > 40).sum())


@pytest.mark.parametrize("width", [1100, 420])
def test_each_picture_is_to_be_seen_whole(story: Story, width: int, tmp_path: Path) -> None:
    screen_HWC = seen(story, tmp_path, width)
    for number in range(3):
        assert likeness(screen_HWC, picture(number)) > 0.95
    assert likeness(screen_HWC, picture(7)) < 0.8


@pytest.mark.parametrize("width", [1100, 420])
def test_texts_and_curves_are_to_be_seen(story: Story, width: int, tmp_path: Path) -> None:
    screen_HWC = seen(dataclasses.replace(story, jpegs={}), tmp_path, width)
    assert tinted(screen_HWC, BLUE, RED) > width, "the curves"
    assert tinted(screen_HWC, RED, GREEN) > width / 8, "the threshold and the events"
    dark = int((screen_HWC.max(axis=2) < 96).sum())
    assert 1000 < dark < screen_HWC.shape[0] * width / 10, "texts on a light page"
    empty = seen(Story(story.source, story.node, {}, {}), tmp_path, width)
    assert tinted(empty, BLUE, RED) == tinted(empty, RED, GREEN) == 0
