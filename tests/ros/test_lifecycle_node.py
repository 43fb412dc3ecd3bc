"""Transitions that fail are said, and callbacks that raise stop nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from ros_harness import wait_until

from vljepa_ros.config import ConfigError
from vljepa_ros.ros.executor_thread import ExecutorThread
from vljepa_ros.ros.lifecycle import ReportingLifecycleNode


class Machine(ReportingLifecycleNode):
    """Fails as it is told to."""

    def __init__(self) -> None:
        super().__init__("machine")
        self.fault: Exception | None = None
        self.done: list[str] = []

    def configure(self) -> None:
        self.done.append("configure")
        if self.fault is not None:
            raise self.fault

    def deactivate(self) -> None:
        self.done.append("deactivate")

    def cleanup(self) -> None:
        self.done.append("cleanup")


@pytest.fixture
def machine() -> Iterator[Machine]:
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # they would outlive the test
    yield Machine()
    rclpy.try_shutdown()


def state(machine: Machine) -> str:
    return str(machine._state_machine.current_state[1])


def test_what_the_user_has_to_mend_is_a_failure(machine: Machine) -> None:
    machine.fault = ConfigError("no such folder")
    assert machine.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert state(machine) == "unconfigured"
    assert machine.failure == "cannot configure: no such folder"
    assert machine.done == ["configure"]
    assert not machine.bring_up()


def test_a_fault_of_ours_is_an_error_that_frees_everything(machine: Machine) -> None:
    machine.fault = ZeroDivisionError("oops")
    assert machine.trigger_configure() == TransitionCallbackReturn.ERROR
    assert state(machine) == "unconfigured"
    assert "oops" in machine.failure
    assert machine.done == ["configure", "deactivate", "cleanup"]
    machine.fault = None
    assert machine.bring_up()
    assert state(machine) == "active" and machine.failure == ""


def test_a_callback_that_raises_does_not_end_the_spinning(machine: Machine) -> None:
    calls: list[int] = []

    def callback() -> None:
        calls.append(len(calls))
        raise RuntimeError("in a timer")

    machine.create_timer(0.01, callback)
    thread = ExecutorThread(machine)
    thread.start()
    wait_until(lambda: len(calls) >= 3, "three calls")
    assert thread.stop()
