"""The world's language: meanings to sentences in varied wording, and back exactly."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from training.tabletop import catalogue, grammar, grammar_outcomes
from training.tabletop import edits as _edits
from training.tabletop.actions import Action
from training.tabletop.meaning import Item, Meaning, idle_meaning, scene_meaning
from training.tabletop.names import ACTIONS, COLOURS, IDLE, SHAPES, ObjectName
from training.tabletop.scene_text import random_scene_meaning, read_scene, write_scene
from training.tabletop.splits import check_split, objects_of
from training.tabletop.templates import Chooser, Template, normalise, templates, unword, word

__all__ = [
    "Action", "Item", "Meaning", "ObjectName", "action_instruction", "action_labels", "canonical",
    "caption", "corpus", "edits", "hard_edits", "idle_meaning", "parse", "sample_meaning",
    "scene_meaning",
]  # fmt: skip

_DOES = grammar.compiled(grammar.DOES)
_HELDOUT_DOES = grammar.compiled(grammar.HELDOUT_DOES)
_TRIES = grammar.compiled(grammar.TRIES)
_EMPTY = grammar.compiled(grammar.EMPTY)
_INSTRUCTIONS = grammar.compiled(grammar.INSTRUCTIONS)
_HELDOUT_INSTRUCTIONS = grammar.compiled(grammar.HELDOUT_INSTRUCTIONS)
_OUTCOMES = grammar.compiled(grammar_outcomes.OUTCOMES)
_HELDOUT_OUTCOMES = grammar.compiled(grammar_outcomes.HELDOUT_OUTCOMES)
_SPECIAL = grammar.compiled(grammar_outcomes.SPECIAL)
_HELDOUT_SPECIAL = grammar.compiled(grammar_outcomes.HELDOUT_SPECIAL)
_IDLE, _HELDOUT_IDLE = templates(*grammar.IDLE), templates(*grammar.HELDOUT_IDLE)
_NOTHING = templates("")
_LABELS = {text: name for name, text in grammar.LABELS.items()}
_FAILS = (
    "hands_full", "nothing_held", "covered", "no_room", "blocked", "drawer_closed", "drawer_full",
    "drawer_empty", "already", "stays_upright",
)  # fmt: skip
_JOINTS = ("but", "and", "until", "so", "with")
SWAPS = 3
"""Of the edits of a scene. Nearly all texts that an embedding did not tell from the truth's other
wordings, and nearly half of those that the predictor did not, were such."""
ANSWERS = ("yes", "no", *COLOURS, *SHAPES, "nothing", "zero", "one", "two", "three", "four", "five")


def _tries(action: str, outcome: str) -> bool:
    """Whether the caption says that the robot tries, rather than that it does."""
    return outcome in _FAILS or (action in ("put_down", "tip_over") and outcome.startswith("bumps"))


def _mains(action: str, outcome: str) -> tuple[tuple[Template, ...], tuple[Template, ...]]:
    """Wordings of the first half, and the held-out ones."""
    if not _tries(action, outcome):
        return _DOES[action], _HELDOUT_DOES[action]
    if not catalogue.names_object(action, outcome) and action in _EMPTY:
        return _EMPTY[action], ()
    return _TRIES[action], ()


def _tails(action: str, outcome: str) -> tuple[tuple[Template, ...], tuple[Template, ...]]:
    """Wordings of the second half, and the held-out ones."""
    if outcome == "success":
        return _NOTHING, ()
    if (action, outcome) in _SPECIAL:
        return _SPECIAL[action, outcome], _HELDOUT_SPECIAL[action, outcome]
    return _OUTCOMES[outcome], _HELDOUT_OUTCOMES[outcome]


# --- writing --------------------------------------------------------------------------------------


def caption(meaning: Meaning, rng: np.random.Generator, split: str = "train") -> str:
    """A sentence of that meaning in one of its wordings.

    Raises:
        ValueError: an unknown split, or a meaning of no known kind.
    """
    return _worded(meaning, rng, check_split(split) == "heldout_wording")


def canonical(meaning: Meaning) -> str:
    """The one plain sentence of that meaning."""
    return _worded(meaning, None, False)


def _worded(m: Meaning, rng: Chooser, heldout: bool) -> str:
    if m.kind == "scene":
        return write_scene(m, rng, heldout)
    if m.kind == "idle":
        return _one(_IDLE, _HELDOUT_IDLE, rng, heldout).write({}, rng)
    if m.kind == "label":
        return grammar.LABELS[m.action]
    if m.kind == "answer":
        return m.answer if not m.object else word(m.object, rng)
    if m.kind == "instruction":
        slot = "t" if m.action == "stack_on" else "o"
        slots = {slot: m.target} if m.target else {}
        wordings = _INSTRUCTIONS[m.action], _HELDOUT_INSTRUCTIONS[m.action]
        return _one(*wordings, rng, heldout).write(slots, rng)
    if m.kind != "action":
        raise ValueError(f"no wording for a meaning of kind {m.kind!r}; use action, idle or scene")
    slots = {k: v for k, v in (("o", m.object), ("t", m.target), ("y", m.other)) if v is not None}
    main = _one(*_mains(m.action, m.outcome), rng, heldout)
    tail = _one(*_tails(m.action, m.outcome), rng, heldout)
    return f"{main.write(slots, rng)} {tail.write(slots, rng)}".strip()


def _one(
    plain: tuple[Template, ...], held: tuple[Template, ...], rng: Chooser, heldout: bool
) -> Template:
    if rng is None:
        return plain[0]
    options = held if heldout and held else plain
    return options[int(rng.integers(len(options)))]


def action_labels() -> tuple[str, ...]:
    """The texts of the 14 action classes, then the one of idle."""
    return tuple(grammar.LABELS[name] for name in (*ACTIONS, IDLE))


def action_label(name: str) -> str:
    """The label text of an action class, or of `idle`."""
    return grammar.LABELS[name]


def action_instruction(action: Action, rng: Chooser = None) -> str:
    """The action as a planner says it: `push the red cube to the left`. Canonical without rng."""
    return _worded(Meaning("instruction", action.name, target=action.target), rng, False)


# --- reading --------------------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def parse(text: str) -> Meaning | None:
    """The meaning of a sentence of the grammar in any wording; None for any other text."""
    plain = normalise(text)
    if not plain:
        return None
    return _read_idle(plain) or _read_action(plain) or read_scene(plain) or _read_short(plain)


def _read_idle(text: str) -> Meaning | None:
    found = any(t.read(text) is not None for t in (*_IDLE, *_HELDOUT_IDLE))
    return idle_meaning() if found else None


def _read_action(text: str) -> Meaning | None:
    words = text.split()
    cuts = [i for i, w in enumerate(words) if i > 0 and w in _JOINTS] + [len(words)]
    for cut in cuts:
        head, tail = " ".join(words[:cut]), " ".join(words[cut:])
        for action, outcome, more in _read_tail(tail):
            slots = _read_any(head, _mains(action, outcome))
            if slots is None:
                continue
            slots = slots | more
            m = Meaning("action", action, slots.get("o"), slots.get("t"), outcome, slots.get("y"))
            if catalogue.plausible(m):
                return m
    return None


@lru_cache(maxsize=20_000)
def _read_tail(tail: str) -> tuple[tuple[str, str, dict[str, ObjectName]], ...]:
    """Every (action, outcome) whose second half reads so."""
    found = []
    for action in ACTIONS:
        for outcome in catalogue.OUTCOMES_OF[action]:
            slots = _read_any(tail, _tails(action, outcome))
            if slots is not None:
                found.append((action, outcome, slots))
    return tuple(found)


def _read_any(
    text: str, wordings: tuple[tuple[Template, ...], tuple[Template, ...]]
) -> dict[str, ObjectName] | None:
    for template in (*wordings[0], *wordings[1]):
        slots = template.read(text)
        if slots is not None:
            return slots
    return None


def _read_short(text: str) -> Meaning | None:
    """Answers, labels and instructions."""
    if text in ANSWERS:
        return Meaning("answer", answer=text)
    if text in _LABELS:
        return Meaning("label", _LABELS[text])
    for action, wordings in _INSTRUCTIONS.items():
        slots = _read_any(text, (wordings, _HELDOUT_INSTRUCTIONS[action]))
        if slots is not None:
            return Meaning("instruction", action, target=next(iter(slots.values()), None))
    try:
        return Meaning("answer", object=unword(text))
    except (KeyError, ValueError):
        return None


# --- drawing meanings -----------------------------------------------------------------------------


def hard_edits(meaning: Meaning, rng: np.random.Generator, n: int) -> list[Meaning]:
    """`edits`, but up to `SWAPS` of a scene have two neighbours swapped: the hardest to tell."""
    swapped = _edits.neighbours_swapped(meaning, rng, SWAPS)
    others = (edit for edit in edits(meaning, rng, n) if edit not in swapped)
    return [*swapped, *others][:n]


def edits(meaning: Meaning, rng: np.random.Generator, n: int) -> list[Meaning]:
    """Up to n distinct meanings that differ from `meaning` in one attribute and are as likely.

    Idle has no attributes: it gets random actions. Small scenes run out of one-attribute edits and
    get some with two.
    """
    if meaning.kind == "action":
        return _edits.action_edits(meaning, rng, n)
    if meaning.kind == "scene":
        return _edits.scene_edits(meaning, rng, n)
    found: dict[Meaning, None] = {}
    while len(found) < n:
        found[sample_meaning("action", rng, "train")] = None
    return list(found)


def sample_meaning(kind: str, rng: np.random.Generator, split: str = "train") -> Meaning:
    """A random meaning of kind action, idle or scene that the split's worlds can hold.

    Raises:
        ValueError: an unknown kind or split.
    """
    pool = objects_of(split)
    if kind == "idle":
        return idle_meaning()
    if kind == "scene":
        return random_scene_meaning(rng, pool)
    if kind != "action":
        raise ValueError(f"unknown kind {kind!r}; use action, idle or scene")
    while True:
        action = ACTIONS[int(rng.integers(len(ACTIONS)))]
        outcomes = catalogue.OUTCOMES_OF[action]
        names = [pool[i] for i in rng.permutation(len(pool))[:3]]
        outcome = outcomes[int(rng.integers(len(outcomes)))]
        m = catalogue.with_outcome(Meaning("action"), action, outcome, names)
        if catalogue.plausible(m):
            return m


def corpus(rng: np.random.Generator, n: int) -> Iterator[str]:
    """n sentences of the training split for a tokenizer: captions, instructions, questions,
    answers and labels."""
    from training.tabletop.questions import example_questions

    fixed = (*action_labels(), *ANSWERS, *example_questions())
    for i in range(n):
        draw = rng.random()
        if i < len(fixed):
            yield fixed[i]
        elif draw < 0.45:
            yield caption(sample_meaning("action", rng), rng)
        elif draw < 0.8:
            yield caption(sample_meaning("scene", rng), rng)
        elif draw < 0.85:
            yield caption(idle_meaning(), rng)
        elif draw < 0.93:
            m = sample_meaning("action", rng)
            yield action_instruction(Action(m.action, m.target or m.object), rng)
        else:
            yield fixed[int(rng.integers(len(fixed)))]
