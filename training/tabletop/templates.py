"""A small template language, used both ways: to word a meaning and to read a sentence.

`(a|b)` one of, the first is canonical; `[a]` or nothing, nothing is canonical; `{o}` a slot for an
object's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from training.tabletop.names import COLOURS, ObjectName

COLOUR_WORDS = {c: (c,) for c in COLOURS} | {
    "purple": ("purple", "violet"),
    "cyan": ("cyan", "turquoise"),
}
SHAPE_WORDS = {
    "cube": ("cube", "block"),
    "ball": ("ball", "sphere"),
    "cylinder": ("cylinder", "tube"),
    "cone": ("cone",),
}
SYNONYM_SHARE = 0.3
WORD_COLOURS = {word: colour for colour, words in COLOUR_WORDS.items() for word in words}
WORD_SHAPES = {word: shape for shape, words in SHAPE_WORDS.items() for word in words}
NAME_PATTERN = f"(?:{'|'.join(WORD_COLOURS)}) (?:{'|'.join(WORD_SHAPES)})"

Chooser = np.random.Generator | None
"""Random numbers for varied wording; None for the canonical one."""


def word(name: ObjectName, rng: Chooser) -> str:
    """Colour and shape in words."""
    colours, shapes = COLOUR_WORDS[name.colour], SHAPE_WORDS[name.shape]
    return f"{pick(colours, rng, SYNONYM_SHARE)} {pick(shapes, rng, SYNONYM_SHARE)}"


def unword(text: str) -> ObjectName:
    """The name that `word` put into words."""
    colour, shape = text.split()
    return ObjectName(WORD_COLOURS[colour], WORD_SHAPES[shape])


def pick(options: tuple[str, ...], rng: Chooser, other_share: float | None = None) -> str:
    """The first option, or one at random (others than the first with `other_share`)."""
    if rng is None or len(options) == 1:
        return options[0]
    if other_share is not None:
        return (
            options[0]
            if rng.random() > other_share
            else options[int(rng.integers(1, len(options)))]
        )
    return options[int(rng.integers(len(options)))]


def normalise(text: str) -> str:
    """Lower case words, single spaces, no punctuation."""
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.lower()).split())


_TOKEN = re.compile(r"\(|\)|\[|\]|\||\{\w+\}|[^()\[\]|{}]+")


@dataclass(frozen=True)
class _Choice:
    options: tuple[tuple[_Choice | str, ...], ...]
    optional: bool


@dataclass(frozen=True)
class Template:
    """One wording with its slots."""

    source: str

    def write(self, slots: Mapping[str, ObjectName], rng: Chooser) -> str:
        """The template with its slots filled: `the red cube`."""
        text = _write(_parts(self.source), rng)
        for slot, name in slots.items():
            text = text.replace(f"{{{slot}}}", f"the {word(name, rng)}")
        return " ".join(text.split())

    def read(self, text: str) -> dict[str, ObjectName] | None:
        """The slots' names if the normalised text is a wording of this template."""
        match = _pattern(self.source).fullmatch(text)
        return None if match is None else {k: unword(v) for k, v in match.groupdict().items()}


def templates(*sources: str) -> tuple[Template, ...]:
    return tuple(Template(source) for source in sources)


@cache
def _parts(source: str) -> tuple[_Choice | str, ...]:
    tokens = _TOKEN.findall(source)
    parts, rest = _sequence(tokens, 0)
    if rest != len(tokens):
        raise ValueError(f"unbalanced brackets in the template {source!r}")
    return parts


def _sequence(tokens: list[str], i: int) -> tuple[tuple[_Choice | str, ...], int]:
    parts: list[_Choice | str] = []
    while i < len(tokens) and tokens[i] not in (")", "]", "|"):
        if tokens[i] in ("(", "["):
            optional = tokens[i] == "["
            options = []
            while tokens[i] not in (")", "]"):
                option, i = _sequence(tokens, i + 1)
                options.append(option)
            parts.append(_Choice(tuple(options), optional))
        else:
            parts.append(tokens[i])
        i += 1
    return tuple(parts), i


def _write(parts: tuple[_Choice | str, ...], rng: Chooser) -> str:
    written = []
    for part in parts:
        if isinstance(part, str):
            written.append(part)
        elif part.optional and (rng is None or rng.random() < 0.5):
            continue
        else:
            index = 0 if rng is None else int(rng.integers(len(part.options)))
            written.append(_write(part.options[index], rng))
    return "".join(written)


@cache
def _pattern(source: str) -> re.Pattern[str]:
    return re.compile("".join(_regex(_parts(source))).strip())


def _regex(parts: tuple[_Choice | str, ...]) -> list[str]:
    found = []
    for part in parts:
        if isinstance(part, _Choice):
            inner = "|".join("".join(_regex(option)) for option in part.options)
            found.append(f"(?:{inner}){'?' if part.optional else ''}")
        elif part.startswith("{"):
            found.append(f"the (?P<{part[1:-1]}>{NAME_PATTERN})")
        else:
            found.append(part)
    return found
