"""A subscription that waits on its own thread and leaves the executor alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from vljepa_ros.ros.executor_thread import ExecutorThread
from vljepa_ros.ros.intake import Intake

pytestmark = pytest.mark.ros

RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context)
    node = Node("intake_test", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def wait(happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline_s, "nothing came within 20 s"
        time.sleep(0.02)


def intake(node: Node, callback: Callable[..., None], incompatible: Any = None) -> Intake:
    events = SubscriptionEventCallbacks(incompatible_qos=incompatible, use_default_callbacks=False)
    return Intake(node, String, "words", callback, RELIABLE, event_callbacks=events)


class CountingGroup(MutuallyExclusiveCallbackGroup):
    """Counts how often the executor looks through the node's members."""

    looks = 0

    def can_execute(self, entity: Any) -> bool:
        self.looks += 1
        return bool(super().can_execute(entity))


def test_messages_come_without_waking_the_executor(node: Node) -> None:
    group = CountingGroup()
    node.create_timer(3600.0, lambda: None, callback_group=group)
    executor = ExecutorThread(node)
    executor.start()
    heard: list[tuple[str, str]] = []
    taken = intake(
        node, lambda message, info: heard.append((message.data, threading.current_thread().name))
    )
    publisher = node.create_publisher(String, "words", RELIABLE)
    wait(lambda: publisher.get_subscription_count() == 1)
    time.sleep(0.3)
    before = group.looks
    for number in range(50):
        publisher.publish(String(data=str(number)))
        time.sleep(0.01)
    wait(lambda: len(heard) == 50)
    looks = group.looks - before
    taken.close()
    assert executor.stop()
    assert [data for data, _ in heard] == [str(number) for number in range(50)]
    assert {thread for _, thread in heard} == {"intake"}
    assert looks < 10


def test_what_a_callback_raises_stops_nothing(node: Node) -> None:
    heard: list[str] = []

    def callback(message: String, info: Any) -> None:
        heard.append(message.data)
        if message.data == "bad":
            raise ValueError("bad word")

    taken = intake(node, callback)
    publisher = node.create_publisher(String, "words", RELIABLE)
    wait(lambda: publisher.get_subscription_count() == 1)
    for word in ("bad", "good"):
        publisher.publish(String(data=word))
    wait(lambda: heard == ["bad", "good"])
    taken.close()


def test_after_closing_nothing_is_heard_and_nobody_subscribes(node: Node) -> None:
    heard: list[str] = []
    before = set(threading.enumerate())  # other tests of this process may have theirs
    taken = intake(node, lambda message, info: heard.append(message.data))
    assert "intake" in {thread.name for thread in set(threading.enumerate()) - before}
    assert taken.topic_name == "/words"
    publisher = node.create_publisher(String, "words", RELIABLE)
    wait(lambda: publisher.get_subscription_count() == 1)
    taken.close()
    wait(lambda: publisher.get_subscription_count() == 0)
    publisher.publish(String(data="late"))
    time.sleep(0.2)
    assert heard == []
    assert not set(threading.enumerate()) - before


def test_events_come_too(node: Node) -> None:
    events: list[Any] = []
    taken = intake(node, lambda message, info: None, incompatible=events.append)
    node.create_publisher(String, "words", BEST_EFFORT)
    wait(lambda: bool(events))
    assert events[0].total_count == 1
    taken.close()


def test_the_group_admits_nobody(node: Node) -> None:
    taken = intake(node, lambda message, info: None)
    group: CallbackGroup = taken._subscription.callback_group
    assert not group.can_execute(taken._subscription)
    assert not group.beginning_execution(taken._subscription)
    assert taken._subscription in list(node.subscriptions)
    taken.close()
