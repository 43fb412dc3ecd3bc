"""Asking a running `world_state`: a client of both nodes of the process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from builtin_interfaces.msg import Duration
from rclpy.action import ActionClient
from ros_harness import PATIENCE_S, SERVICE, Client, wait_until
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros import action, msg, srv
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa

NAMESPACE = "/planner"
CORPUS = ("push the red cube left", "open the drawer", "The robot opens the drawer.", "What is it?")
OUTCOME = "The robot opens the drawer."


def save_dreamer(folder: Path, **changes: Any) -> Path:
    """A checkpoint folder of a tiny model that imagines, with random weights."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = presets.tiny()
    predictor = dataclasses.replace(config.predictor, next_tokens=True)
    model = VLJepa(dataclasses.replace(config, predictor=predictor, **changes))
    checkpoint.save(model, train_tokenizer(CORPUS, 320), folder, {})
    return folder


def candidate(text: str = "open the drawer", **fields: Any) -> msg.CandidateAction:
    """A correct action, then `fields` set as given, however wrong."""
    made = msg.CandidateAction(type="text", text=text)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def candidates(count: int) -> list[msg.CandidateAction]:
    return [candidate(f"push cube {n}", id=f"a{n}") for n in range(count)]


def sequence(*texts: str, id_: str = "") -> msg.ActionSequence:
    return msg.ActionSequence(id=id_, actions=[candidate(text) for text in texts])


def sequences(count: int, depth: int) -> list[msg.ActionSequence]:
    """No two begin alike, so that every action must be imagined."""
    return [
        sequence(*(f"push cube {n} {d}" for d in range(depth)), id_=f"s{n}") for n in range(count)
    ]


def seconds(length_s: float) -> Duration:
    whole, nanoseconds = divmod(round(length_s * 1e9), 10**9)
    return Duration(sec=whole, nanosec=nanoseconds)


class WorldClient(Client):
    """Shows images to `perception`, asks `world_state`."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        super().__init__(f"{namespace}/perception")
        self._namespace = namespace
        self._of_world: dict[Any, Any] = {}
        self.rollouts = ActionClient(
            self.node,
            action.RolloutTransitions,
            f"{namespace}/world_state/rollout_transitions",
            goal_service_qos_profile=SERVICE,
            result_service_qos_profile=SERVICE,
            cancel_service_qos_profile=SERVICE,
        )

    def show(self, *messages: Image | CompressedImage, topic: str = "/image") -> None:
        super().show(*messages, topic=f"{self._namespace}{topic}")

    def new_state(self, seed: int) -> msg.SemanticState:
        """One more state: another question opens it."""
        assert self.set_query(f"Why {seed}?").success
        return self.see(seed)

    def later(self, type_: Any, **fields: Any) -> Callable[[], Any]:
        """Ask the service of this type now; the callable waits for the answer."""
        if type_ not in self._of_world:
            self._of_world[type_] = self.node.create_client(
                type_, f"{self._namespace}/world_state/{_name(type_)}", qos_profile=SERVICE
            )
            assert self._of_world[type_].wait_for_service(PATIENCE_S)
        future = self._of_world[type_].call_async(type_.Request(**fields))

        def answer() -> Any:
            wait_until(future.done, f"an answer of {_name(type_)}")
            return future.result()

        return answer

    def world(self, type_: Any, **fields: Any) -> Any:
        return self.later(type_, **fields)()

    def transitions(self, *actions: msg.CandidateAction, **fields: Any) -> Any:
        return self.world(srv.QueryTransitions, actions=list(actions or [candidate()]), **fields)

    def embedding(self, text: str = OUTCOME) -> msg.Embedding:
        response = self.world(srv.EncodeText, texts=[text])
        assert response.status.success, response.status
        return response.embeddings[0]

    # --- the action ----------------------------------------------------------------------------

    def roll_out(self, **fields: Any) -> Rollout:
        """Send a goal; it is accepted."""
        assert self.rollouts.wait_for_server(PATIENCE_S)
        feedback: list[Any] = []
        sent = self.rollouts.send_goal_async(
            action.RolloutTransitions.Goal(**fields),
            feedback_callback=lambda message: feedback.append(message.feedback),
        )
        wait_until(sent.done, "an answer to a goal")
        assert sent.result().accepted
        return Rollout(sent.result(), feedback)


class Rollout:
    """A goal on its way."""

    def __init__(self, handle: Any, feedback: list[Any]) -> None:
        self.handle = handle
        self.feedback = feedback
        self._result = handle.get_result_async()

    def cancel(self) -> Any:
        cancelled = self.handle.cancel_goal_async()
        wait_until(cancelled.done, "an answer to a cancel")
        return cancelled.result()

    def end(self) -> tuple[int, Any]:
        """State of the goal (GoalStatus) and its result."""
        wait_until(self._result.done, "the result of a goal")
        return self._result.result().status, self._result.result().result


def _name(type_: Any) -> str:
    words = [f"_{c.lower()}" if c.isupper() else c for c in type_.__name__]
    return "".join(words).removeprefix("_")
