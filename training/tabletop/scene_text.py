"""Scene captions: clauses about the table, the gripper and the drawer, in any order."""

from __future__ import annotations

import re
from itertools import permutations

import numpy as np

from training.tabletop.meaning import Item, Meaning
from training.tabletop.names import ObjectName
from training.tabletop.templates import (
    NAME_PATTERN,
    Chooser,
    Template,
    normalise,
    templates,
    unword,
    word,
)

LIST_STARTS = (
    "from left to right there are",
    "from left to right",
    "left to right there are",
    "on the table, from left to right, there are",
    "the table holds from left to right",
    "the objects from left to right are",
)
HELDOUT_LIST_STARTS = ("seen from left to right there are", "going from left to right there are")
ONE_STARTS = (
    "there is only",
    "the table holds only",
    "on the table there is only",
    "the only object is",
)
HELDOUT_ONE_STARTS = ("all that is there is",)
BARE = ("the table is empty", "there is nothing on the table", "nothing is on the table")
HELD = templates(
    "the (gripper|robot|hand|arm) holds {h}",
    "the (gripper|robot) is holding {h}",
    "{h} is in the (gripper|hand)",
    "{h} is held[ by the (gripper|robot)]",
)
HELDOUT_HELD = templates("held is {h}", "in the gripper is {h}")
NOT_HELD = templates("", "the (gripper|hand) is empty", "the (gripper|robot) holds nothing")
OPEN_EMPTY = templates(
    "the drawer is open",
    "the drawer is open and empty",
    "the drawer stands open",
    "the open drawer is empty",
)
HELDOUT_OPEN_EMPTY = templates(
    "open is the drawer",
)
OPEN_FULL = templates(
    "the drawer is open with {c} inside",
    "the drawer is open and holds {c}",
    "{c} (is|lies) in the open drawer",
    "the open drawer holds {c}",
)
HELDOUT_OPEN_FULL = templates(
    "inside the open drawer is {c}",
)
CLOSED = templates(
    "the drawer is closed", "the drawer is shut", "the (closed|shut) drawer is on the right"
)
HELDOUT_CLOSED = templates(
    "closed is the drawer",
)

_ITEM = re.compile(
    rf"(?:and )?(?:(?:then )?(?P<tops>a (?:(?:lying|fallen) )?{NAME_PATTERN}) on )?"
    rf"(?P<base>a (?:(?:lying|fallen) )?{NAME_PATTERN}(?: on its side)?)"
    rf"(?: (?:with|carrying) (?P<top>a (?:(?:lying|fallen) )?{NAME_PATTERN})(?: on top)?)?(?: |$)"
)


def write_scene(m: Meaning, rng: Chooser, heldout: bool) -> str:
    """A caption of a scene meaning: its clauses, shuffled unless canonical."""
    clauses = [_objects(m, rng, heldout), _held(m, rng, heldout), _drawer(m, rng, heldout)]
    clauses = [clause for clause in clauses if clause]
    if rng is None:
        return ", ".join(clauses[:1]) + "".join(f", {c}" for c in clauses[1:])
    order = rng.permutation(len(clauses)) if rng.random() < 0.5 else range(len(clauses))
    joint = (", ", ". ", "; ", ", and ")[int(rng.integers(4))]
    return joint.join(clauses[i] for i in order)


def _choose(
    plain: tuple[Template, ...], held: tuple[Template, ...], rng: Chooser, heldout: bool
) -> Template:
    if rng is None:
        return plain[0]
    options = held if heldout else plain
    return options[int(rng.integers(len(options)))]


def _held(m: Meaning, rng: Chooser, heldout: bool) -> str:
    if m.held is None:
        return _choose(NOT_HELD, NOT_HELD, rng, heldout).write({}, rng)
    return _choose(HELD, HELDOUT_HELD, rng, heldout).write({"h": m.held}, rng)


def _drawer(m: Meaning, rng: Chooser, heldout: bool) -> str:
    if m.drawer == "closed":
        return _choose(CLOSED, HELDOUT_CLOSED, rng, heldout).write({}, rng)
    if m.content is None:
        return _choose(OPEN_EMPTY, HELDOUT_OPEN_EMPTY, rng, heldout).write({}, rng)
    return _choose(OPEN_FULL, HELDOUT_OPEN_FULL, rng, heldout).write({"c": m.content}, rng)


def _objects(m: Meaning, rng: Chooser, heldout: bool) -> str:
    if not m.items:
        return _any(BARE, rng)
    several = len(m.items) > 1
    plain, held = (
        (LIST_STARTS, HELDOUT_LIST_STARTS) if several else (ONE_STARTS, HELDOUT_ONE_STARTS)
    )
    start = _any(held if heldout and rng is not None else plain, rng)
    items = [_item(item, rng) for item in m.items]
    if not several:
        return f"{start} {items[0]}"
    return f"{start} {', '.join(items[:-1])} and {items[-1]}"


def _any(options: tuple[str, ...], rng: Chooser) -> str:
    return options[0 if rng is None else int(rng.integers(len(options)))]


def _one(name: ObjectName, lying: bool, rng: Chooser) -> str:
    lies = _any(("lying ", "fallen "), rng) if lying else ""
    return f"a {lies}{word(name, rng)}"


def _item(item: Item, rng: Chooser) -> str:
    base = _one(item.name, item.lying, rng)
    if item.top is None:
        if item.lying and rng is not None and rng.random() < 0.3:
            return f"a {word(item.name, rng)} on its side"
        return base
    top = _one(item.top, item.top_lying, rng)
    way = 0 if rng is None else int(rng.integers(3))
    return (f"{base} with {top} on top", f"{base} carrying {top}", f"{top} on {base}")[way]


# --- reading -------------------------------------------------------------------------------------


def read_scene(text: str) -> Meaning | None:
    """The meaning of a normalised scene caption, None if it is none."""
    for pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match is None:
            continue
        items = _read_items(match["items"] or "", match["one"] or "", match["bare"] or "")
        held = _read(match["held"] or "", (*NOT_HELD, *HELD, *HELDOUT_HELD))
        drawer = _read_drawer(match["drawer"])
        if items is not None and held is not None and drawer is not None:
            return Meaning(
                "scene", items=items, held=held.get("h"), drawer=drawer[0], content=drawer[1]
            )
    return None


def _read(text: str, options: tuple[Template, ...]) -> dict[str, ObjectName] | None:
    for template in options:
        slots = template.read(text)
        if slots is not None:
            return slots
    return None


def _read_drawer(text: str) -> tuple[str, ObjectName | None] | None:
    if _read(text, (*CLOSED, *HELDOUT_CLOSED)) is not None:
        return ("closed", None)
    slots = _read(text, (*OPEN_EMPTY, *HELDOUT_OPEN_EMPTY, *OPEN_FULL, *HELDOUT_OPEN_FULL))
    return None if slots is None else ("open", slots.get("c"))


def _read_items(several: str, one: str, bare: str) -> tuple[Item, ...] | None:
    if bare:
        return ()
    text = several or one
    items, at = [], 0
    while at < len(text):
        match = _ITEM.match(text, at)
        if match is None or match.end() == at:
            return None
        items.append(_read_item(match))
        at = match.end()
    return tuple(items) if (len(items) > 1) == bool(several) else None


def _read_item(match: re.Match[str]) -> Item:
    name, lying = _read_one(match["base"])
    above = match["tops"] or match["top"]
    if above is None:
        return Item(name, lying)
    return Item(name, lying, *_read_one(above))


def _read_one(text: str) -> tuple[ObjectName, bool]:
    words = text.removesuffix(" on its side").split()
    return unword(" ".join(words[-2:])), len(words) == 4 or text.endswith("on its side")


def _patterns() -> tuple[re.Pattern[str], ...]:
    """One pattern for each order of the clauses; what is in them is read afterwards."""
    starts = sorted((*LIST_STARTS, *HELDOUT_LIST_STARTS), key=len, reverse=True)
    listed = f"(?:{'|'.join(normalise(start) for start in starts)})"
    single = f"(?:{'|'.join((*ONE_STARTS, *HELDOUT_ONE_STARTS))})"
    table = rf"(?:{listed} (?P<items>a .+?)|{single} (?P<one>a .+?)|(?P<bare>{'|'.join(BARE)}))"
    held_openings = (
        rf"the \w+ (?:holds|is holding) (?:nothing|the {NAME_PATTERN})",
        r"the (?:gripper|hand) is empty",
        rf"the {NAME_PATTERN} is (?:in the \w+|held(?: by the \w+)?)",
        rf"(?:held|in the gripper) is the {NAME_PATTERN}",
    )
    drawer_openings = (
        r"the (?:open |closed |shut )?drawer",
        r"the \w+ \w+ (?:is|lies) in the open",
        r"(?:open|closed) is the",
        r"inside the open",
    )
    held = f"(?P<held>{'|'.join(held_openings)})"
    drawer = f"(?P<drawer>(?:{'|'.join(drawer_openings)}).*?)"
    clauses = {"t": table, "h": held, "d": drawer}
    orders = [o for n in (3, 2) for o in permutations("thd", n) if {"t", "d"} <= set(o)]
    found = []
    for order in orders:
        text = " (?:and )?".join(clauses[c] for c in order)
        found.append(re.compile(text if "h" in order else f"{text}(?P<held>)"))
    return tuple(found)


_PATTERNS = _patterns()


def random_scene_meaning(rng: np.random.Generator, pool: tuple[ObjectName, ...]) -> Meaning:
    """A scene caption's meaning, drawn as scenes are."""
    count = int(rng.choice((2, 3, 4, 5), p=(0.15, 0.3, 0.35, 0.2)))
    names = [pool[i] for i in rng.permutation(len(pool))[:count]]
    held = names.pop() if count > 2 and rng.random() < 0.35 else None
    drawer = "open" if rng.random() < 0.5 else "closed"
    content = names.pop() if drawer == "open" and len(names) > 1 and rng.random() < 0.4 else None
    items: list[Item] = []
    for name in names:
        base = next(
            (
                i
                for i, it in enumerate(items)
                if it.name.shape in ("cube", "cylinder") and not it.lying and it.top is None
            ),
            -1,
        )
        if base >= 0 and name.shape != "ball" and rng.random() < 0.3:
            items[base] = Item(items[base].name, False, name)
        else:
            items.append(
                Item(name, name.shape in ("cylinder", "cone") and bool(rng.random() < 0.2))
            )
    items = [items[i] for i in rng.permutation(len(items))]
    return Meaning("scene", items=tuple(items), held=held, drawer=drawer, content=content)
