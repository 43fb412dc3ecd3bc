"""Answers to questions about a scene in symbols."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from training.compare.scene_rules import Scene, Seen
from training.tabletop.names import ObjectName
from training.tabletop.questions import NUMBERS, YES_NO, read

Words = Mapping[str, str]


def answer(scene: Scene, question: str) -> str | None:
    """What the rules say; None where they have no answer: about actions, or about what they do not
    see."""
    found = read(question)
    if found is None or found[0] not in _RULES:
        return None
    return _RULES[found[0]](scene, found[1])


def _yes(right: bool) -> str:
    return YES_NO[not right]


def _named(scene: Scene, colour: str, shape: str) -> Seen | None:
    return next((o for o in scene.objects if o.name == ObjectName(colour, shape)), None)


def _colour_of_shape(scene: Scene, words: Words) -> str | None:
    return next((o.name.colour for o in scene.objects if o.name.shape == words["s"]), None)


def _shape_of_colour(scene: Scene, words: Words) -> str | None:
    return next((o.name.shape for o in scene.objects if o.name.colour == words["c"]), None)


def _colour_of_end(scene: Scene, words: Words) -> str | None:
    ends = {"leftmost": min, "rightmost": max}
    if not scene.objects:
        return None
    end: Seen = ends[words["e"]](scene.objects, key=lambda o: o.x)
    return end.name.colour


def _number(count: int) -> str | None:
    return NUMBERS[count] if count < len(NUMBERS) else None


def _count(scene: Scene, words: Words) -> str | None:
    return _number(len(scene.objects))


def _count_shape(scene: Scene, words: Words) -> str | None:
    return _number(sum(o.name.shape == words["s"] for o in scene.objects))


def _existence(scene: Scene, words: Words) -> str | None:
    return _yes(_named(scene, words["c"], words["s"]) is not None)


def _left_of(scene: Scene, words: Words) -> str | None:
    a, b = _pair(scene, words)
    return None if a is None or b is None else _yes(a.x < b.x)


def _on_top(scene: Scene, words: Words) -> str | None:
    a, b = _pair(scene, words)
    if a is None or b is None:
        return None
    return _yes(a.raised and scene.base_of(a) is b)


def _pair(scene: Scene, words: Words) -> tuple[Seen | None, Seen | None]:
    return _named(scene, words["c"], words["s"]), _named(scene, words["d"], words["t"])


def _drawer(scene: Scene, words: Words) -> str | None:
    return _yes((words["p"] == "open") == scene.drawer_open)


def _holding(scene: Scene, words: Words) -> str | None:
    return _yes((words["p"] == "empty") == (scene.held is None))


def _held_colour(scene: Scene, words: Words) -> str | None:
    return scene.held.name.colour if scene.held else None


def _held_shape(scene: Scene, words: Words) -> str | None:
    return scene.held.name.shape if scene.held else None


_RULES: dict[str, Callable[[Scene, Words], str | None]] = {
    "colour_of_shape": _colour_of_shape,
    "colour_of_end": _colour_of_end,
    "shape_of_colour": _shape_of_colour,
    "count": _count,
    "count_shape": _count_shape,
    "existence": _existence,
    "left_of": _left_of,
    "on_top": _on_top,
    "drawer": _drawer,
    "holding": _holding,
    "held_colour": _held_colour,
    "held_shape": _held_shape,
}
