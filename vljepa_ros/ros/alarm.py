"""Gives errands up when their time is over, on the thread of the node's executor."""

from __future__ import annotations

import math
import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from vljepa_ros.ros.requests import Errand

LEAST_NS = 1_000_000
"""A timer needs some period; nobody sees a millisecond."""


class AlarmClock:
    """One timer for all errands of a node. Real time: a stopped /clock must not stop deadlines."""

    def __init__(self, node: Node) -> None:
        self._watched: set[Errand] = set()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(1.0, self._ring, clock=steady)
        self._timer.cancel()

    def watch(self, errand: Errand) -> None:
        """Give it up at its time, unless it is forgotten before."""
        if math.isfinite(errand.until_s):
            self._watched.add(errand)
            self._set()

    def forget(self, errand: Errand) -> None:
        """It has ended."""
        self._watched.discard(errand)
        self._set()

    def _ring(self) -> None:
        now_s = time.monotonic()
        for errand in [e for e in self._watched if e.until_s <= now_s]:
            self._watched.discard(errand)
            errand.give_up()
        self._set()

    def _set(self) -> None:
        """Ring at the next errand's time."""
        if not self._watched:
            self._timer.cancel()
            return
        next_s = min(errand.until_s for errand in self._watched)
        self._timer.timer_period_ns = max(LEAST_NS, int((next_s - time.monotonic()) * 1e9))
        self._timer.reset()
