"""A node that spins on a thread of its own.

One single-threaded executor for each node: the multi-threaded one costs two and a half times the
CPU, and the events executor hangs (both measured).
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

STOP_TIMEOUT_S = 4.0
"""Less than the 5 s after which launch escalates."""


class ExecutorThread:
    """Spins one node; what its callbacks raise is logged, and the next callback runs."""

    def __init__(self, node: Node, *, shut_down: Callable[[], None] = lambda: None) -> None:
        """`shut_down` is called when somebody else shut down the ROS context of the node."""
        self._log = node.get_logger()
        self._shut_down = shut_down
        self._stopping = threading.Event()
        self.executor = SingleThreadedExecutor(context=node.context)
        self.executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="executor", daemon=True)

    def start(self, first: Callable[[], None] | None = None) -> None:
        """Start spinning, with `first` as the first callback."""
        if first is not None:
            self.executor.create_task(first)
        self._thread.start()

    def stop(self) -> bool:
        """End after the callback under way; False if that does not end."""
        self._stopping.set()
        self.executor.create_task(_nothing)  # makes spin_once return
        self._thread.join(STOP_TIMEOUT_S)
        if self._thread.is_alive():
            return False
        self.executor.shutdown()
        return True

    def _spin(self) -> None:
        while not self._stopping.is_set():
            try:
                self.executor.spin_once()
            except ExternalShutdownException:
                self._shut_down()
                return
            except Exception as error:  # noqa: BLE001 - one bad callback must not stop the node
                self._log.error(f"a callback failed: {error!r}\n{traceback.format_exc()}")
                time.sleep(0.01)  # should it fail for ever, let other threads live


def _nothing() -> None:
    return None
