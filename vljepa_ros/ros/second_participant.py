"""A service under a name that the lifecycle node has taken itself.

Every lifecycle node serves `~/get_state` of type lifecycle_msgs/GetState, and one DDS participant
refuses a second type under the same name. The interface promises `~/get_state` of our own type as
well (docs/decisions), so it lives in a second participant of the same process. Clients find the one
or the other by its type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import Executor
from rclpy.node import Node

from vljepa_ros.ros import qos
from vljepa_ros.ros.executor_thread import ExecutorThread


class SecondParticipant:
    """One service beside a node, with its own ROS context and executor thread."""

    def __init__(self, beside: Node, type_: Any, name: str, callback: Callable[..., Any]) -> None:
        """
        Args:
            beside: the node in whose name the service speaks.
            name: service name as `beside` would resolve it, remapping included.
        """
        self._context = Context()
        self._context.init(args=[])
        # The underscore hides it from `ros2 node list`: to users it is part of the other node.
        self._node = Node(
            f"_{beside.get_name()}_second",
            context=self._context,
            namespace=beside.get_namespace(),
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._node.create_service(
            type_,
            beside.resolve_service_name(name),
            callback,
            qos_profile=qos.SERVICE,
            callback_group=ReentrantCallbackGroup(),
        )
        self._thread = ExecutorThread(self._node)
        self._thread.start()

    @property
    def executor(self) -> Executor:
        """The executor that the callback's futures belong to."""
        return self._thread.executor

    def close(self) -> None:
        if self._thread.stop():
            self._node.destroy_node()
        self._context.try_shutdown()
