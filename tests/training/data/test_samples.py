"""A sample's .json is read back as it was written, and every wrong one says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_media import described

from training.data.errors import SampleError
from training.data.samples import MediaSample, from_json, same_meaning, to_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
WORDS = TEXTS.filter(lambda text: text.strip() != "")


@given(query=WORDS, target=WORDS, others=st.lists(WORDS, max_size=3))
def test_any_text_comes_back_as_it_was(query: str, target: str, others: list[str]) -> None:
    wrong = tuple(text for text in others if same_meaning(text) != same_meaning(target))
    sample = MediaSample(query, target, "question", "somewhere", wrong, 0.5, 2.0)
    assert from_json(to_json(sample)) == sample


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A red cube.", "a  red cube"),
        ("yes!", "Yes"),
        ("赤い立方体。", "赤い立方体"),
        ("STRASSE", "straße"),
        ("هل هو أحمر؟", "هل هو أحمر"),
    ],
)
def test_texts_that_say_the_same_have_one_key(one: str, other: str) -> None:
    keys = {MediaSample("q", text, "t", "s").key for text in (one, other)}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("left", "right"), ("?", "!"), ("3.5", "35"), ("🙂", "🙁"), ("no", "know")]
)
def test_texts_that_say_different_things_have_two(one: str, other: str) -> None:
    keys = {MediaSample("q", text, "t", "s").key for text in (one, other)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"query": None}, "'query' is missing"),
        ({"target": None}, "'target' is missing"),
        ({"task": None}, "'task' is missing"),
        ({"source": None}, "'source' is missing"),
        ({"target": ""}, "target: the text is empty"),
        ({"query": "  \n"}, "query: the text is empty"),
        ({"target": 3}, "target must be a text, not 3"),
        ({"target": "a\0b"}, "NUL"),
        ({"target": "x" * 5000 + "\ud800"}, "lone surrogate at 5000"),
        ({"answer": "x"}, "unknown field 'answer'"),
        ({"candidates": "no"}, "must be a list"),
        ({"candidates": ["a bowl", ""]}, r"candidates\[1\]: the text is empty"),
        ({"candidates": ["A cup."]}, "says the same as the target"),
        ({"start_s": "1"}, "start_s must be a number"),
        ({"end_s": True}, "end_s must be a number"),
        ({"end_s": float("nan")}, "end_s is nan"),
        ({"start_s": -1}, "no interval"),
        ({"start_s": 2, "end_s": 2}, "no interval"),
        ({"end_s": 0}, "no interval"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SampleError, match=said):
        from_json(described(**fields))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[1]", b"null"])
def test_what_is_no_object_is_told(data: bytes) -> None:
    with pytest.raises(SampleError, match=r"its \.json"):
        from_json(data)


def test_what_a_sample_does_not_have_is_left_out() -> None:
    sample = from_json(described())
    assert set(json.loads(to_json(sample))) == {"query", "target", "task", "source"}
