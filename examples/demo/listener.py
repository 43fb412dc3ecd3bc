"""The demo's own node: hears the camera and the perception, and writes down what they say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

import rclpy
from builtin_interfaces.msg import Duration, Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import TimeReference
from std_msgs.msg import UInt64
from vljepa_ros.msg import SemanticEvent, SemanticState

from examples.demo.record import NS_PER_S, Event, Run, State
from vljepa_ros.types import EventReason

NAMESPACE = "/vljepa"
IMAGE_TOPIC = f"{NAMESPACE}/image"


class Listener:
    """A node that spins on a thread of its own while the context is entered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: int | None = None
        self._references: list[tuple[int, float]] = []
        self._states: list[State] = []
        self._events: list[Event] = []
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("demo", namespace=NAMESPACE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, name="listener", daemon=True)
        self._subscribe()

    def _subscribe(self) -> None:
        deep = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
        latched = QoSProfile(
            depth=1000,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )

        def hear(type_: type, topic: str, callback: Callable[..., None], qos: QoSProfile) -> None:
            self._node.create_subscription(type_, f"{NAMESPACE}/{topic}", callback, qos)

        hear(SemanticState, "perception/semantic_state", self._on_state, deep)
        hear(SemanticEvent, "perception/semantic_event", self._on_event, latched)
        hear(TimeReference, "video_camera/time_reference", self._on_reference, latched)
        hear(UInt64, "video_camera/finished", self._on_finished, latched)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def perception_is_active(self) -> bool:
        """It listens to the camera's topic, and we hear its states."""
        states_from = self._node.count_publishers(f"{NAMESPACE}/perception/semantic_state")
        return bool(states_from) and self._node.count_subscribers(IMAGE_TOPIC) > 0

    def run(self) -> Run:
        """What was heard so far."""
        with self._lock:
            return Run(
                frames=self._frames,
                references=tuple(self._references),
                states=tuple(self._states),
                events=tuple(self._events),
            )

    # --- on the executor's thread

    def _on_state(self, message: SemanticState) -> None:
        state = State(
            stamp_ns=_ns(message.header.stamp),
            state_id=message.state_id,
            state_since_ns=_ns(message.state_since),
            score=message.change_score,
            threshold=message.change_threshold,
            latency_ms=_ns(message.latency) / 1e6,
            dropped=message.dropped_frames,
        )
        with self._lock:
            self._states.append(state)

    def _on_event(self, message: SemanticEvent) -> None:
        event = Event(
            stamp_ns=_ns(message.header.stamp),
            latency_ns=_ns(message.latency),
            reason=EventReason(message.reason),
            state_id=message.state_id,
            caption=message.caption,
            caption_score=message.caption_score,
        )
        with self._lock:
            self._events.append(event)

    def _on_reference(self, message: TimeReference) -> None:
        reference = _ns(message.header.stamp), _ns(message.time_ref) / NS_PER_S
        with self._lock:
            self._references.append(reference)

    def _on_finished(self, message: UInt64) -> None:
        with self._lock:
            self._frames = message.data


def _ns(time: Time | Duration) -> int:
    return int(time.sec) * NS_PER_S + int(time.nanosec)
