"""Every wording reads back as exactly its meaning, and as nothing else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.tabletop import language
from training.tabletop.actions import Action
from training.tabletop.catalogue import OUTCOMES_OF, count_action_meanings, meanings_of, plausible
from training.tabletop.edits import names_in, sensible
from training.tabletop.grammar import DOES, HELDOUT_DOES, HELDOUT_IDLE, IDLE
from training.tabletop.grammar_outcomes import HELDOUT_OUTCOMES, HELDOUT_SPECIAL, OUTCOMES, SPECIAL
from training.tabletop.meaning import Meaning
from training.tabletop.names import ACTIONS, ALL_OBJECTS, HELDOUT_OBJECTS, ObjectName
from training.tabletop.templates import Template

KINDS = st.sampled_from(["action", "action", "scene", "idle"])
SEEDS = st.integers(0, 2**32 - 1)
SPLITS = st.sampled_from(["train", "heldout_wording", "heldout_combination"])


@settings(max_examples=400, deadline=None)
@given(KINDS, SPLITS, SEEDS)
def test_every_wording_reads_back(kind: str, split: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    meaning = language.sample_meaning(kind, rng, split)
    text = language.caption(meaning, rng, split)
    assert language.parse(text) == meaning
    assert language.parse(language.canonical(meaning)) == meaning
    assert language.parse(f"  {text.upper()}!? ".replace(" ", "  ")) == meaning


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    meaning = language.parse(text)
    assert meaning is None or language.parse(language.canonical(meaning)) == meaning


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "!?", "the " * 2000, "a red cube " * 500])
def test_odd_text_is_no_sentence(text: str) -> None:
    assert language.parse(text) is None


def test_near_sentences_do_not_parse() -> None:
    for text in (
        "the gripper picks up the red",
        "the gripper picks up the red cube and",
        "the gripper picks up the pink cube",
        "the gripper picks up the red cube but",
        "the gripper pushes the red cube",
        "the gripper picks up the red cube and it falls off the table",
        "the gripper tips the red ball over",
        "the gripper picks up the red cube but the red cube is too close",
        "from left to right there are a red cube, the drawer is open",
        "",
    ):
        assert language.parse(text) is None, text


def test_no_two_meanings_share_a_canonical_sentence() -> None:
    pool = ALL_OBJECTS[:9]
    texts: Counter[str] = Counter()
    for action in ACTIONS:
        for outcome in OUTCOMES_OF[action]:
            texts.update(language.canonical(m) for m in meanings_of(action, outcome, pool))
    assert texts.total() > 1000
    assert max(texts.values()) == 1


def test_there_are_thousands_of_action_meanings() -> None:
    assert count_action_meanings(ALL_OBJECTS) >= 5000


def test_wordings_are_many_and_the_heldout_ones_are_apart() -> None:
    rng = np.random.default_rng(0)
    for action in ACTIONS:
        assert len(DOES[action]) >= 8
        assert not set(DOES[action]) & set(HELDOUT_DOES[action])
    assert len(IDLE) >= 8
    assert set(OUTCOMES) == set(HELDOUT_OUTCOMES)
    assert set(SPECIAL) == set(HELDOUT_SPECIAL)
    for action, sources in HELDOUT_DOES.items():
        meaning = next(meanings_of(action, "success", ALL_OBJECTS))
        train = {language.caption(meaning, rng) for _ in range(60)}
        held = {language.caption(meaning, rng, "heldout_wording") for _ in range(20)}
        assert len(train) >= 8
        assert not train & held
        for text in held:
            assert any(Template(s).read(text) is not None for s in sources)
    idle = {language.caption(language.idle_meaning(), rng, "heldout_wording") for _ in range(30)}
    assert all(any(Template(s).read(t) is not None for s in HELDOUT_IDLE) for t in idle)


def test_training_text_never_names_a_heldout_combination() -> None:
    rng = np.random.default_rng(1)
    banned = set(HELDOUT_OBJECTS)
    for _ in range(300):
        for kind in ("action", "scene"):
            meaning = language.sample_meaning(kind, rng, "train")
            assert not banned & set(names_in(meaning))
            for edit in language.edits(meaning, rng, 4):
                assert not banned & set(names_in(edit))


def test_edits_are_distinct_sensible_and_one_step_away() -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        meaning = language.sample_meaning("action", rng)
        edits = language.edits(meaning, rng, 8)
        assert len(set(edits)) == len(edits) == 8
        assert meaning not in edits
        assert all(plausible(e) for e in edits)
        for e in edits:
            changed = (e.action != meaning.action) + (e.outcome != meaning.outcome)
            if not changed:
                slots = ("object", "target", "other")
                changed = sum(getattr(e, s) != getattr(meaning, s) for s in slots)
            assert changed == 1
        scene = language.sample_meaning("scene", rng)
        edits = language.edits(scene, rng, 30)
        assert len(set(edits)) == len(edits) == 30
        assert scene not in edits
        assert all(sensible(e) for e in edits)
    assert len(set(language.edits(language.idle_meaning(), rng, 30))) == 30


def test_hard_edits_swap_neighbours_first() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        scene = language.sample_meaning("scene", rng)
        hard = language.hard_edits(scene, rng, 8)
        assert len(set(hard)) == len(hard) == 8 and scene not in hard
        swaps = min(language.SWAPS, max(0, len(scene.items) - 1))
        for edit in hard[:swaps]:
            places = [
                i
                for i, pair in enumerate(zip(scene.items, edit.items, strict=True))
                if pair[0] != pair[1]
            ]
            assert len(places) == 2 and places[1] == places[0] + 1
            assert sorted(map(repr, edit.items)) == sorted(map(repr, scene.items))


def test_most_actions_have_thirty_edits() -> None:
    rng = np.random.default_rng(3)
    counts = [
        len(language.edits(language.sample_meaning("action", rng), rng, 30)) for _ in range(60)
    ]
    assert np.mean(np.array(counts) == 30) > 0.8


def test_instructions_and_labels_read_back() -> None:
    rng = np.random.default_rng(4)
    cube = ObjectName("red", "cube")
    for name in ACTIONS:
        target = cube if name.startswith(("pick", "push", "tip", "stack")) else None
        for chooser in (None, rng, rng, rng, rng):
            text = language.action_instruction(Action(name, target), chooser)
            assert language.parse(text) == Meaning("instruction", name, target=target)
    labels = language.action_labels()
    assert len(set(labels)) == 15
    for name, label in zip(ACTIONS, labels, strict=False):
        assert language.parse(label) == Meaning("label", name)
    assert language.parse(labels[-1]) == language.idle_meaning()


def test_instructions_do_not_say_what_only_a_look_can_tell() -> None:
    for name in ("put_down", "put_in_drawer", "take_out_of_drawer", "shake"):
        text = language.action_instruction(Action(name))
        assert not set(text.split()) & {c for o in ALL_OBJECTS for c in o}


def test_scene_captions_are_short() -> None:
    rng = np.random.default_rng(5)
    lengths = [
        len(language.caption(language.sample_meaning("scene", rng), rng).split())
        for _ in range(500)
    ]
    assert max(lengths) <= 45


def test_corpus_has_questions_answers_and_captions() -> None:
    texts = list(language.corpus(np.random.default_rng(6), 1500))
    assert len(texts) == 1500
    assert "yes" in texts
    assert any(t.endswith("?") for t in texts)
    kinds = Counter(m.kind for m in map(language.parse, texts) if m is not None)
    assert {"action", "scene", "idle", "answer", "instruction", "label"} <= set(kinds)


def test_bad_arguments_say_the_mend() -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(ValueError, match="use action, idle or scene"):
        language.sample_meaning("question", rng)
    with pytest.raises(ValueError, match="unknown split"):
        language.caption(language.idle_meaning(), rng, "dev")
    with pytest.raises(ValueError, match="no wording"):
        language.canonical(Meaning("nonsense"))
