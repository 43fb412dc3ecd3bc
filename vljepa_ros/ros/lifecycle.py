"""A lifecycle node whose transitions say what went wrong.

rclpy swallows what a transition callback raises, and raises out of the executor when a client asks
for a transition that the present state does not have, so that the client waits for ever. Here the
first is logged and kept for diagnostics, and the second is answered.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vljepa_ros.config import ConfigError


class ReportingLifecycleNode(LifecycleNode):  # type: ignore[misc]  # rclpy has no types
    """Subclasses fill in what each transition does; ConfigError is FAILURE, others are ERROR."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.failure = ""
        """Why the last transition failed; empty once one succeeds."""
        service = self._service_change_state
        self._change_state = service.callback
        service.callback = self._on_change_state

    def configure(self) -> None:
        """Load what is needed; raise ConfigError for what the user has to mend."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working, keep what was loaded."""

    def cleanup(self) -> None:
        """Free what was loaded."""

    def release(self) -> None:
        """From any state: stop and free. Safe to call twice."""
        self.deactivate()
        self.cleanup()

    def bring_up(self) -> bool:
        """Configure and activate, as a lifecycle manager would; False if it did not work."""
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                return False
        return True

    # --- rclpy's callbacks ---------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("configure", state, self.configure, super().on_configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("activate", state, self.activate, super().on_activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("deactivate", state, self.deactivate, super().on_deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("clean up", state, self.cleanup, super().on_cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("shut down", state, self.release, super().on_shutdown)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After ERROR: free everything and be unconfigured again, so that it can be retried."""
        self.release()
        return super().on_error(state)

    def _transition(
        self,
        name: str,
        state: LifecycleState,
        work: Callable[[], None],
        inherited: Callable[[LifecycleState], TransitionCallbackReturn],
    ) -> TransitionCallbackReturn:
        try:
            work()
        except ConfigError as error:
            self.failure = f"cannot {name}: {error}"
            self.get_logger().error(self.failure)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.failure = f"cannot {name}: {error!r}"
            self.get_logger().error(f"{self.failure}\n{traceback.format_exc()}")
            raise
        self.failure = ""
        self.get_logger().info(f"{name}: done")
        return inherited(state)

    def _on_change_state(self, request: Any, response: Any) -> Any:
        try:
            return self._change_state(request, response)
        except RuntimeError as error:  # rclpy's RCLError, which has no public name
            self.get_logger().error(f"transition refused: {error}")
            response.success = False
            return response
