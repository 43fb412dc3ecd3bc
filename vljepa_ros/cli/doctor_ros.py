"""What `vljepa doctor` looks at where ROS is concerned: packages, middleware, shared memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from vljepa_ros.cli.findings import Finding, Verdict

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
PROFILE = "config/fastdds_large_images.xml"
DDS_LARGE_BYTES = 512 * 1024
"""Fast DDS's default shared memory segment; larger best-effort messages get lost (measured)."""
IMAGES_IN_FLIGHT = 8
SHARED_MEMORY = Path("/dev/shm")
LAST_DOMAIN = 232
"""DDS gives a domain UDP ports from 7400 + 250 x id on: more do not fit below port 65536."""
EPHEMERAL_DOMAINS = range(102, 215)
"""Domains whose ports lie among those that Linux hands out to any program (32768 to 60999)."""


def findings(image_size: tuple[int, int]) -> Iterator[Finding]:
    """One after the other.

    Args:
        image_size: width and height of the camera's images [px].
    """
    yield _ros()
    yield _messages()
    yield _tf()
    yield _discovery()
    yield from _transport(image_size)
    yield _shared_memory(image_size)


def _ros() -> Finding:
    spec = util.find_spec("rclpy")
    if spec is None or spec.origin is None:
        mend = "source /opt/ros/DISTRO/setup.bash, or make setup and source setup.bash"
        return Finding(Verdict.FAIL, "ROS 2", "rclpy is not found by this Python", mend)
    distribution = os.environ.get("ROS_DISTRO", "unknown distribution")
    return Finding(Verdict.OK, "ROS 2", f"{distribution}, rclpy in {Path(spec.origin).parent}")


def _messages() -> Finding:
    if util.find_spec("vljepa_ros.msg") is None:
        mend = "colcon build --packages-select vljepa_ros and source install/setup.bash"
        return Finding(Verdict.FAIL, "messages", "those of vljepa_ros are not built", mend)
    return Finding(Verdict.OK, "messages", "built")


def _tf() -> Finding:
    """Not there is no fault: it comes with no wheel, and is for one parameter only."""
    if util.find_spec("tf2_ros") is not None:
        return Finding(Verdict.OK, "TF", "tf2_ros is there")
    distribution = os.environ.get("ROS_DISTRO", "DISTRO")
    found = (
        "tf2_ros is not there; only poses in the memory (memory.pose_frame) need it: "
        f"ros-{distribution}-tf2-ros-py of a ROS installation"
    )
    return Finding(Verdict.OK, "TF", found)


def _discovery() -> Finding:
    """Who is found: nodes of another domain, or beyond the discovery range, are not there."""
    said = os.environ.get("ROS_DOMAIN_ID", "")
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    found = f"ROS_DOMAIN_ID {said or '0, the default'}"
    if reach:
        found += f", ROS_AUTOMATIC_DISCOVERY_RANGE={reach}"
    domain = int(said or 0) if said.isdecimal() or not said else -1
    if not 0 <= domain <= LAST_DOMAIN:
        mend = f"no node can start: set ROS_DOMAIN_ID to 0 to {EPHEMERAL_DOMAINS.start - 1}"
        return Finding(Verdict.FAIL, "discovery", found, mend)
    if domain in EPHEMERAL_DOMAINS:
        mend = (
            "its ports may be taken by other programs, then nodes do not find each other: "
            f"set ROS_DOMAIN_ID to 0 to {EPHEMERAL_DOMAINS.start - 1} in all shells"
        )
        return Finding(Verdict.WARN, "discovery", found, mend)
    if reach == "OFF":
        mend = "nodes find no other: export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET in all shells"
        return Finding(Verdict.WARN, "discovery", found, mend)
    return Finding(Verdict.OK, "discovery", found)


def _transport(size: tuple[int, int]) -> Iterator[Finding]:
    if util.find_spec("rclpy") is None:
        return  # told above
    middleware, said = _middleware()
    if said:
        wanted = os.environ.get("RMW_IMPLEMENTATION", "")
        distribution = os.environ.get("ROS_DISTRO", "DISTRO")
        mend = (
            f"unset RMW_IMPLEMENTATION, or sudo apt install ros-{distribution}-"
            f"{wanted.replace('_', '-')} (ROS 2 from wheels has rmw_fastrtps_cpp only)"
            if wanted
            else "source the ROS installation again in a new shell"
        )
        yield Finding(Verdict.FAIL, "middleware", said, mend)
        return
    image_bytes = 3 * size[0] * size[1]
    found = f"{middleware}, images of {image_bytes / 1e6:.2f} MB ({size[0]}x{size[1]} rgb8)"
    profiles = [os.environ[name] for name in PROFILE_VARIABLES if os.environ.get(name)]
    missing = [path for path in profiles if not Path(path).exists()]
    if missing:
        mend = f"{missing[0]} does not exist; set the variable to {_profile()}"
        yield Finding(Verdict.WARN, "middleware", found, mend)
    elif "fastrtps" in middleware and image_bytes > DDS_LARGE_BYTES and not profiles:
        mend = (
            "if the camera publishes best effort most of these are lost: let it publish reliable, "
            f"or export {PROFILE_VARIABLES[0]}={_profile()} on both sides"
        )
        yield Finding(Verdict.WARN, "middleware", found, mend)
    else:
        yield Finding(Verdict.OK, "middleware", found)


def _middleware() -> tuple[str, str]:
    """Name of the one that ROS loads, and what it says where it loads none.

    Asked in another process: rclpy ends the one that it cannot load its middleware in.
    """
    ask = "from rclpy.utilities import get_rmw_implementation_identifier as g; print(g())"
    asked = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        return asked.stdout.strip(), ""
    lines = [line.strip() for line in asked.stderr.splitlines() if line.strip()]
    said = next((line for line in lines if "RMW" in line or "rmw" in line), "rclpy does not load")
    return "", said.rpartition("[rcl]: ")[2].partition(", exiting with")[0]


def _profile() -> Path | str:
    from vljepa_ros.paths import PathsError, share

    try:
        return share() / PROFILE
    except PathsError:
        return PROFILE


def _shared_memory(size: tuple[int, int]) -> Finding:
    needed = IMAGES_IN_FLIGHT * 3 * size[0] * size[1]
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError as error:
        return Finding(Verdict.WARN, "shared memory", str(error), "images go by UDP: slower")
    found = f"{free / 1e6:.0f} MB free in {SHARED_MEMORY}"
    if free < needed:
        mend = (
            f"{IMAGES_IN_FLIGHT} images take {needed / 1e6:.0f} MB; remove what killed nodes left "
            f"({SHARED_MEMORY}/fastrtps_*), or start the container with --shm-size=512m"
        )
        return Finding(Verdict.WARN, "shared memory", found, mend)
    return Finding(Verdict.OK, "shared memory", found)
