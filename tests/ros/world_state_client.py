"""A planner's client, written from the interface alone: plain rclpy, this package's messages.

Run as a process of its own: world_state_client.py NAMESPACE
"""

from __future__ import annotations

import math
import sys
from typing import Any

import rclpy
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from vljepa_ros.action import RolloutTransitions
from vljepa_ros.msg import ActionSequence, CandidateAction, EmbeddingInfo, Status
from vljepa_ros.srv import (
    DecodeEmbedding,
    EncodeText,
    ExplainTransition,
    QueryMemory,
    QueryTransitions,
    QueryWorldState,
)


def wait(node: Node, future: Any) -> Any:
    rclpy.spin_until_future_complete(node, future, timeout_sec=30.0)
    assert future.done(), "no answer"
    return future.result()


def call(node: Node, type_: Any, name: str, **fields: Any) -> Any:
    client = node.create_client(type_, name)
    assert client.wait_for_service(30.0), name
    response = wait(node, client.call_async(type_.Request(**fields)))
    assert response.status.error_code == Status.OK, response.status
    return response


def main() -> None:
    perception, world = f"{sys.argv[1]}/perception", f"{sys.argv[1]}/world_state"
    rclpy.init()
    node = Node("planner")
    infos: list[EmbeddingInfo] = []
    latched = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    node.create_subscription(EmbeddingInfo, f"{perception}/embedding_info", infos.append, latched)
    while not infos:
        rclpy.spin_once(node, timeout_sec=1.0)
    assert "text" in infos[0].action_types
    texts = ["open the drawer", "push the red cube left"]
    actions = [CandidateAction(id=t, type="text", text=t) for t in texts]

    goal = call(node, EncodeText, f"{world}/encode_text", texts=["The drawer is open."])
    assert goal.embeddings[0].space_id == infos[0].space_id
    assert len(goal.embeddings[0].data) == infos[0].dim
    answer = call(
        node,
        QueryTransitions,
        f"{world}/query_transitions",
        actions=actions,
        goal_embedding=goal.embeddings[0],
        return_embeddings=True,
    )
    assert [p.id for p in answer.predictions] == texts
    assert all(math.isfinite(p.goal_similarity) for p in answer.predictions)
    said = call(
        node,
        DecodeEmbedding,
        f"{world}/decode_embedding",
        embeddings=[p.predicted for p in answer.predictions],
    )
    assert len(said.captions) == len(said.scores) == 2
    told = call(
        node,
        ExplainTransition,
        f"{world}/explain_transition",
        initial_state_id=answer.state_id,
        actions=actions,
    )
    assert [s.label for s in told.scores] == texts
    asked = call(
        node,
        QueryWorldState,
        f"{world}/query_world_state",
        question="Is the drawer open?",
        candidates=["yes", "no"],
    )
    assert abs(sum(s.probability for s in asked.scores) - 1.0) < 1e-4

    seen = call(node, QueryMemory, f"{world}/query_memory", text="the drawer is open", k=3)
    assert 1 <= len(seen.entries) <= 3 and seen.entries[0].state_id
    assert seen.entries[0].similarity >= seen.entries[-1].similarity

    search = ActionClient(node, RolloutTransitions, f"{world}/rollout_transitions")
    assert search.wait_for_server(30.0)
    plans = [
        ActionSequence(id="twice", actions=[actions[0], actions[0]]),
        ActionSequence(id="both", actions=actions),
    ]
    handle = wait(
        node,
        search.send_goal_async(
            RolloutTransitions.Goal(sequences=plans, goal_text="The drawer is open.")
        ),
    )
    assert handle.accepted
    result = wait(node, handle.get_result_async()).result
    assert result.status.success and {s.id for s in result.ranked} == {"twice", "both"}
    assert result.goal_similarity[0] >= result.goal_similarity[1]
    print("done")


if __name__ == "__main__":
    main()
