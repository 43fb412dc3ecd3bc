"""Questions to a scene or a window, with answers and candidates.

Candidates of a type are a fixed list (all colours, all shapes, yes and no …), so that they tell
nothing by themselves; yes and no are equally often right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.tabletop.language import action_labels
from training.tabletop.names import COLOURS, HELDOUT_OBJECTS, SHAPES, ObjectName
from training.tabletop.state import ObjectState, SceneState
from training.tabletop.windows import WindowTruth

YES_NO = ("yes", "no")
NUMBERS = ("zero", "one", "two", "three", "four", "five")
APART_PX = 4.0
IDLE_ASKED = 0.15
"""How often a still window is asked for its action."""
TYPES = (
    "colour_of_shape", "colour_of_end", "shape_of_colour", "count", "count_shape", "existence",
    "left_of", "on_top", "drawer", "holding", "held_colour", "held_shape", "action",
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """One question; `answer` is one of the candidates."""

    type: str
    text: str
    answer: str
    candidates: tuple[str, ...]


_WORDINGS: dict[str, tuple[str, ...]] = {
    "colour_of_shape": ("What colour is the {s}?", "Which colour does the {s} have?"),
    "colour_of_end": ("What colour is the {e} object?", "Which colour does the {e} object have?"),
    "shape_of_colour": ("What shape is the {c} object?", "Which shape does the {c} object have?"),
    "count": ("How many objects can be seen?", "How many objects are there?"),
    "count_shape": ("How many {s}s are there?", "How many {s}s can be seen?"),
    "existence": ("Is there a {c} {s}?", "Can a {c} {s} be seen?"),
    "left_of": (
        "Is the {c} {s} left of the {d} {t}?",
        "Is the {c} {s} further left than the {d} {t}?",
    ),
    "on_top": ("Is the {c} {s} on top of the {d} {t}?", "Does the {c} {s} stand on the {d} {t}?"),
    "drawer": ("Is the drawer {p}?",),
    "holding": ("Is the gripper {p}?",),
    "held_colour": (
        "What colour is the object in the gripper?",
        "Which colour does the held object have?",
    ),
    "held_shape": (
        "What shape is the object in the gripper?",
        "Which shape does the held object have?",
    ),
    "action": ("What is the robot doing?", "Which action is it?"),
}
_HELDOUT_WORDINGS: dict[str, tuple[str, ...]] = {
    "colour_of_shape": ("The {s} has what colour?", "Of what colour is the {s}?"),
    "colour_of_end": ("The {e} object has what colour?", "Of what colour is the {e} object?"),
    "shape_of_colour": ("The {c} object has what shape?", "Of what shape is the {c} object?"),
    "count": ("What is the number of objects?", "Tell how many objects you see."),
    "count_shape": ("What is the number of {s}s?", "Tell how many {s}s you see."),
    "existence": ("Do you see a {c} {s}?", "Is a {c} {s} there?"),
    "left_of": (
        "Does the {c} {s} lie to the left of the {d} {t}?",
        "To the left of the {d} {t}, is the {c} {s} there?",
    ),
    "on_top": (
        "Does the {c} {s} rest on the {d} {t}?",
        "Is the {c} {s} stacked on the {d} {t}?",
    ),
    "drawer": ("Would you say the drawer is {p}?", "The drawer is {p}, right?"),
    "holding": ("Would you say the gripper is {p}?", "The gripper is {p}, right?"),
    "held_colour": (
        "The object in the gripper has what colour?",
        "Of what colour is what the gripper holds?",
    ),
    "held_shape": (
        "The object in the gripper has what shape?",
        "Of what shape is what the gripper holds?",
    ),
    "action": ("What does the robot do now?", "Name the action."),
}
"""Never asked while training."""


def questions(about: SceneState | WindowTruth, rng: np.random.Generator) -> list[Question]:
    """One question of every type that the scene (or the window's newest frame) can answer.

    While something moves only its action is asked; of a scene alone, no action.
    """
    if isinstance(about, SceneState):
        return _scene_questions(about, rng)
    if about.state.moving:
        return [_action(about, rng)] if about.decided else []
    asked = _scene_questions(about.state, rng)
    return [*asked, _action(about, rng)] if rng.random() < IDLE_ASKED else asked


def example_questions() -> tuple[str, ...]:
    """Some questions of every wording, for a tokenizer."""
    found = []
    for wordings in _WORDINGS.values():
        for text in wordings:
            for i, colour in enumerate(COLOURS):
                words = {
                    "c": colour, "d": COLOURS[i - 1], "s": SHAPES[i % 4], "t": SHAPES[(i + 1) % 4],
                    "e": ("leftmost", "rightmost")[i % 2],
                    "p": ("open", "closed", "empty", "holding something")[i % 4],
                }  # fmt: skip
                found.append(text.format(**words))
    return tuple(dict.fromkeys(found))


def heldout(text: str, rng: np.random.Generator) -> str:
    """The same question in a wording that training never uses.

    Raises:
        ValueError: it is no question of this world.
    """
    found = read(text)
    if found is None:
        raise ValueError(f"no question of the tabletop: {text!r}")
    kind, words = found
    wordings = _HELDOUT_WORDINGS[kind]
    return wordings[int(rng.integers(len(wordings)))].format(**words)


def read(text: str) -> tuple[str, dict[str, str]] | None:
    """Type of a question and the words that fill its wording; None of any other text.

    `c s` is the first thing named, `d t` the second; `e` an end of the table, `p` a state.
    """
    for kind, pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match is not None:
            return kind, match.groupdict()
    return None


_SLOTS = {
    "c": COLOURS, "d": COLOURS, "s": SHAPES, "t": SHAPES, "e": ("leftmost", "rightmost"),
    "p": ("open", "closed", "empty", "holding something"),
}  # fmt: skip
_PATTERNS = tuple(
    (kind, re.compile(re.escape(text).replace(r"\{", "{").replace(r"\}", "}").format(
        **{slot: f"(?P<{slot}>{'|'.join(words)})" for slot, words in _SLOTS.items()}
    )))
    for some in (_WORDINGS, _HELDOUT_WORDINGS)
    for kind, wordings in some.items()
    for text in wordings
)  # fmt: skip


def _ask(
    kind: str, answer: str, candidates: tuple[str, ...], rng: np.random.Generator, **words: str
) -> Question:
    texts = _WORDINGS[kind]
    text = texts[int(rng.integers(len(texts)))].format(**words)
    return Question(kind, text, answer, candidates)


def _action(about: WindowTruth, rng: np.random.Generator) -> Question:
    return _ask("action", about.action_label or "", action_labels(), rng)


def _scene_questions(state: SceneState, rng: np.random.Generator) -> list[Question]:
    seen = [state.objects[i] for i in state.visible()]
    asked = [make(state, seen, rng) for make in _MAKERS]
    return [q for q in asked if q is not None]


def _one(options: list[ObjectState], rng: np.random.Generator) -> ObjectState | None:
    return options[int(rng.integers(len(options)))] if options else None


def _colour_of_shape(
    state: SceneState, seen: list[ObjectState], rng: np.random.Generator
) -> Question | None:
    o = _one([o for o in seen if sum(p.name.shape == o.name.shape for p in seen) == 1], rng)
    if o is None:
        return None
    return _ask("colour_of_shape", o.name.colour, COLOURS, rng, s=o.name.shape)


def _shape_of_colour(
    state: SceneState, seen: list[ObjectState], rng: np.random.Generator
) -> Question | None:
    o = _one([o for o in seen if sum(p.name.colour == o.name.colour for p in seen) == 1], rng)
    if o is None:
        return None
    return _ask("shape_of_colour", o.name.shape, SHAPES, rng, c=o.name.colour)


def _colour_of_end(
    state: SceneState, seen: list[ObjectState], rng: np.random.Generator
) -> Question | None:
    if len(seen) < 2:
        return None
    end, sign = (("leftmost", 1.0), ("rightmost", -1.0))[int(rng.integers(2))]
    first, second = sorted(seen, key=lambda o: sign * o.x)[:2]
    if abs(first.x - second.x) < APART_PX:
        return None
    return _ask("colour_of_end", first.name.colour, COLOURS, rng, e=end)


def _count(state: SceneState, seen: list[ObjectState], rng: np.random.Generator) -> Question:
    return _ask("count", NUMBERS[len(seen)], NUMBERS, rng)


def _count_shape(state: SceneState, seen: list[ObjectState], rng: np.random.Generator) -> Question:
    """A number first, then a shape of which there are so many: no number is favoured."""
    counts = {s: sum(o.name.shape == s for o in seen) for s in SHAPES}
    numbers = sorted(set(counts.values()))
    number = numbers[int(rng.integers(len(numbers)))]
    shapes = [s for s in SHAPES if counts[s] == number]
    shape = shapes[int(rng.integers(len(shapes)))]
    return _ask("count_shape", NUMBERS[number], NUMBERS, rng, s=shape)


def _existence(
    state: SceneState, seen: list[ObjectState], rng: np.random.Generator
) -> Question | None:
    """Half the time a present object, else an absent one of a colour and a shape that are there."""
    names = [o.name for o in seen]
    if not names:
        return None
    if rng.random() < 0.5:
        name, answer = names[int(rng.integers(len(names)))], "yes"
    else:
        colours, shapes = {n.colour for n in names}, {n.shape for n in names}
        held_out = any(n in HELDOUT_OBJECTS for n in names)
        absent = [
            n
            for n in (ObjectName(c, s) for c in sorted(colours) for s in SHAPES)
            if n not in names and (held_out or n not in HELDOUT_OBJECTS)
        ]
        near = [n for n in absent if n.shape in shapes] or absent
        if not near:
            return None
        name, answer = near[int(rng.integers(len(near)))], "no"
    return _ask("existence", answer, YES_NO, rng, c=name.colour, s=name.shape)


def _pair(
    kind: str, a: ObjectState, b: ObjectState, answer: bool, rng: np.random.Generator
) -> Question:
    return _ask(
        kind, YES_NO[not answer], YES_NO, rng,
        c=a.name.colour, s=a.name.shape, d=b.name.colour, t=b.name.shape,
    )  # fmt: skip


def _left_of(
    state: SceneState, seen: list[ObjectState], rng: np.random.Generator
) -> Question | None:
    pairs = [(a, b) for a in seen for b in seen if a is not b and abs(a.x - b.x) >= APART_PX]
    if not pairs:
        return None
    a, b = pairs[int(rng.integers(len(pairs)))]
    return _pair("left_of", a, b, a.x < b.x, rng)


def _on_top(
    state: SceneState, seen: list[ObjectState], rng: np.random.Generator
) -> Question | None:
    """Only where something stands on something: it, or the same two the other way round, or with
    another object of the scene."""
    stacked = [(o, state.objects[o.on]) for o in seen if o.place == "object"]
    if not stacked:
        return None
    top, base = stacked[int(rng.integers(len(stacked)))]
    if rng.random() < 0.5:
        return _pair("on_top", top, base, True, rng)
    others = [o for o in seen if o is not top and o is not base]
    if not others or rng.random() < 0.5:
        return _pair("on_top", base, top, False, rng)
    other = others[int(rng.integers(len(others)))]
    return (
        _pair("on_top", top, other, False, rng)
        if rng.random() < 0.5
        else _pair("on_top", other, base, False, rng)
    )


def _drawer(state: SceneState, seen: list[ObjectState], rng: np.random.Generator) -> Question:
    asked_open = rng.random() < 0.5
    right = asked_open == state.drawer_is_open
    return _ask("drawer", YES_NO[not right], YES_NO, rng, p="open" if asked_open else "closed")


def _holding(state: SceneState, seen: list[ObjectState], rng: np.random.Generator) -> Question:
    asked_empty = rng.random() < 0.5
    right = asked_empty == (state.held < 0)
    return _ask(
        "holding", YES_NO[not right], YES_NO, rng, p="empty" if asked_empty else "holding something"
    )


def _held_colour(
    state: SceneState, seen: list[ObjectState], rng: np.random.Generator
) -> Question | None:
    if state.held < 0:
        return None
    return _ask("held_colour", state.objects[state.held].name.colour, COLOURS, rng)


def _held_shape(
    state: SceneState, seen: list[ObjectState], rng: np.random.Generator
) -> Question | None:
    if state.held < 0:
        return None
    return _ask("held_shape", state.objects[state.held].name.shape, SHAPES, rng)


_Maker = Callable[[SceneState, list[ObjectState], np.random.Generator], Question | None]
_MAKERS: tuple[_Maker, ...] = (
    _colour_of_shape, _colour_of_end, _shape_of_colour, _count, _count_shape, _existence, _left_of,
    _on_top, _drawer, _holding, _held_colour, _held_shape,
)  # fmt: skip
