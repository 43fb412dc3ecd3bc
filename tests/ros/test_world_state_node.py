"""The running node `world_state`: good answers, every bad request, bursts, cancels, ends."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from ros_harness import NodeProcess, wait_until
from vljepa_ros.msg import Status
from world_harness import (
    NAMESPACE,
    OUTCOME,
    WorldClient,
    candidate,
    candidates,
    save_dreamer,
    seconds,
    sequence,
    sequences,
)

from vljepa_ros import msg, srv

pytestmark = pytest.mark.ros
SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """Both nodes, active, with a model that imagines. Tests may leave them inactive."""
    folder = tmp_path_factory.mktemp("world_state")
    process = NodeProcess(
        "vljepa_ros.ros.perception_node",
        folder / "log",
        *("-r", f"__ns:={NAMESPACE}", "-r", "__node:=perception"),  # as launch names it
        *("-p", f"model_path:={save_dreamer(folder / 'model')}", "-p", "threads:=1"),
        ROS_PYTHON_CHECK_FIELDS="1",
    )
    process.wait_for_log("activate: done")
    yield process
    process.end()


@pytest.fixture(scope="module")
def module_client(process: NodeProcess) -> Iterator[WorldClient]:
    client = WorldClient()
    yield client
    client.close()


@pytest.fixture
def world(process: NodeProcess, module_client: WorldClient) -> Iterator[WorldClient]:
    """Active, with one state; alive afterwards."""
    if module_client.world(srv.EncodeText, texts=["x"]).status.error_code == Status.NOT_ACTIVE:
        module_client.transition("configure", "activate")
    module_client.see()
    yield module_client
    assert process.process.poll() is None, process.log


def refused(status: Status, code: int, *words: str) -> None:
    """The code is this, and the sentence holds these words."""
    assert (status.error_code, status.success) == (code, False), status
    assert status.error_msg
    for word in words:
        assert word in status.error_msg, status.error_msg


def spoilt(embedding: msg.Embedding, **fields: Any) -> msg.Embedding:
    made = msg.Embedding(space_id=embedding.space_id, data=embedding.data)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


# --- good requests -------------------------------------------------------------------------------


def test_every_action_is_told_what_it_leads_to_in_the_order_asked(world: WorldClient) -> None:
    state = world.see(3)
    info = wait_until(lambda: world.infos and world.infos[-1], "embedding_info")
    assert list(info.action_types) == ["text"]
    answer = world.transitions(*candidates(150), goal_text=OUTCOME)  # three batches
    assert answer.status.success and answer.status.error_msg == ""
    assert (answer.state_header, answer.state_id) == (state.header, state.state_id)
    assert answer.space_id == info.space_id
    assert answer.compute_time.sec + answer.compute_time.nanosec > 0
    assert [p.id for p in answer.predictions] == [f"a{n}" for n in range(150)]
    for prediction in answer.predictions:
        assert -1.001 <= prediction.goal_similarity <= 1.001 and 0.0 <= prediction.change <= 2.0
        assert 0.0 <= prediction.uncertainty <= 1.0
        assert not prediction.caption and not len(prediction.predicted.data)
    alone = world.transitions(candidates(150)[140], goal_text=OUTCOME).predictions[0]
    assert alone.goal_similarity == pytest.approx(answer.predictions[140].goal_similarity, abs=1e-4)


def test_a_goal_may_be_an_embedding_or_nothing_and_extras_are_given_when_asked_for(
    world: WorldClient,
) -> None:
    goal = world.embedding()
    in_words = world.transitions(goal_text=OUTCOME).predictions[0]
    nearly = spoilt(goal, data=array("f", [x * 1.005 for x in goal.data]))
    as_vector = world.transitions(
        goal_embedding=nearly, return_embeddings=True, return_captions=True
    )
    prediction = as_vector.predictions[0]
    assert prediction.goal_similarity == pytest.approx(in_words.goal_similarity, abs=1e-5)
    assert prediction.predicted.space_id == goal.space_id
    cosine = sum(a * b for a, b in zip(prediction.predicted.data, goal.data, strict=True))
    assert prediction.goal_similarity == pytest.approx(cosine, abs=1e-4)
    decoded = world.world(srv.DecodeEmbedding, embeddings=[prediction.predicted])
    assert list(decoded.captions) == [prediction.caption] and len(decoded.scores) == 1
    assert math.isnan(world.transitions().predictions[0].goal_similarity)


def test_questions_and_explanations_are_scored_whatever_perception_is_asked(
    world: WorldClient,
) -> None:
    first = world.new_state(1).state_id
    question = {"question": "What is it?", "candidates": ["a cup", "a drawer"], "state_id": first}
    before = world.world(srv.QueryWorldState, **question)
    assert before.status.success and before.state_id == first
    assert [s.label for s in before.scores] == ["a cup", "a drawer"]
    assert sum(s.probability for s in before.scores) == pytest.approx(1.0, abs=1e-5)
    second = world.new_state(2).state_id
    assert second == first + 1
    assert world.world(srv.QueryWorldState, **question).scores == before.scores
    many = world.world(srv.QueryWorldState, candidates=[f"{n} cups" for n in range(200)])
    assert many.status.success and len(many.scores) == 200 and many.state_id == second
    told = world.world(srv.ExplainTransition, initial_state_id=first, actions=candidates(3))
    assert told.status.success and [s.label for s in told.scores] == ["a0", "a1", "a2"]
    swapped = world.world(
        srv.ExplainTransition,
        initial_state_id=second,
        final_state_id=first,
        actions=candidates(3),
    )
    refused(swapped.status, Status.INVALID_REQUEST, "exchange")


def test_texts_are_embedded_and_embeddings_decoded(world: WorldClient) -> None:
    texts = [f"cup {n}" for n in range(130)]
    answer = world.world(srv.EncodeText, texts=texts)
    assert answer.status.success and len(answer.embeddings) == 130
    again = world.embedding("cup 129")
    assert list(again.data) == pytest.approx(list(answer.embeddings[129].data), abs=1e-5)
    decoded = world.world(srv.DecodeEmbedding, embeddings=answer.embeddings[:40])
    assert decoded.status.success and len(decoded.captions) == len(decoded.scores) == 40


def test_sequences_are_ranked_and_the_best_so_far_is_told(world: WorldClient) -> None:
    rollout = world.roll_out(sequences=sequences(100, 3), goal_text=OUTCOME)
    state, result = rollout.end()
    assert state == GoalStatus.STATUS_SUCCEEDED and result.status.success
    assert sorted(s.id for s in result.ranked) == sorted(f"s{n}" for n in range(100))
    assert list(result.goal_similarity) == sorted(result.goal_similarity, reverse=True)
    assert all(0.0 <= u <= 1.0 for u in result.uncertainty)
    wait_until(lambda: rollout.feedback and rollout.feedback[-1].evaluated == 100, "feedback")
    assert rollout.feedback[-1].best == result.ranked[0]
    pruned = world.roll_out(
        sequences=sequences(8, 2), goal_embedding=world.embedding(), beam_width=2, max_depth=1
    )
    state, result = pruned.end()
    assert result.status.success and len(result.ranked) == 8


def test_goals_that_cross_interleave(world: WorldClient) -> None:
    long = world.roll_out(sequences=sequences(1024, 4), goal_text=OUTCOME)
    short = world.roll_out(sequences=sequences(4, 2), goal_text=OUTCOME)
    assert short.end()[1].status.success
    assert long.handle.status not in (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED)
    assert long.cancel().goals_canceling
    assert long.end()[0] == GoalStatus.STATUS_CANCELED


# --- states --------------------------------------------------------------------------------------


def test_past_states_stay_addressable_until_they_are_evicted(world: WorldClient) -> None:
    assert world.set_parameters(history_states=3).successful
    try:
        states = [world.new_state(n) for n in range(5)]
        for state in states[2:]:
            answer = world.transitions(state_id=state.state_id)
            assert (answer.state_id, answer.state_header) == (state.state_id, state.header)
        oldest = str(states[2].state_id)
        for state_id in (states[1].state_id, states[4].state_id + 1, 2**64 - 1):
            refused(world.transitions(state_id=state_id).status, Status.NO_STATE, oldest)
            question = world.world(srv.QueryWorldState, state_id=state_id, candidates=["a"])
            refused(question.status, Status.NO_STATE, oldest)
            told = world.world(
                srv.ExplainTransition, initial_state_id=state_id, actions=candidates(2)
            )
            refused(told.status, Status.NO_STATE, oldest)
            lost = world.roll_out(
                state_id=state_id, sequences=sequences(1, 1), goal_text=OUTCOME
            ).end()
            assert lost[0] == GoalStatus.STATUS_ABORTED
            refused(lost[1].status, Status.NO_STATE, oldest)
    finally:
        assert world.set_parameters(history_states=64).successful


def test_a_state_that_is_too_old_is_stale(world: WorldClient) -> None:
    world.see(stamp_ns=world.now_ns() - 30 * SECOND_NS)
    assert world.transitions(max_state_age=seconds(3600.0)).status.success
    refused(world.transitions(max_state_age=seconds(5.0)).status, Status.STALE_STATE, "5 s")
    question = world.world(srv.QueryWorldState, candidates=["a"], max_state_age=seconds(0.5)).status
    refused(question, Status.STALE_STATE, "max_state_age")
    world.see()
    assert world.transitions(max_state_age=seconds(20.0)).status.success


def test_what_was_seen_is_found_again(world: WorldClient) -> None:
    first, second = world.new_state(31), world.new_state(32)
    best, *others = world.world(srv.QueryMemory, embedding=first.embedding).entries
    assert (best.stamp, best.state_id) == (first.header.stamp, first.state_id)
    assert (best.camera, best.query) == ("camera", "Why 31?")
    assert best.similarity == pytest.approx(1.0, abs=1e-2)
    similarities = [entry.similarity for entry in others]
    assert similarities == sorted(similarities, reverse=True) and similarities[0] <= best.similarity
    later = world.world(srv.QueryMemory, text=OUTCOME, camera="camera", start=second.header.stamp)
    assert [entry.state_id for entry in later.entries] == [second.state_id]
    assert later.status.success
    assert not later.status.error_msg
    foreign = world.world(srv.QueryMemory, text="机器人打开抽屉")
    assert foreign.entries and foreign.status.success
    assert "unknown to" in foreign.status.error_msg
    until = world.world(srv.QueryMemory, text=OUTCOME, end=first.header.stamp, k=512).entries
    assert first.state_id in [entry.state_id for entry in until]
    assert second.state_id not in [entry.state_id for entry in until]


def test_time_that_jumps_back_forgets_the_states_and_ids_go_on(world: WorldClient) -> None:
    assert world.set_parameters(use_sim_time=True).successful
    try:
        before = world.see()

        def known() -> bool:
            world.clock(100 * SECOND_NS)
            return bool(world.transitions().status.success)

        def forgotten() -> bool:
            world.clock(50 * SECOND_NS)
            return world.transitions().status.error_code == Status.NO_STATE

        world.clock(100 * SECOND_NS)
        wait_until(lambda: world.see() and known(), "a state under simulated time")
        wait_until(forgotten, "no state after the jump")
        after = world.see(stamp_ns=50 * SECOND_NS)
        assert after.state_id > before.state_id
        refused(world.transitions(state_id=before.state_id).status, Status.NO_STATE)
        assert world.transitions(max_state_age=seconds(10.0)).status.success
    finally:
        assert world.set_parameters(use_sim_time=False).successful


# --- bad requests --------------------------------------------------------------------------------


BAD_ACTIONS: dict[str, tuple[list[msg.CandidateAction], int]] = {
    "none": ([], Status.INVALID_REQUEST),
    "too many": (candidates(513), Status.TOO_MANY),
    "another type": ([candidate(type="torque")], Status.UNSUPPORTED_ACTION),
    "no type": ([candidate(type="")], Status.UNSUPPORTED_ACTION),
    "no text": ([candidate("")], Status.INVALID_REQUEST),
    "blank": ([candidate(" \t ")], Status.INVALID_REQUEST),
    "long": ([candidate("push " * 2000)], Status.INVALID_REQUEST),
    "more tokens than the predictor reads": ([candidate("q" * 400)], Status.INVALID_REQUEST),
    "values": ([candidate(values=array("f", [1.0]))], Status.INVALID_REQUEST),
    "negative": ([candidate(duration=seconds(-1.0))], Status.INVALID_REQUEST),
    "absurd": ([candidate(duration=seconds(2**31 - 1))], Status.INVALID_REQUEST),
    "same ids": ([candidate(id="a"), candidate(id="a")], Status.INVALID_REQUEST),
}


@pytest.mark.parametrize("fault", BAD_ACTIONS)
def test_bad_actions_are_refused_wherever_they_are_asked_about(
    world: WorldClient, fault: str
) -> None:
    actions, code = BAD_ACTIONS[fault]
    refused(world.world(srv.QueryTransitions, actions=actions).status, code)
    refused(world.world(srv.ExplainTransition, actions=actions).status, code)
    if fault == "too many":
        actions = candidates(17)  # of one sequence
    if fault != "same ids":  # the same action may come twice in a sequence
        bad = [msg.ActionSequence(actions=actions)]
        state, result = world.roll_out(sequences=bad, goal_text=OUTCOME).end()
        assert state == GoalStatus.STATUS_ABORTED
        refused(result.status, code)


def bad_goals(good: msg.Embedding) -> dict[str, tuple[dict[str, Any], int]]:
    dim, nan = len(good.data), float("nan")
    vectors = {
        "another space": (spoilt(good, space_id="other:0:16"), Status.SPACE_MISMATCH),
        "no space": (spoilt(good, space_id=""), Status.SPACE_MISMATCH),
        "short": (spoilt(good, data=good.data[:-1]), Status.DIM_MISMATCH),
        "long": (spoilt(good, data=array("f", [0.1] * 1536)), Status.DIM_MISMATCH),
        "NaN": (spoilt(good, data=array("f", [nan] * dim)), Status.INVALID_REQUEST),
        "infinite": (spoilt(good, data=array("f", [math.inf] * dim)), Status.INVALID_REQUEST),
        "zero": (spoilt(good, data=array("f", [0.0] * dim)), Status.INVALID_REQUEST),
        "not unit": (
            spoilt(good, data=array("f", [2.0 * x for x in good.data])),
            Status.INVALID_REQUEST,
        ),
    }
    goals = {name: ({"goal_embedding": v}, code) for name, (v, code) in vectors.items()}
    goals["both"] = ({"goal_text": OUTCOME, "goal_embedding": good}, Status.INVALID_REQUEST)
    goals["blank"] = ({"goal_text": "  "}, Status.INVALID_REQUEST)
    return goals


def test_bad_goals_and_embeddings_are_refused(world: WorldClient) -> None:
    for name, (goal, code) in bad_goals(world.embedding()).items():
        refused(world.transitions(**goal).status, code)
        state, result = world.roll_out(sequences=sequences(1, 1), **goal).end()
        assert state == GoalStatus.STATUS_ABORTED, name
        refused(result.status, code)
        if "goal_text" not in goal:
            answer = world.world(srv.DecodeEmbedding, embeddings=[goal["goal_embedding"]])
            refused(answer.status, code)
    none = world.roll_out(sequences=sequences(1, 1)).end()[1]
    refused(none.status, Status.INVALID_REQUEST, "goal")


def test_other_bad_requests_are_refused(world: WorldClient) -> None:
    bad_lengths = [seconds(-0.5), seconds(2**31 - 1)]
    odd = seconds(0.0)
    odd.nanosec = 2**32 - 1
    for length in (*bad_lengths, odd):
        for name in ("deadline", "max_state_age"):
            refused(world.transitions(**{name: length}).status, Status.INVALID_REQUEST, name)
        question = world.world(srv.QueryWorldState, candidates=["a"], max_state_age=length)
        refused(question.status, Status.INVALID_REQUEST)
        rollout = world.roll_out(
            sequences=sequences(1, 1), goal_text=OUTCOME, deadline=length
        ).end()[1]
        refused(rollout.status, Status.INVALID_REQUEST, "deadline")
    for texts, code in (
        ([], Status.INVALID_REQUEST),
        (["a", ""], Status.INVALID_REQUEST),
        (["a"] * 513, Status.TOO_MANY),
    ):
        refused(world.world(srv.EncodeText, texts=texts).status, code)
        refused(world.world(srv.QueryWorldState, candidates=texts).status, code)
    refused(world.world(srv.DecodeEmbedding).status, Status.INVALID_REQUEST)
    for camera in ("elbow", "🤖"):
        refused(world.transitions(camera=camera).status, Status.INVALID_REQUEST, "camera")
    for made, code in (
        ([], Status.INVALID_REQUEST),
        ([msg.ActionSequence()], Status.INVALID_REQUEST),
        ([sequence("x", id_="a"), sequence("y", id_="a")], Status.INVALID_REQUEST),
        (sequences(2049, 1), Status.TOO_MANY),
    ):
        refused(world.roll_out(sequences=made, goal_text=OUTCOME).end()[1].status, code)
    for fields, word in (
        ({}, "text and embedding"),
        ({"text": OUTCOME, "embedding": world.embedding()}, "both"),
        ({"text": OUTCOME, "camera": "elbow"}, "camera"),
        ({"text": OUTCOME, "start": Time(sec=-1)}, "start"),
        ({"text": OUTCOME, "end": Time(nanosec=2**32 - 1)}, "end"),
        ({"text": OUTCOME, "start": Time(sec=2), "end": Time(sec=1)}, "end lies before start"),
        ({"embedding": spoilt(world.embedding(), data=array("f", [math.nan] * 16))}, "norm"),
    ):
        refused(world.world(srv.QueryMemory, **fields).status, Status.INVALID_REQUEST, word)
    refused(world.world(srv.QueryMemory, text=OUTCOME, k=513).status, Status.TOO_MANY, "513")
    deep = world.roll_out(sequences=sequences(1, 1), goal_text=OUTCOME, max_depth=17).end()[1]
    refused(deep.status, Status.TOO_MANY, "max_depth")


def _length(sec: int, nanosec: int) -> Any:
    made = seconds(0.0)
    made.sec, made.nanosec = sec, nanosec
    return made


TEXTS = st.sampled_from(["", " ", "open the drawer", "q" * 300, "🤖", "\n", "text"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8
)
LENGTHS = st.builds(
    _length,
    st.sampled_from([0, 0, 1, -1, 2**31 - 1, -(2**31)]),
    st.sampled_from([0, 1, 10**9, 2**32 - 1]),
)
TIMES = st.builds(
    lambda sec, nanosec: Time(sec=sec, nanosec=nanosec),
    st.sampled_from([0, 0, 1, -1, 2**31 - 1, -(2**31)]),
    st.sampled_from([0, 1, 10**9, 2**32 - 1]),
)
VECTORS = st.builds(
    lambda space_id, data: msg.Embedding(space_id=space_id, data=array("f", data)),
    TEXTS,
    st.lists(st.floats(width=32), max_size=20),
)
ACTIONS = st.builds(
    lambda text, id_, type_, values, duration: candidate(
        text, id=id_, type=type_, values=array("f", values), duration=duration
    ),
    TEXTS,
    TEXTS,
    st.sampled_from(["text", "text", ""]) | TEXTS,
    st.lists(st.floats(width=32), max_size=2),
    LENGTHS,
)
CAMERAS = st.sampled_from(["", "", "camera"]) | TEXTS
IDS = st.sampled_from([0, 0, 1]) | st.integers(0, 2**64 - 1)
ANYTHING = {
    srv.QueryTransitions: {
        "camera": CAMERAS,
        "state_id": IDS,
        "actions": st.lists(ACTIONS, max_size=3),
        "goal_text": TEXTS,
        "goal_embedding": VECTORS,
        "max_state_age": LENGTHS,
        "deadline": LENGTHS,
        "return_captions": st.booleans(),
    },
    srv.ExplainTransition: {
        "camera": CAMERAS,
        "initial_state_id": IDS,
        "final_state_id": IDS,
        "actions": st.lists(ACTIONS, max_size=3),
    },
    srv.QueryWorldState: {
        "state_id": IDS,
        "question": TEXTS,
        "candidates": st.lists(TEXTS, max_size=3),
        "max_state_age": LENGTHS,
    },
    srv.QueryMemory: {
        "camera": CAMERAS,
        "text": TEXTS,
        "embedding": VECTORS,
        "start": TIMES,
        "end": TIMES,
        "k": st.sampled_from([0, 1, 512, 513, 2**32 - 1]),
    },
    srv.EncodeText: {"texts": st.lists(TEXTS, max_size=3)},
    srv.DecodeEmbedding: {"embeddings": st.lists(VECTORS, max_size=3)},
}
REQUESTS = st.one_of(
    *(
        st.tuples(st.just(type_), st.fixed_dictionaries({}, optional=fields))
        for type_, fields in ANYTHING.items()
    )
)


def test_hundreds_of_random_requests_are_all_answered_and_stop_nothing(world: WorldClient) -> None:
    seen: set[int] = set()

    @settings(
        max_examples=300,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(REQUESTS)
    def ask(asked: tuple[Any, dict[str, Any]]) -> None:
        type_, fields = asked
        status = world.world(type_, **fields).status
        assert status.error_code != Status.INTERNAL, status.error_msg
        assert status.success == (status.error_code == Status.OK)
        # Only a search in words may be OK and doubtful.
        if status.error_code != Status.OK or type_ is not srv.QueryMemory:
            assert bool(status.error_msg) == (status.error_code != Status.OK)
        seen.add(status.error_code)

    ask()
    assert {Status.OK, Status.INVALID_REQUEST, Status.SPACE_MISMATCH} <= seen
    assert world.transitions().status.success


# --- load, deadlines, ends -----------------------------------------------------------------------


def test_every_one_of_64_requests_at_once_is_answered(world: WorldClient) -> None:
    answers = [world.later(srv.QueryTransitions, actions=candidates(8)) for _ in range(64)]
    others = [world.later(srv.QueryWorldState, candidates=["a", "b"]) for _ in range(64)]
    assert all(answer().status.success for answer in answers)
    assert {answer().status.error_code for answer in others} <= {Status.OK, Status.BUSY}


def test_more_requests_than_may_wait_are_busy_and_none_vanishes(world: WorldClient) -> None:
    # Those without patience expire behind one another. The others stay in the queue until it is
    # full, however slowly this machine sends them.
    patience_s = [0.02] * 15 + [60.0] * 180
    answers = [
        world.later(
            srv.QueryTransitions,
            actions=candidates(64),
            return_captions=True,
            deadline=seconds(length_s),
        )
        for length_s in patience_s
    ]
    codes = [answer().status.error_code for answer in answers]
    assert set(codes) <= {Status.OK, Status.BUSY, Status.DEADLINE}
    assert Status.BUSY in codes and Status.DEADLINE in codes
    assert world.transitions().status.success


def test_an_answer_that_is_late_is_not_given(world: WorldClient) -> None:
    late = world.transitions(*candidates(512), return_captions=True, deadline=seconds(0.005))
    refused(late.status, Status.DEADLINE, "0.005 s")
    assert not late.predictions
    began_s = time.monotonic()
    rollout = world.roll_out(sequences=sequences(2048, 8), goal_text=OUTCOME, deadline=seconds(0.5))
    state, result = rollout.end()
    assert state == GoalStatus.STATUS_ABORTED and time.monotonic() - began_s < 10.0
    refused(result.status, Status.DEADLINE, "of 2048 sequences")
    assert world.transitions(deadline=seconds(30.0)).status.success


def test_a_cancel_is_seen_within_a_batch_and_keeps_what_was_found(world: WorldClient) -> None:
    rollout = world.roll_out(sequences=sequences(2048, 4), goal_text=OUTCOME)
    wait_until(lambda: len(rollout.feedback) >= 3, "feedback")
    batches = len(rollout.feedback)
    assert rollout.cancel().goals_canceling
    state, result = rollout.end()
    assert state == GoalStatus.STATUS_CANCELED
    refused(result.status, Status.DEADLINE, "cancelled")
    # Those that came while the cancel was on its way, and the one under way when it arrived.
    assert len(rollout.feedback) - batches < 20
    assert 64 <= len(result.ranked) == len(result.goal_similarity) == len(result.uncertainty)
    assert world.transitions().status.success


def test_rollouts_at_once_are_bounded(world: WorldClient) -> None:
    def at_most(rollouts: int) -> bool:
        made = Parameter("max_rollouts", value=rollouts).to_parameter_msg()
        return bool(world.world(SetParametersAtomically, parameters=[made]).result.successful)

    assert at_most(2) and not at_most(0)
    try:
        started = [
            world.roll_out(sequences=sequences(1024, 4), goal_text=OUTCOME) for _ in range(2)
        ]
        refused(
            world.roll_out(sequences=sequences(1, 1), goal_text=OUTCOME).end()[1].status,
            Status.BUSY,
            "2 rollouts",
        )
        for rollout in started:
            rollout.cancel()
            rollout.end()
    finally:
        assert at_most(16)
    assert world.roll_out(sequences=sequences(1, 1), goal_text=OUTCOME).end()[1].status.success


DYING = """
import os
import rclpy
from vljepa_ros.msg import CandidateAction
from vljepa_ros.srv import QueryTransitions
rclpy.init()
node = rclpy.create_node("dying")
client = node.create_client(QueryTransitions, "{name}/query_transitions")
assert client.wait_for_service(30.0)
actions = [CandidateAction(type="text", text=f"push {{n}}") for n in range(512)]
for _ in range(20):
    client.call_async(QueryTransitions.Request(actions=actions, return_captions=True))
rclpy.spin_once(node, timeout_sec=0.1)
os._exit(9)
"""


def test_clients_that_die_while_they_wait_hurt_nobody(world: WorldClient) -> None:
    script = DYING.format(name=f"{NAMESPACE}/world_state")
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 9
    for _ in range(3):
        assert world.transitions(deadline=seconds(60.0)).status.success


def test_ending_perception_in_mid_request_is_not_active(world: WorldClient) -> None:
    for ends in (("deactivate",), ("deactivate", "cleanup")):
        world.see()
        waiting = [
            world.later(srv.QueryTransitions, actions=candidates(512), return_captions=True)
            for _ in range(20)
        ]
        rollout = world.roll_out(sequences=sequences(2048, 8), goal_text=OUTCOME)
        wait_until(lambda rollout=rollout: rollout.feedback, "feedback")
        assert world.transition(*ends)
        codes = [answer().status.error_code for answer in waiting]
        assert set(codes) <= {Status.OK, Status.NOT_ACTIVE} and codes[-1] == Status.NOT_ACTIVE
        state, result = rollout.end()
        assert state == GoalStatus.STATUS_ABORTED
        refused(result.status, Status.NOT_ACTIVE, "activate")
        refused(world.transitions().status, Status.NOT_ACTIVE, "activate")
        refused(world.world(srv.EncodeText, texts=["a"]).status, Status.NOT_ACTIVE)
        assert world.transition(*(("configure",) if "cleanup" in ends else ()), "activate")
        refused(world.transitions().status, Status.NO_STATE, "no state yet")


def test_a_client_written_from_the_interface_page_alone_works(world: WorldClient) -> None:
    client = Path(__file__).with_name("world_state_client.py")
    done = subprocess.run(
        [sys.executable, str(client), NAMESPACE],
        check=False,
        timeout=90,
        capture_output=True,
        text=True,
        env={**os.environ, "ROS_PYTHON_CHECK_FIELDS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "done"
