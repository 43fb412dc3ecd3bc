"""Who puts scenes on the table and says what is true of them: the planner does neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String

from examples.tabletop_world.truth import read_truth
from training.tabletop.state import SceneState
from vljepa_ros.ros import qos
from vljepa_ros.ros.children import POLL_S

NAMESPACE = "/vljepa"


class RefereeError(RuntimeError):
    """The tabletop did not do as it was told."""


class Referee:
    """Hears the truth of the node `tabletop`. Spins by itself, in the calls."""

    def __init__(self, wait: Callable[..., None]) -> None:
        """Needs rclpy to be initialised.

        Args:
            wait: `wait(happened, what=…, meanwhile=…)` returns once `happened()` is true.
        """
        self._wait = wait
        self._node = Node("referee", namespace=NAMESPACE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._truth: tuple[int, SceneState] | None = None
        self._node.create_subscription(String, "tabletop/truth", self._on_truth, qos.LATCHED)
        self._set_parameters = self._node.create_client(
            SetParametersAtomically, "tabletop/set_parameters_atomically"
        )

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()

    def wait_for_nodes(self) -> None:
        """Return once perception sees and the tabletop can be told what to do."""
        self._await(lambda: self._node.count_subscribers(f"{NAMESPACE}/image"), "perception")
        self._await(self._set_parameters.service_is_ready, "the tabletop")

    def show(self, seed: int) -> SceneState:
        """Put the scene of a seed on the table.

        Raises:
            RefereeError: the tabletop refuses that seed.
        """
        parameter = Parameter("scene_seed", Parameter.Type.INTEGER, seed).to_parameter_msg()
        request = SetParametersAtomically.Request(parameters=[parameter])
        future = self._set_parameters.call_async(request)
        self._await(future.done, "an answer of the tabletop")
        answer: Any = future.result()
        if not answer.result.successful:
            raise RefereeError(f"scene {seed} is not to be had: {answer.result.reason}")
        self._await(lambda: self._truth is not None and self._truth[0] == seed, f"scene {seed}")
        return self.truth()

    def truth(self) -> SceneState:
        """The scene when last nothing moved.

        Raises:
            RefereeError: no scene was shown yet.
        """
        # What was published before is there already; it only has to be taken.
        self._executor.spin_once(timeout_sec=POLL_S)
        if self._truth is None:
            raise RefereeError("the tabletop has said nothing of its scene; show one first")
        return self._truth[1]

    def _await(self, happened: Callable[[], Any], what: str) -> None:
        self._wait(
            lambda: bool(happened()),
            what=what,
            meanwhile=lambda: self._executor.spin_once(timeout_sec=0.0),
        )

    def _on_truth(self, message: String) -> None:
        self._truth = read_truth(message.data)
