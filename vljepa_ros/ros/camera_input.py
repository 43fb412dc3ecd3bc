"""One camera's subscription: follows the publishers' quality of service, notices what gets lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy, qos_policy_name_from_kind
from sensor_msgs.msg import CompressedImage, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

from vljepa_ros.ros import qos
from vljepa_ros.ros.health import CameraMeter
from vljepa_ros.ros.intake import Intake

ImageMessage: TypeAlias = "Image | CompressedImage"

LOSS_WINDOW = 10
"""Looks at the graph (one a second) over which losses are judged."""
LOSSY_SHARE = 0.05


class CameraInput:
    """Listens to one image topic while open. Belongs to the executor's thread.

    Images come on a thread of their own, which counts them and hands them on.
    """

    def __init__(
        self,
        node: Node,
        *,
        topic: str,
        transport: str,
        reliability: str,
        meter: CameraMeter,
        take: Callable[[ImageMessage], None],
    ) -> None:
        """
        Args:
            topic: base topic; compressed images come on `<topic>/compressed`.
            reliability: the parameter of that name: auto, reliable or best_effort.
            take: given every image, on the intake's thread; must only store it.
        """
        self._node = node
        self._type = CompressedImage if transport == "compressed" else Image
        self._type_name = f"sensor_msgs/msg/{self._type.__name__}"
        self._base = topic
        self.topic = _resolve(node, topic, transport)
        """The full name, after remapping."""
        self._reliability = reliability
        self._meter = meter
        self._take = take
        self._image_bytes = 0
        self._sequence: int | None = None
        self._were_first = False
        self._losses: deque[tuple[int, int]] = deque([(0, 0)], maxlen=LOSS_WINDOW + 1)
        self.publishers = 0
        self.warning = ""
        """What is wrong between us and the publishers, with its mend; empty = nothing."""
        self._reliable = qos.follow(reliability, self._found())
        self._subscription: Intake | None = self._subscribe()

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def look(self) -> None:
        """Look at the publishers again, once a second: follow them and judge losses."""
        found, others = self._found(), self._of_other_types()
        self.publishers = len(found)
        self._were_first = self._were_first or not found
        reliable = qos.follow(self._reliability, found)
        if reliable != self._reliable and self._subscription is not None:
            self._reliable = reliable
            self.close()
            self._subscription = self._subscribe()
            if found:
                kind = "reliable" if reliable else "best effort"
                self._node.get_logger().info(f"{self.topic}: listening {kind}, as is offered")
        self._losses.append(self._meter.loss)
        warning = self._judge(found) or self._judge_types(others)
        if warning and warning != self.warning:
            self._node.get_logger().warning(warning)
        self.warning = warning

    def _found(self) -> list[Any]:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        return [p for p in publishers if p.topic_type == self._type_name]

    def _of_other_types(self) -> list[str]:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        return [p.topic_type for p in publishers if p.topic_type != self._type_name]

    def _subscribe(self) -> Intake:
        return Intake(
            self._node,
            self._type,
            self.topic,
            self._on_image,
            qos.image(reliable=self._reliable),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible, use_default_callbacks=False
            ),
        )

    def _on_image(self, message: ImageMessage, info: Mapping[str, Any]) -> None:
        self._image_bytes = len(message.data)
        self._meter.received(lost_before=self._lost_before(info.get("publication_sequence_number")))
        self._take(message)

    def _lost_before(self, sequence: int | None) -> int:
        """Images sent since the last one that never came, by the publisher's own counting."""
        last, self._sequence = self._sequence, sequence
        if last is None and self._were_first:
            last = 0  # what a camera sends while DDS still connects it with us gets lost too
        if last is None or sequence is None or sequence <= last + 1:
            return 0
        # Two publishers count each for itself, and rclpy does not tell whose number it is. None: it
        # has ended meanwhile, and these are its last images.
        return sequence - last - 1 if len(self._found()) <= 1 else 0

    def _on_incompatible(self, event: Any) -> None:
        """On the intake's thread, which cannot close itself."""
        if self._node.executor is not None:
            self._node.executor.create_task(self._judge_incompatible, event)

    def _judge_incompatible(self, event: Any) -> None:
        if self._subscription is None:
            return
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        if self._reliability != "auto":
            self._node.get_logger().warning(qos.incompatible_mend(self.topic, policy))
        self.look()

    def _judge(self, found: list[Any]) -> str:
        best_effort = [
            p for p in found if p.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        ]
        if self._reliable:
            return qos.incompatible_mend(self.topic, "RELIABILITY") if best_effort else ""
        lost = self._losses[-1][0] - self._losses[0][0]
        received = self._losses[-1][1] - self._losses[0][1]
        if self._image_bytes > qos.LOSSY_BYTES and lost > LOSSY_SHARE * (lost + received):
            return qos.lossy_mend(self.topic, lost, received)
        if best_effort and received == 0 and len(self._losses) > LOSS_WINDOW // 2:
            return qos.silent_mend(self.topic)
        return ""

    def _judge_types(self, others: list[str]) -> str:
        if not others or self.publishers:
            return ""
        return (
            f"{self.topic} carries {others[0]}, but this node listens for {self._type_name}; "
            f"remap {self._base} to the camera's topic, or set the parameter image_transport"
        )


def _resolve(node: Node, topic: str, transport: str) -> str:
    """Full name of the topic to listen to, as image_transport finds it.

    `image/compressed` lies below wherever `image` is remapped to, unless it is remapped itself.
    """
    base: str = node.resolve_topic_name(topic)
    if transport == "raw":
        return base
    own = f"{topic}/compressed"
    resolved: str = node.resolve_topic_name(own)
    remapped = resolved != node.resolve_topic_name(own, only_expand=True)
    return resolved if remapped else f"{base}/compressed"
