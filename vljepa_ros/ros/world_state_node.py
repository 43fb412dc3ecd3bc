"""The node `world_state`: planners ask what would happen, what happened and what is true.

In the process of `perception`, whose model and states it shares, with an executor of its own.
Callbacks only check and await: the worker of `perception` runs the model, a batch at a time, and
perception has its turn between two batches. Where `perception` is not active nothing is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter

from vljepa_ros import action, msg, srv
from vljepa_ros.config import PerceptionConfig, WorldStateConfig
from vljepa_ros.ros import conversions, interface
from vljepa_ros.ros.alarm import AlarmClock
from vljepa_ros.ros.interface import ROLLOUT_TRANSITIONS, Endpoint
from vljepa_ros.ros.parameters import Parameters
from vljepa_ros.ros.requests import Errand, GivenUp, RequestError, Work, error_status

if TYPE_CHECKING:
    from vljepa_ros.ros.perception import Perception
    from vljepa_ros.ros.world_requests import Found, Search, WorldRequests

RESULT_TIMEOUT_S = 60
"""How long the result of a rollout is kept for who asks late."""


class WorldStateNode:
    """Everything runs on the executor's thread, but the work itself."""

    def __init__(self, ready: Callable[[], Perception], *, use_sim_time: bool) -> None:
        """
        Args:
            ready: the model at work, or RequestError NOT_ACTIVE.
            use_sim_time: as `perception` has it, whose clock the ages of states are taken by.

        Raises:
            ConfigError: a parameter that is unknown or cannot be used.
        """
        # A `__node:=` of the command line, as launch gives it, would name this node like the other.
        self.node = Node(
            "world_state",
            cli_args=["--ros-args", "-r", "__node:=world_state"],
            parameter_overrides=[Parameter("use_sim_time", value=use_sim_time)],
        )
        self._ready = ready
        self._log = self.node.get_logger()
        self._settings = Parameters(self.node, WorldStateConfig, beside=(PerceptionConfig,))
        self._alarm = AlarmClock(self.node)
        # A callback that awaits holds up all others of a group that is not reentrant.
        self._group = ReentrantCallbackGroup()
        self._rollouts: dict[bytes, Errand] = {}
        self._serve(interface.QUERY_TRANSITIONS, lambda w, r: w.query_transitions(r))
        self._serve(interface.EXPLAIN_TRANSITION, lambda w, r: w.explain_transition(r))
        self._serve(interface.QUERY_WORLD_STATE, lambda w, r: w.query_world_state(r))
        self._serve(interface.ENCODE_TEXT, lambda w, r: w.encode_text(r))
        self._serve(interface.DECODE_EMBEDDING, lambda w, r: w.decode_embedding(r))
        self._serve(interface.QUERY_MEMORY, lambda w, r: w.query_memory(r))
        self._action_server = ActionServer(
            self.node,
            ROLLOUT_TRANSITIONS.type,
            ROLLOUT_TRANSITIONS.name,
            self._on_rollout,
            callback_group=self._group,
            cancel_callback=self._on_cancel,
            goal_service_qos_profile=ROLLOUT_TRANSITIONS.qos,
            result_service_qos_profile=ROLLOUT_TRANSITIONS.qos,
            cancel_service_qos_profile=ROLLOUT_TRANSITIONS.qos,
            feedback_pub_qos_profile=ROLLOUT_TRANSITIONS.qos,
            result_timeout=RESULT_TIMEOUT_S,
        )

    def start(self) -> None:
        """Nothing to do: it answers from the first moment."""

    def close(self) -> None:
        """At the end of the process."""
        self._action_server.destroy()

    # --- services ------------------------------------------------------------------------------

    def _serve(
        self, service: Endpoint, work: Callable[[WorldRequests, Any], Work[None, Any]]
    ) -> None:
        async def answer(request: Any, response: Any) -> Any:
            try:
                response = await self._answer(request, work)
                warning = response.status.error_msg
                response.status = conversions.status_message(error_msg=warning)
            except Exception as error:  # noqa: BLE001 - every request gets an answer
                response.status = error_status(error, self._log)
            return response

        self.node.create_service(
            service.type,
            service.name,
            answer,
            qos_profile=service.qos,
            callback_group=self._group,
        )

    async def _answer(
        self, request: Any, work: Callable[[WorldRequests, Any], Work[None, Any]]
    ) -> Any:
        perception = self._ready()
        within_s = perception.world.time_for(request) or self._settings.config.deadline_s
        asked = perception.while_active(work(perception.world, request))
        errand = self._errand(perception, within_s)
        response = await errand.run(asked)
        if isinstance(response, srv.QueryTransitions.Response):
            response.compute_time = conversions.duration_message(round(errand.model_s * 1e9))
        return response

    # --- the action ----------------------------------------------------------------------------

    async def _on_rollout(self, goal: Any) -> action.RolloutTransitions.Result:
        """Every goal is accepted, so that a bad one can be told what is wrong with it."""
        result = action.RolloutTransitions.Result()
        search: Search | None = None
        try:
            perception = self._ready()
            within_s = perception.world.time_for(goal.request)
            within_s = within_s or self._settings.config.rollout_deadline_s
            search, work = perception.world.rollout_transitions(goal.request)
            errand = self._errand(perception, within_s, lets_batches_end=True)
            await self._roll_out(goal, errand, perception.while_active(work))
            result = search.result()
            result.status = conversions.status_message()
            goal.succeed()
        except Exception as error:  # noqa: BLE001 - every goal gets a result
            result = search.result() if search is not None else result
            result.status = self._rollout_status(error, search)
            goal.canceled() if goal.is_cancel_requested else goal.abort()
        return result

    async def _roll_out(self, goal: Any, errand: Errand, work: Work[Found, None]) -> None:
        most = self._settings.config.max_rollouts
        if len(self._rollouts) >= most:
            raise RequestError(
                msg.Status.BUSY, f"{most} rollouts run already; ask again when one has ended"
            )
        if goal.is_cancel_requested:
            raise GivenUp

        def tell(found: Found) -> None:
            goal.publish_feedback(
                action.RolloutTransitions.Feedback(
                    best=found.best,
                    goal_similarity=found.goal_similarity,
                    evaluated=found.evaluated,
                )
            )

        name = bytes(goal.goal_id.uuid)
        self._rollouts[name] = errand
        try:
            await errand.run(work, told=tell)
        finally:
            del self._rollouts[name]

    def _on_cancel(self, goal: Any) -> CancelResponse:
        errand = self._rollouts.get(bytes(goal.goal_id.uuid))
        if errand is not None:
            errand.give_up()
        return CancelResponse.ACCEPT

    def _rollout_status(self, error: Exception, search: Search | None) -> msg.Status:
        if isinstance(error, GivenUp):
            error = RequestError(msg.Status.DEADLINE, "cancelled before the answer was ready")
        status = error_status(error, self._log)
        if search is not None and status.error_code == msg.Status.DEADLINE:
            status.error_msg += f"; {search.progress}"
        return status

    # --- both ----------------------------------------------------------------------------------

    def _errand(
        self, perception: Perception, within_s: float, *, lets_batches_end: bool = False
    ) -> Errand:
        return Errand(
            perception.worker,
            self.node.executor,
            within_s=within_s,
            alarm=self._alarm,
            lets_batches_end=lets_batches_end,
        )
