"""TF, listened to with tf2_ros: where a frame was in a fixed one at a given moment.

tf2_ros comes with a ROS installation. The wheels have none, so it is imported when it is wanted.
"""

from __future__ import annotations

import os

from rclpy.node import Node
from rclpy.time import Time

from vljepa_ros.config import ConfigError
from vljepa_ros.ros.executor_thread import ExecutorThread
from vljepa_ros.ros.interface import TF, TF_STATIC
from vljepa_ros.ros.places import UnknownPoseError
from vljepa_ros.types import Pose


class Transforms:
    """Listens from the start to `close`. Any thread may ask."""

    def __init__(self, beside: Node, fixed_frame: str) -> None:
        """
        Args:
            beside: the node whose remappings of /tf and /tf_static hold.
            fixed_frame: in which poses are given.

        Raises:
            ConfigError: tf2_ros is not installed.
        """
        try:
            import tf2_ros
        except ImportError as error:
            distribution = os.environ.get("ROS_DISTRO", "DISTRO")
            raise ConfigError(
                f"memory.pose_frame needs tf2_ros, and {error}: sudo apt install "
                f"ros-{distribution}-tf2-ros-py and source that installation (ROS 2 from wheels "
                "has no tf2_ros), or leave memory.pose_frame empty"
            ) from error
        self._fixed_frame = fixed_frame
        self._unknown = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        # A node and a thread of its own: on a robot /tf brings hundreds of messages a second,
        # for each of which the executor would look at all that `beside` has.
        self._node = Node(
            f"_{beside.get_name()}_tf",
            context=beside.context,
            namespace=beside.get_namespace(),
            use_global_arguments=False,
            cli_args=["--ros-args", *_remappings(beside)],
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._listener = tf2_ros.TransformListener(
            self._buffer, self._node, qos=TF.qos, static_qos=TF_STATIC.qos
        )
        self._thread = ExecutorThread(self._node)
        self._thread.start()

    def pose(self, frame_id: str, stamp_ns: int) -> Pose:
        """Where the frame was at that moment, as far as is known now; never waits.

        Raises:
            UnknownPoseError: TF does not tell, or not yet.
        """
        try:
            found = self._buffer.lookup_transform(
                self._fixed_frame, frame_id, Time(nanoseconds=stamp_ns)
            ).transform
        except self._unknown as error:
            raise UnknownPoseError(str(error)) from error
        place, turn = found.translation, found.rotation
        return Pose(
            self._fixed_frame, (place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w)
        )

    def clear(self) -> None:
        """Forget the past, because time jumped; what is static stays."""
        self._buffer.clear()

    def close(self) -> None:
        if self._thread.stop():
            self._listener.unregister()
            self._node.destroy_node()


def _remappings(beside: Node) -> list[str]:
    """As those of `beside`: robots with a namespace of their own move /tf into it."""
    topics = (TF.name, TF_STATIC.name)
    return [w for t in topics for w in ("-r", f"{t}:={beside.resolve_topic_name(t)}")]
