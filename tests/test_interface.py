"""The interface that outside programs rely on: names, types, constants, and what they mean."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEADER, TIME, DURATION = "std_msgs/Header", "builtin_interfaces/Time", "builtin_interfaces/Duration"

INTERFACES: dict[str, str] = {
    "Embedding.msg": "string space_id, float32[] data",
    "EmbeddingInfo.msg": (
        f"{HEADER} header, string space_id, string model_name, string model_sha256, uint32 dim, "
        "bool normalized, string metric, uint32 clip_frames, float64 clip_seconds, "
        "string[] action_types, bool has_decoder"
    ),
    "LabelScore.msg": "string label, float32 similarity, float32 probability",
    "SemanticState.msg": (
        f"{HEADER} header, string camera, {TIME} clip_start, string query, Embedding embedding, "
        f"LabelScore[] labels, uint64 state_id, {TIME} state_since, bool changed, "
        f"float32 change_score, float32 change_threshold, uint64 dropped_frames, {DURATION} latency"
    ),
    "SemanticEvent.msg": (
        "uint8 REASON_FIRST=0, uint8 REASON_CHANGE=1, uint8 REASON_HEARTBEAT=2, "
        f"uint8 REASON_REQUEST=3, {HEADER} header, string camera, uint64 state_id, "
        "uint64 previous_state_id, uint8 reason, string query, string caption, "
        "float32 caption_score, LabelScore[] labels, Embedding embedding, float32 change_score, "
        f"{DURATION} latency"
    ),
    "CandidateAction.msg": (
        "string id, string type, string text, float32[] values, string frame_id, "
        f"{DURATION} duration"
    ),
    "ActionSequence.msg": "string id, CandidateAction[] actions",
    "TransitionPrediction.msg": (
        "string id, Embedding predicted, string caption, float32 goal_similarity, float32 change, "
        "float32 uncertainty, bool out_of_distribution"
    ),
    "MemoryEntry.msg": (
        f"{TIME} stamp, string camera, uint64 state_id, string query, string caption, "
        "float32 similarity, string pose_frame, geometry_msgs/Pose pose"
    ),
    "Status.msg": (
        "uint16 OK=0, uint16 NOT_ACTIVE=1, uint16 NO_STATE=2, uint16 STALE_STATE=3, "
        "uint16 UNSUPPORTED_ACTION=4, uint16 DIM_MISMATCH=5, uint16 SPACE_MISMATCH=6, "
        "uint16 TOO_MANY=7, uint16 DEADLINE=8, uint16 BUSY=9, uint16 INVALID_REQUEST=10, "
        "uint16 INTERNAL=200, bool success, uint16 error_code, string error_msg"
    ),
    "SetQuery.srv": "string camera, string query, string[] labels, ---, Status status",
    "GetState.srv": "string camera, ---, SemanticState state, string caption, Status status",
    "QueryTransitions.srv": (
        "string camera, uint64 state_id, CandidateAction[] actions, string goal_text, "
        f"Embedding goal_embedding, {DURATION} max_state_age, {DURATION} deadline, "
        "bool return_embeddings, bool return_captions, ---, "
        f"{HEADER} state_header, uint64 state_id, string space_id, "
        f"TransitionPrediction[] predictions, {DURATION} compute_time, Status status"
    ),
    "ExplainTransition.srv": (
        "string camera, uint64 initial_state_id, uint64 final_state_id, CandidateAction[] actions, "
        "---, LabelScore[] scores, Status status"
    ),
    "QueryWorldState.srv": (
        "string camera, uint64 state_id, string question, string[] candidates, "
        f"{DURATION} max_state_age, ---, LabelScore[] scores, {HEADER} state_header, "
        "uint64 state_id, Status status"
    ),
    "EncodeText.srv": "string[] texts, ---, Embedding[] embeddings, Status status",
    "DecodeEmbedding.srv": (
        "Embedding[] embeddings, ---, string[] captions, float32[] scores, Status status"
    ),
    "QueryMemory.srv": (
        f"string camera, string text, Embedding embedding, {TIME} start, {TIME} end, uint32 k, "
        "---, MemoryEntry[] entries, Status status"
    ),
    "RolloutTransitions.action": (
        "string camera, uint64 state_id, ActionSequence[] sequences, string goal_text, "
        f"Embedding goal_embedding, uint32 beam_width, uint32 max_depth, {DURATION} deadline, "
        "---, ActionSequence[] ranked, float32[] goal_similarity, float32[] uncertainty, "
        "Status status, ---, ActionSequence best, float32 goal_similarity, uint32 evaluated"
    ),
}
"""File name -> its fields and constants, in order; `---` between the parts."""


def file_of(name: str) -> Path:
    return ROOT / name.rpartition(".")[2] / name


def statements(text: str) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [re.sub(r"\s+", " ", line) for line in lines if line]


@pytest.mark.parametrize("name", INTERFACES)
def test_fields_are_those_that_clients_rely_on(name: str) -> None:
    assert statements(file_of(name).read_text()) == INTERFACES[name].split(", ")


def test_no_interface_is_missing_here() -> None:
    files = {p.name for kind in ("msg", "srv", "action") for p in (ROOT / kind).iterdir()}
    assert files == set(INTERFACES)


@pytest.mark.parametrize("name", INTERFACES)
def test_every_field_has_words_above_it(name: str) -> None:
    lines = file_of(name).read_text().splitlines()
    assert lines[0].startswith("# "), "the file's first line says what the interface is for"
    for above, line in zip(["", *lines], lines, strict=False):
        field = line.strip()
        if not field or field.startswith(("#", "---")) or field == "Status status":
            continue
        if re.fullmatch(r"\w+ [A-Z_]+=\d+", field) and field.endswith("OK=0"):
            continue
        assert above.startswith("# "), f"{name}: say the meaning and unit of '{field}' above it"


@pytest.mark.ros
@pytest.mark.parametrize("name", INTERFACES)
def test_the_built_interface_has_these_fields(name: str) -> None:
    """What was built is what the files say: a stale build would answer with other fields."""
    kind = name.rpartition(".")[2]
    module = importlib.import_module(f"vljepa_ros.{kind}")
    built = getattr(module, name.removesuffix(f".{kind}"))
    parts = {
        "msg": [built],
        "srv": [getattr(built, p, None) for p in ("Request", "Response")],
        "action": [getattr(built, p, None) for p in ("Goal", "Result", "Feedback")],
    }[kind]
    for part, text in zip(parts, INTERFACES[name].split(", ---, "), strict=True):
        fields = [s.split(" ") for s in text.split(", ") if "=" not in s]
        expected = [field for _, field in fields]
        assert list(part.get_fields_and_field_types()) == expected
        for statement in text.split(", "):
            if "=" in statement:
                constant, value = statement.split(" ")[1].split("=")
                assert getattr(part, constant) == int(value)
