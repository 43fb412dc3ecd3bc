"""Running nodes for tests: processes with logs, and a client that hears and asks everything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from lifecycle_msgs.srv import GetState as GetLifecycleState
from rcl_interfaces.srv import DescribeParameters, SetParametersAtomically
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros import msg, srv
from vljepa_ros.ros.cameras import Camera
from vljepa_ros.ros.interface import Interface

FOUND_S = 0.5
"""Until a service has found a new client."""
PATIENCE_S = 60.0
"""For whatever must happen at last, on a machine that may be busy with something else."""
LATCHED = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
SERVICE = QoSProfile(depth=200)
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


def wait_until(happened: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """The first true value of `happened`."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        value = happened()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"never happened: {what}")


def picture(seed: int = 0, height: int = 48, width: int = 64) -> np.ndarray[Any, Any]:
    """A smooth coloured picture, another for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((height // 4, width // 4, 1), np.uint8)))


def image(image_HWC: np.ndarray[Any, Any], stamp_ns: int, **fields: Any) -> Image:
    """A correct rgb8 message, then `fields` set as given, however wrong."""
    message = Image(
        height=image_HWC.shape[0],
        width=image_HWC.shape[1],
        encoding="rgb8",
        step=image_HWC.shape[1] * 3,
        data=array("B", image_HWC.tobytes()),
    )
    message.header.frame_id = "lens"
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


class NodeProcess:
    """A node in a process of its own; its output is kept."""

    def __init__(self, module: str, log: Path, *arguments: str, **environment: str) -> None:
        self.log_path = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "--ros-args", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.log or self.process.poll() is not None, f"{text!r} in log")
        assert text in self.log, self.log

    def signal(self, *signals: signal.Signals, apart_s: float = 0.01) -> None:
        for number in signals:
            self.process.send_signal(number)
            time.sleep(apart_s)

    def wait(self) -> int:
        """Exit code."""
        return self.process.wait(PATIENCE_S)

    def end(self) -> None:
        """For fixtures: gently, then not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Client:
    """Hears and asks a perception node. Its own thread spins, so lists fill by themselves."""

    def __init__(
        self, fully_qualified_name: str = "/perception", process: NodeProcess | None = None
    ) -> None:
        """`process`: whose log tells why an answer does not come."""
        self.name = fully_qualified_name
        self._process = process
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = Node("test_client", context=self._context)
        self.states: list[msg.SemanticState] = []
        self.events: list[msg.SemanticEvent] = []
        self.infos: list[msg.EmbeddingInfo] = []
        self.diagnostics: list[DiagnosticArray] = []
        self._publishers: dict[Any, Any] = {}
        self._clients: dict[str, Any] = {}
        subscribe = self.node.create_subscription
        subscribe(msg.SemanticState, f"{self.name}/semantic_state", self.states.append, 1000)
        subscribe(msg.SemanticEvent, f"{self.name}/semantic_event", self.events.append, LATCHED)
        subscribe(msg.EmbeddingInfo, f"{self.name}/embedding_info", self.infos.append, LATCHED)
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._spinning = True
        self._thread.start()

    def _spin(self) -> None:
        while self._spinning:
            self._executor.spin_once(timeout_sec=0.1)

    def _on_diagnostics(self, array_: DiagnosticArray) -> None:
        if any(status.name.startswith(self.name + ":") for status in array_.status):
            self.diagnostics.append(array_)

    def close(self) -> None:
        self._spinning = False
        self._thread.join()
        self.node.destroy_node()
        self._context.try_shutdown()

    def clear(self) -> None:
        for heard in (self.states, self.events, self.infos, self.diagnostics):
            heard.clear()

    # --- publishing ----------------------------------------------------------------------------

    def now_ns(self) -> int:
        return time.time_ns()

    def publisher(
        self,
        type_: Any = Image,
        topic: str = "/image",
        *,
        reliable: bool = True,
        match: bool = True,
    ) -> Any:
        """A publisher that, if asked, has found its subscriber."""
        key = (type_, topic, reliable)
        if key not in self._publishers:
            reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            self._publishers[key] = self.node.create_publisher(
                type_, topic, QoSProfile(depth=50, reliability=reliability)
            )
        publisher = self._publishers[key]
        if match:
            wait_until(publisher.get_subscription_count, f"a subscriber on {topic}")
        return publisher

    def drop_publishers(self) -> None:
        for publisher in self._publishers.values():
            self.node.destroy_publisher(publisher)
        self._publishers.clear()

    def show(self, *messages: Image | CompressedImage, topic: str = "/image") -> None:
        """Publish images, each after the one before was accounted for in a state or a refusal."""
        for message in messages:
            self.publisher(type(message), topic).publish(message)

    def see(self, seed: int = 0, **fields: Any) -> msg.SemanticState:
        """Publish one good image and return its state."""
        stamp_ns = fields.pop("stamp_ns", None) or self.now_ns()
        self.show(image(picture(seed), stamp_ns, **fields))
        return self.state_of(stamp_ns)

    def state_of(self, stamp_ns: int) -> msg.SemanticState:
        """The state of the frame with that stamp, once it is there."""
        stamp = divmod(stamp_ns, 10**9)
        return wait_until(
            lambda: next(
                (
                    s
                    for s in reversed(self.states)
                    if (s.header.stamp.sec, s.header.stamp.nanosec) == stamp
                ),
                None,
            ),
            f"a state with stamp {stamp}",
        )

    def clock(self, time_ns: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(time_ns, 10**9)
        self.publisher(Clock, "/clock").publish(message)

    # --- asking --------------------------------------------------------------------------------

    def ask(self, type_: Any, name: str, request: Any) -> Any:
        return self.ask_later(type_, name, request)()

    def ask_later(self, type_: Any, name: str, request: Any) -> Callable[[], Any]:
        """Send now; the callable waits for the answer."""
        key = f"{name} {type_}"
        is_new = key not in self._clients
        if is_new:
            self._clients[key] = self.node.create_client(
                type_, f"{self.name}/{name}", qos_profile=SERVICE
            )
        client = self._clients[key]
        assert client.wait_for_service(PATIENCE_S), name
        if is_new:
            # We found the service, it may not have found us: DDS then drops its answer after 0.1 s
            # ("failed to send response (timeout)"), seen on a loaded machine.
            time.sleep(FOUND_S)
        future = client.call_async(request)

        def answer() -> Any:
            try:
                wait_until(future.done, f"an answer of {name}")
            except AssertionError as error:
                log = self._process.log if self._process else "unknown"
                raise AssertionError(f"{error}; log of the node: {log}") from None
            return future.result()

        return answer

    def set_query(self, query: str, *labels: str, camera: str = "") -> msg.Status:
        request = srv.SetQuery.Request(camera=camera, query=query, labels=list(labels))
        return self.ask(srv.SetQuery, "set_query", request).status

    def get_state(self, camera: str = "") -> srv.GetState.Response:
        # Its twin of lifecycle_msgs cannot live in the same participant: see `Lifecycle`.
        return self.ask(srv.GetState, "get_state", srv.GetState.Request(camera=camera))

    def set_parameters(self, **values: Any) -> Any:
        """All at once; `__` stands for the dot of a name."""
        parameters = [
            Parameter(name.replace("__", "."), _type(value), value).to_parameter_msg()
            for name, value in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=parameters)
        return self.ask(SetParametersAtomically, "set_parameters_atomically", request).result

    def describe_parameter(self, name: str) -> Any:
        request = DescribeParameters.Request(names=[name])
        return self.ask(DescribeParameters, "describe_parameters", request).descriptors[0]

    def transition(self, *names: str) -> bool:
        """True if the last one succeeded."""
        success = False
        for name in names:
            request = ChangeState.Request(transition=Transition(id=TRANSITIONS[name]))
            success = bool(self.ask(ChangeState, "change_state", request).success)
        return success

    def health(self, which: str) -> tuple[int, str, dict[str, str]]:
        """Level, message and figures of the newest diagnostics."""
        status = next(s for s in self.diagnostics[-1].status if s.name == f"{self.name}: {which}")
        return status.level[0], status.message, {v.key: v.value for v in status.values}

    def wait_for_health(self, which: str, good: Callable[[int, str, dict[str, str]], Any]) -> None:
        def happened() -> bool:
            known = self.diagnostics and any(
                s.name == f"{self.name}: {which}" for s in self.diagnostics[-1].status
            )
            return bool(known and good(*self.health(which)))

        try:
            wait_until(happened, "diagnostics", 20.0)
        except AssertionError:
            raise AssertionError(f"diagnostics of {which}: {self.diagnostics[-1:]}") from None


class LifecycleClient:
    """Asks `get_state` of lifecycle_msgs, from a participant of its own."""

    def __init__(self, fully_qualified_name: str = "/perception") -> None:
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = Node("test_lifecycle_client", context=self._context)
        self._client = self._node.create_client(
            GetLifecycleState, f"{fully_qualified_name}/get_state"
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def state(self) -> str:
        assert self._client.wait_for_service(PATIENCE_S)
        future = self._client.call_async(GetLifecycleState.Request())
        self._executor.spin_until_future_complete(future, PATIENCE_S)
        return str(future.result().current_state.label)

    def close(self) -> None:
        self._node.destroy_node()
        self._context.try_shutdown()


RCLPYS_OWN = (
    "rcl_interfaces/",
    "rosgraph_msgs/",
    "lifecycle_msgs/",
    "type_description_interfaces/",
)


def endpoints_of(asking: Node, name: str, namespace: str) -> set[tuple[str, str, str]]:
    """What a running node has beside what every node has: (what, full name, type).

    Nothing of a node that is not discovered yet.
    """
    if (name, namespace) not in asking.get_node_names_and_namespaces():
        return set()
    found = {
        "publishes": asking.get_publisher_names_and_types_by_node(name, namespace),
        "subscribes": asking.get_subscriber_names_and_types_by_node(name, namespace),
        "serves": asking.get_service_names_and_types_by_node(name, namespace),
        "acts": get_action_server_names_and_types_by_node(asking, name, namespace),
    }
    return {
        (what, endpoint, type_)
        for what, endpoints in found.items()
        for endpoint, types in endpoints
        for type_ in types
        if not type_.startswith(RCLPYS_OWN) and "/_action/" not in endpoint
    }


def endpoints_declared(
    interface: Interface, namespace: str, cameras: Sequence[Camera] = ()
) -> set[tuple[str, str, str]]:
    """The same of what `ros/interface.py` declares."""
    declared = {
        "publishes": interface.publishes,
        "subscribes": interface.subscribes,
        "serves": interface.services,
        "acts": interface.actions,
    }
    root = namespace.rstrip("/")
    return {
        (what, _full(endpoint.of(camera), root, interface.node), endpoint.type_name)
        for what, endpoints in declared.items()
        for endpoint in endpoints
        for camera in cameras or (Camera("camera"),)
    }


def _full(name: str, root: str, node: str) -> str:
    if name.startswith("~"):
        return name.replace("~", f"{root}/{node}", 1)
    return name if name.startswith("/") else f"{root}/{name}"


def _type(value: Any) -> Parameter.Type:
    if isinstance(value, list):
        return Parameter.Type.STRING_ARRAY
    return Parameter.Type.from_parameter_value(value)
