"""Starts the lifecycle node `perception`, and in its process the node `world_state`.

`perception` brings itself to active (parameter `autostart`).

ros2 launch vljepa_ros perception.launch.py image_topic:=/camera/image_raw
"""

from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription

PARAMS_FILE = Path(get_package_share_directory("vljepa_ros"), "config", "perception.yaml")
ARGUMENTS = {
    "namespace": ("vljepa", "Namespace of the nodes"),
    "params_file": (str(PARAMS_FILE), "Parameters of the nodes"),
    "use_respawn": ("false", "Start the process again when it dies: true or false"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "image_topic": ("image", "The camera's topic; compressed images are found below it"),
}
PARAMETERS = {
    "use_sim_time": "Take time from /clock: true or false",
    "autostart": "Configure and activate without a lifecycle manager: true or false",
    "model_path": "Checkpoint folder",
    "device": "auto, cpu, cuda or cuda:N",
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
    """The process; of the parameters, only those given on the command line override the file."""
    given = {name: LaunchConfiguration(name).perform(context) for name in PARAMETERS}
    overrides = {name: value for name, value in given.items() if value}
    for name in overrides.keys() & {"use_sim_time", "autostart"}:
        overrides[name] = yaml.safe_load(overrides[name])
    perception = LifecycleNode(
        package="vljepa_ros",
        executable="perception",
        name="perception",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), *([overrides] if overrides else [])],
        remappings=[("image", LaunchConfiguration("image_topic"))],
        respawn=LaunchConfiguration("use_respawn"),
        respawn_delay=2.0,
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
    )
    return [perception]
