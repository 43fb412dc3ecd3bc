"""Starts the lifecycle node `perception`, and in its process the node `world_state`.

`perception` brings itself to active (parameter `autostart`).

ros2 launch vljepa_ros perception.launch.py image_topic:=/camera/image_raw
ros2 launch vljepa_ros perception.launch.py 'cameras:=[front,wrist]' \
    'image_topic:=[/front/image_raw,/wrist/image_raw]'
"""

from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription
from vljepa_ros.config import ConfigError, PerceptionConfig
from vljepa_ros.ros.cameras import cameras_of
from vljepa_ros.ros.interface import IMAGE

ARGUMENTS = {
    "namespace": ("vljepa", "Namespace of the nodes"),
    "params_file": ("", "Parameters of the nodes; empty = config/perception.yaml of this package"),
    "use_respawn": ("false", "Start the process again when it dies: true or false"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "image_topic": (
        "",
        "The camera's topic, of several cameras the list of theirs in the same order; compressed "
        "images are found below it; empty = image, or NAME/image of each",
    ),
}
PARAMETERS = {
    "use_sim_time": "Take time from /clock: true or false",
    "autostart": "Configure and activate without a lifecycle manager: true or false",
    "model_path": "Checkpoint folder",
    "device": "auto, cpu, cuda or cuda:N",
    "cameras": "Names of several cameras, as [front,wrist]",
}


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    declared += [
        DeclareLaunchArgument(name, default_value="", description=f"{text}; empty = as params_file")
        for name, text in PARAMETERS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LifecycleNode]:
    """The process; of the parameters, only those given on the command line override the file.

    Raises:
        ConfigError: cameras or topics that cannot be used; nothing is started.
    """
    given = {name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, *PARAMETERS)}
    overrides: dict[str, Any] = {name: given[name] for name in PARAMETERS if given[name]}
    for name in overrides.keys() & {"use_sim_time", "autostart"}:
        overrides[name] = yaml.safe_load(overrides[name])
    if "cameras" in overrides:
        overrides["cameras"] = names_in("cameras", given["cameras"])
    share = Path(get_package_share_directory("vljepa_ros"))
    perception = LifecycleNode(
        package="vljepa_ros",
        executable="perception",
        name="perception",
        namespace=given["namespace"],
        parameters=[
            given["params_file"] or str(share / "config" / "perception.yaml"),
            *([overrides] if overrides else []),
        ],
        remappings=remappings(overrides.get("cameras", []), given["image_topic"]),
        respawn=LaunchConfiguration("use_respawn"),
        respawn_delay=2.0,
        arguments=["--ros-args", "--log-level", given["log_level"]],
        output="screen",
    )
    return [perception]


def remappings(cameras: list[str], image_topic: str) -> list[tuple[str, str]]:
    """Where each camera is heard; none where nothing is said of it."""
    heard_on = [IMAGE.of(camera) for camera in cameras_of(PerceptionConfig(cameras=tuple(cameras)))]
    if not image_topic:
        return []
    is_list = image_topic.startswith("[")
    topics = names_in("image_topic", image_topic) if is_list else [image_topic]
    if len(topics) != len(heard_on):
        raise ConfigError(
            f"image_topic names {len(topics)} topics for {len(heard_on)} cameras; give one for "
            "each of cameras:=[front,wrist], as image_topic:=[/front/image_raw,/wrist/image_raw]"
        )
    return list(zip(heard_on, topics, strict=True))


def names_in(argument: str, text: str) -> list[str]:
    """An argument that is a list, written as YAML."""
    try:
        names = yaml.safe_load(text)
    except yaml.YAMLError:
        names = None
    if not names or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{argument}:={text} is no list of names; write it as [front,wrist]")
    return names
