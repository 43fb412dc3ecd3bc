"""The list of cameras: topics of each, and every name that cannot be one."""

from __future__ import annotations

import pytest
from rclpy.validate_topic_name import validate_topic_name

from vljepa_ros.config import ConfigError, PerceptionConfig
from vljepa_ros.ros.cameras import cameras_of
from vljepa_ros.ros.interface import EVENT, IMAGE, STATE


def test_without_a_list_there_is_one_camera_on_the_plain_topics() -> None:
    (camera,) = cameras_of(PerceptionConfig(camera="eye of the needle"))
    assert camera.name == "eye of the needle"
    assert IMAGE.of(camera) == "image"
    assert STATE.of(camera) == "~/semantic_state"
    assert EVENT.of(camera) == "~/semantic_event"


@pytest.mark.parametrize("names", [("left",), ("left", "right_2", "W")])
def test_each_camera_of_a_list_has_topics_of_its_own(names: tuple[str, ...]) -> None:
    cameras = cameras_of(PerceptionConfig(cameras=names))
    assert tuple(camera.name for camera in cameras) == names
    for camera in cameras:
        assert IMAGE.of(camera) == f"{camera.name}/image"
        assert STATE.of(camera) == f"~/{camera.name}/semantic_state"
        assert EVENT.of(camera) == f"~/{camera.name}/semantic_event"
        assert all(validate_topic_name(topic.of(camera)) for topic in (IMAGE, STATE, EVENT))


@pytest.mark.parametrize(
    "name",
    ["", " ", "2nd", "_left", "left_", "a__b", "left/wrist", "left eye", "ä", "a\n", "~", "é"],
)
def test_a_name_that_no_topic_can_have_is_refused_with_the_mend(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cameras_of(PerceptionConfig(cameras=("right", name)))
    assert "cameras[1]" in str(caught.value) and repr(name) in str(caught.value)
    assert "begin with a letter" in str(caught.value)


def test_a_name_given_twice_and_one_that_is_taken_are_refused() -> None:
    with pytest.raises(ConfigError, match="'left' twice; give each"):
        cameras_of(PerceptionConfig(cameras=("left", "right", "left")))
    with pytest.raises(ConfigError, match="another name"):
        cameras_of(PerceptionConfig(cameras=("left", "model")))
    with pytest.raises(ConfigError, match="camera is empty"):
        cameras_of(PerceptionConfig(camera=" "))
