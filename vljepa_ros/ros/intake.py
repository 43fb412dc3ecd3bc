"""A subscription with a thread of its own, beside the node's executor.

For every message rclpy's executor rebuilds its list of all the node's services, timers and events
twice, and holds Python's lock meanwhile: about 1.3 ms for each image of a fast camera, taken from
the thread that runs the model. Waiting for one subscription alone costs a quarter of that. Its
events must wait on the same thread: DDS wakes whoever waits for them with every message too.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSProfile


class Intake:
    """One subscription whose callbacks, those of its events too, run on the intake's thread."""

    def __init__(
        self,
        node: Node,
        type_: type,
        topic: str,
        callback: Callable[[Any, Mapping[str, Any]], None],
        profile: QoSProfile,
        *,
        event_callbacks: Any,
    ) -> None:
        """
        Args:
            callback: given each message and what rmw knows of it; what it raises is logged.
            event_callbacks: rclpy's SubscriptionEventCallbacks.
        """
        self._node = node
        self._callback = callback
        self._subscription = node.create_subscription(
            type_,
            topic,
            callback,
            profile,
            callback_group=_OwnThread(),
            event_callbacks=event_callbacks,
        )
        self._events: list[Any] = list(self._subscription.event_handlers)
        self._stopping = threading.Event()
        self._wake = rclpy_implementation.GuardCondition(node.context.handle)
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    @property
    def topic_name(self) -> str:
        """The full name, after remapping."""
        return str(self._subscription.topic_name)

    def close(self) -> None:
        """No callback runs any more once this returns; not to be called from one."""
        self._stopping.set()
        self._wake.trigger_guard_condition()
        self._thread.join()
        self._node.destroy_subscription(self._subscription)

    def _run(self) -> None:
        waiting = rclpy_implementation.WaitSet(
            1, 1, 0, 0, 0, len(self._events), self._node.context.handle
        )
        handle = self._subscription.handle
        with handle, self._wake, waiting:
            while not self._stopping.is_set():
                waiting.clear_entities()
                waiting.add_subscription(handle)
                waiting.add_guard_condition(self._wake)
                for event in self._events:
                    event.add_to_wait_set(waiting)
                waiting.wait(-1)
                if waiting.is_ready("subscription", 0) and not self._stopping.is_set():
                    self._take_message(handle)
                for event in self._events:
                    if event.is_ready(waiting) and not self._stopping.is_set():
                        self._call(event.callback, event.take_data())

    def _take_message(self, handle: Any) -> None:
        taken = handle.take_message(self._subscription.msg_type, False)
        if taken is not None:
            self._call(self._callback, *taken)

    def _call(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 - one bad message must not stop the intake
            self._node.get_logger().error(f"a callback failed: {error!r}\n{traceback.format_exc()}")


class _OwnThread(CallbackGroup):  # type: ignore[misc]  # rclpy has no types
    """Keeps its members from the executor, though they belong to the node."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        """Never begun."""
