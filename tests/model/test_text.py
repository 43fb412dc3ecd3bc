from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_ros.model.text import (
    MAX_CHARACTERS,
    TextError,
    Tokenizer,
    check_text,
    ignore_case,
    train_tokenizer,
)
from vljepa_ros.paths import default_model

CORPUS = ["the robot picks up the red cube", "the gripper opens", "the red ball falls"] * 3
TOKENIZER = train_tokenizer(CORPUS, 300)


def test_the_same_corpus_gives_the_same_ids() -> None:
    assert train_tokenizer(CORPUS, 300).to_json() == TOKENIZER.to_json()
    assert TOKENIZER.vocab_size <= 300
    assert len({TOKENIZER.pad_id, TOKENIZER.bos_id, TOKENIZER.eos_id}) == 3


def test_words_of_the_corpus_are_few_tokens_and_come_back() -> None:
    ids, mask = TOKENIZER.encode_batch(["the robot opens", "the red cube"], 40)
    assert ids.dtype == mask.dtype == torch.long
    assert ids.shape[1] < len("the robot opens")
    assert TOKENIZER.decode(ids) == ["the robot opens", "the red cube"]


def test_rows_are_padded_at_the_end_and_masked() -> None:
    ids, mask = TOKENIZER.encode_batch(["the red cube", "the"], 40)
    lengths = mask.sum(dim=1).tolist()
    assert lengths[0] == ids.shape[1] > lengths[1]
    assert mask[1].tolist() == [1] * lengths[1] + [0] * (ids.shape[1] - lengths[1])
    assert set(ids[1, lengths[1] :].tolist()) == {TOKENIZER.pad_id}


def test_eos_ends_a_row_even_when_it_was_cut() -> None:
    ids, mask = TOKENIZER.encode_batch(["the red cube", "the robot " * 20], 9, eos=True)
    assert ids.shape[1] == 9
    for row, length in zip(ids.tolist(), mask.sum(dim=1).tolist(), strict=True):
        assert row.index(TOKENIZER.eos_id) == length - 1
    assert TOKENIZER.decode(ids)[0] == "the red cube"


def test_long_texts_are_cut_or_refused_as_asked() -> None:
    ids, _ = TOKENIZER.encode_batch(["the robot " * 20], 9)
    assert ids.shape == (1, 9)
    with pytest.raises(TextError, match="shorten it to 9"):
        TOKENIZER.encode_batch(["the robot " * 20], 9, truncate=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("a\0b", "NUL character at 1"),
        ("ab\ud800", "lone surrogate at 2"),
        ("x" * (MAX_CHARACTERS + 1), f"shorten it to {MAX_CHARACTERS}"),
        (None, "must be a string"),
    ],
)
def test_bad_texts_are_refused_with_the_mend(text: str, words: str) -> None:
    with pytest.raises(TextError, match=words):
        TOKENIZER.encode_batch(["fine", text], 40)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_encoded_or_refused(text: str) -> None:
    try:
        check_text(text)
    except TextError:
        return
    ids, mask = TOKENIZER.encode_batch([text], 500)
    assert int(mask.sum()) > 0
    assert int(ids.max()) < TOKENIZER.vocab_size
    printable = "".join(c for c in text if c != "\ufffd" and (c.isprintable() or c.isspace()))
    assert TOKENIZER.decode(ids) == [" ".join(printable.split())]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-5, 2000), max_size=20))
def test_any_ids_give_a_text_that_can_be_encoded_or_is_empty(ids: list[int]) -> None:
    (text,) = TOKENIZER.decode([ids])
    if text:
        check_text(text)


def test_special_words_inside_a_text_are_plain_characters() -> None:
    for eos in (False, True):
        ids, _ = TOKENIZER.encode_batch(["<eos> <pad>"], 40, eos=eos)
        assert TOKENIZER.decode(ids) == ["<eos> <pad>"]


def test_save_and_load_agree(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(TOKENIZER.to_json(), encoding="utf-8")
    again = Tokenizer.from_file(path)
    text = ["the red cube é 🤖"]
    assert torch.equal(again.encode_batch(text, 40)[0], TOKENIZER.encode_batch(text, 40)[0])
    assert not again.separate_target
    assert again.target is again


def test_case_and_a_final_stop_make_no_difference() -> None:
    plain = Tokenizer.from_json(ignore_case(TOKENIZER).to_json())
    ids = [plain.encode_batch([t], 40)[0].tolist() for t in ("Push It Left. ", "push it left")]
    assert ids[0] == ids[1]
    first, second = (plain.encode_batch([t], 40)[0] for t in ("it is open. go", "it is open go"))
    assert first.shape != second.shape
    assert int(plain.encode_batch(["..."], 40)[1].sum()) > 0
    assert plain.decode(plain.encode_batch(["The CUBE."], 40)[0]) == ["the cube"]


def test_a_separate_target_tokenizer_is_told_apart() -> None:
    pair = Tokenizer.from_json(TOKENIZER.to_json(), target=TOKENIZER)
    assert pair.separate_target
    assert pair.target is TOKENIZER


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(TextError, match="not a tokenizer"):
        Tokenizer.from_json("{}")
    nameless = TOKENIZER.to_json().replace("<pad>", "<blank>")
    with pytest.raises(TextError, match="knows none of <pad>"):
        Tokenizer.from_json(nameless)
    with pytest.raises(TextError, match="vocab_size must be at least"):
        train_tokenizer(CORPUS, 100)


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("the gripper drops the red cube", []),
        ("is the drawer open?", []),
        ("the dishwasher is open", ["dishwasher"]),
        ("el robot abre el cajón", ["el", "abre", "el", "cajón"]),
        ("机器人打开抽屉", ["机器人打开抽屉"]),
        ("робот открывает", ["робот", "открывает"]),
    ],
)
def test_words_that_the_shipped_model_does_not_know(text: str, strange: list[str]) -> None:
    tokenizer = Tokenizer.from_file(default_model() / "tokenizer.json")
    assert tokenizer.strange_words(text) == strange
