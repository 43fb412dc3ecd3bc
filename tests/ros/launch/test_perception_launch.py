"""The launch file under the real launch system.

The same behaviour is tested on plain processes in tests/ros, so nothing goes unseen where launch
is not installed (no registry has it).
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

launch_pytest = pytest.importorskip(
    "launch_pytest", reason="launch_pytest comes with a ROS 2 installation only"
)
pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS 2 installation only")

from launch.actions import IncludeLaunchDescription, RegisterEventHandler  # noqa: E402
from launch.event_handlers import OnProcessExit, OnProcessStart  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from ros_harness import Client, LifecycleClient, image, picture, wait_until  # noqa: E402
from vljepa_ros.msg import SemanticState  # noqa: E402
from vljepa_ros.srv import EncodeText  # noqa: E402

from launch import LaunchContext, LaunchDescription  # noqa: E402
from vljepa_ros.config import ConfigError  # noqa: E402

pytestmark = pytest.mark.ros
LAUNCH_FILE = Path(__file__).resolve().parents[3] / "launch" / "perception.launch.py"


class Watched:
    """What the launch system told of the node's process."""

    def __init__(self, **arguments: object) -> None:
        self.pids: list[int] = []
        self.exit_codes: list[int] = []
        included = IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(LAUNCH_FILE)),
            launch_arguments=[(name, str(value)) for name, value in arguments.items()],
        )
        started = OnProcessStart(on_start=lambda event, _: self.pids.append(event.pid))
        ended = OnProcessExit(on_exit=lambda event, _: self.exit_codes.append(event.returncode))
        self.description = LaunchDescription(
            [
                RegisterEventHandler(started),
                RegisterEventHandler(ended),
                included,
                launch_pytest.actions.ReadyToTest(),
            ]
        )


WATCHED: dict[str, Watched] = {}


@launch_pytest.fixture
def by_itself(tiny_model: Path) -> LaunchDescription:
    WATCHED["by_itself"] = Watched(
        namespace="robot", model_path=tiny_model, device="cpu", image_topic="/eye/image_raw"
    )
    return WATCHED["by_itself"].description


@launch_pytest.fixture
def managed(tiny_model: Path, tmp_path: Path) -> LaunchDescription:
    params = tmp_path / "params.yaml"
    params.write_text(
        f"/**:\n  ros__parameters:\n    model_path: {tiny_model}\n    camera: wrist\n"
    )
    WATCHED["managed"] = Watched(
        params_file=params, autostart="false", use_sim_time="false", log_level="warn"
    )
    return WATCHED["managed"].description


@launch_pytest.fixture
def respawned(tiny_model: Path) -> LaunchDescription:
    WATCHED["respawned"] = Watched(model_path=tiny_model, use_respawn="true")
    return WATCHED["respawned"].description


@launch_pytest.fixture
def with_two_cameras(tiny_model: Path) -> LaunchDescription:
    WATCHED["with_two_cameras"] = Watched(
        model_path=tiny_model,
        cameras="[front,wrist]",
        image_topic="[/front/image_raw,/hand/image_raw]",
    )
    return WATCHED["with_two_cameras"].description


@pytest.fixture
def robot() -> Iterator[Client]:
    client = Client("/robot/perception")
    yield client
    client.close()


@pytest.fixture
def vljepa() -> Iterator[Client]:
    client = Client("/vljepa/perception")
    yield client
    client.close()


def perceives(client: Client, topic: str) -> Any:
    publisher = client.publisher(topic=topic)

    def happened() -> Any:
        publisher.publish(image(picture(), client.now_ns()))
        return client.states and client.states[-1]

    return wait_until(happened, f"a state of {topic}")


def asked_of(client: Client, type_: Any, name: str, **fields: object) -> Any:
    service = client.node.create_client(type_, name)
    wait_until(service.service_is_ready, name)
    future = service.call_async(type_.Request(**fields))
    wait_until(future.done, "an answer")
    return future.result()


@pytest.mark.launch(fixture=by_itself)
def test_it_comes_up_by_itself_and_ends_well(robot: Client) -> Iterator[None]:
    assert perceives(robot, "/eye/image_raw").camera == "camera"
    assert robot.infos[-1].model_name == "tiny"
    assert robot.describe_parameter("device").name == "device"
    answer = asked_of(robot, EncodeText, "/robot/world_state/encode_text", texts=["open"])
    assert answer.status.success and answer.embeddings[0].space_id == robot.infos[-1].space_id
    yield
    assert WATCHED["by_itself"].exit_codes == [0]


@pytest.mark.launch(fixture=managed)
def test_a_manager_brings_it_up_and_the_file_counts_where_no_argument_does(vljepa: Client) -> None:
    lifecycle = LifecycleClient("/vljepa/perception")
    try:
        assert lifecycle.state() == "unconfigured"
        assert vljepa.transition("configure", "activate")
        assert lifecycle.state() == "active"
        assert perceives(vljepa, "/vljepa/image").camera == "wrist"
        assert vljepa.transition("deactivate", "cleanup")
        assert lifecycle.state() == "unconfigured"
    finally:
        lifecycle.close()


@pytest.mark.launch(fixture=respawned)
def test_it_is_started_again_when_it_dies(vljepa: Client) -> None:
    perceives(vljepa, "/vljepa/image")
    watched = WATCHED["respawned"]
    os.kill(watched.pids[0], signal.SIGKILL)
    wait_until(lambda: len(watched.pids) == 2, "a second process")
    vljepa.clear()
    assert perceives(vljepa, "/vljepa/image").state_id == 1


@pytest.mark.launch(fixture=with_two_cameras)
def test_several_cameras_are_heard_where_the_arguments_say(vljepa: Client) -> None:
    of: dict[str, list[SemanticState]] = {"front": [], "wrist": []}
    for camera, states in of.items():
        topic = f"/vljepa/perception/{camera}/semantic_state"
        vljepa.node.create_subscription(SemanticState, topic, states.append, 1000)
    for camera, topic in (("front", "/front/image_raw"), ("wrist", "/hand/image_raw")):
        publisher = vljepa.publisher(topic=topic)

        def happened(publisher: Any = publisher, camera: str = camera) -> bool:
            publisher.publish(image(picture(), vljepa.now_ns()))
            return bool(of[camera])

        wait_until(happened, f"a state of {camera}")
        assert {state.camera for state in of[camera]} == {camera}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cameras": "[front,front]"}, "holds 'front' twice; give each camera a name"),
        ({"cameras": "[front,2nd]"}, "cameras[1] is '2nd'"),
        ({"cameras": "front"}, "cameras:=front is no list of names; write it as [front,wrist]"),
        ({"cameras": "[]"}, "cameras:=[] is no list of names"),
        ({"cameras": "[front"}, "cameras:=[front is no list of names"),
        ({"cameras": "[front,1]"}, "cameras:=[front,1] is no list of names"),
        ({"cameras": "[a,b]", "image_topic": "/a/image"}, "names 1 topics for 2 cameras"),
        ({"image_topic": "[/a/image,/b/image]"}, "names 2 topics for 1 cameras"),
    ],
)
def test_cameras_that_cannot_be_used_start_nothing(arguments: dict[str, str], words: str) -> None:
    context = LaunchContext()
    context.launch_configurations.update(arguments)
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    with pytest.raises(ConfigError, match=re.escape(words)):
        for entity in source.get_launch_description(context).entities:
            entity.visit(context)
