"""What makes sense to do, judged by words: of the skills, of the goal, and of what is foreseen.

Nothing here knows the scene. What a skill needs is a question to `world_state`; which objects
matter is read off the goal and off what the model says stands in the way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

HOLDING, OPEN = "Is the gripper holding something?", "Is the drawer open?"
NEEDS: tuple[tuple[str, str, bool], ...] = (
    (r"what you hold", HOLDING, True),
    (r"^(pick|push|tip|open|close|take)", HOLDING, False),
    (r"^close|in the drawer|out of the drawer", OPEN, True),
    (r"^open", OPEN, False),
)
"""A skill that reads so needs this question to have this answer (True: yes).

This table and the next are all that is said of this robot; for another one, say here what its
skills need and what they leave behind."""
LEAVES: tuple[tuple[str, str, bool], ...] = (
    (r"^(pick|take)", HOLDING, True),
    (r"^(put|stack)", HOLDING, False),
    (r"^open", OPEN, True),
    (r"^close", OPEN, False),
)
"""A skill that reads so and comes off leaves this answer behind; the others leave it as it was."""
HELD = "What colour is the object in the gripper?", "What shape is the object in the gripper?"
"""What is held is a thing with these two words for a name; no skill is done to it by its name."""
QUESTIONS = tuple(dict.fromkeys(question for _, question, _ in NEEDS))
DOUBT = 0.05
"""So probable is at least whatever a skill needs: an answer may be wrong."""
ATTEMPT = "tries to"
"""In these words the model says that an action would come to nothing."""
LOST = "off the table"
"""In these words it says that a thing would be gone for good."""
NAME = re.compile(r"\bthe (\w+ \w+)")

Facts = Mapping[str, float]
"""Question: how probably its answer is yes [0..1]."""


def needs(skill: str) -> dict[str, bool]:
    """Which answer the skill needs to which question."""
    return {question: wanted for words, question, wanted in NEEDS if re.search(words, skill)}


def leaves(skill: str) -> dict[str, bool]:
    """Which answers the skill leaves behind where it comes off."""
    return {question: then for words, question, then in LEAVES if re.search(words, skill)}


def leaving(skill: str, facts: Facts) -> Facts:
    """The facts once the skill has come off."""
    return {**facts, **{q: 1 - DOUBT if then else DOUBT for q, then in leaves(skill).items()}}


def fitness(skill: str, facts: Facts) -> float:
    """How far the skill has what it needs [0..1]: 1 where each answer is rather so than not."""
    fit = 1.0
    for question, wanted in needs(skill).items():
        yes = facts.get(question, 0.5)
        fit *= min(max(2 * (yes if wanted else 1.0 - yes), DOUBT), 1.0)
    return fit


def apartness(skill: str, held: Mapping[str, float]) -> float:
    """How far the skill leaves alone by name what may be held [0..1]: probabilities by name."""
    return max(1.0 - sum(held.get(name, 0.0) for name in NAME.findall(skill)), DOUBT)


def handles_itself(plan: Sequence[str], known: frozenset[str]) -> bool:
    """Whether something is done with what was taken to that very thing: "pick up the red cube,
    stack what you hold on the red cube"."""
    taken: frozenset[str] = frozenset()
    for skill in plan:
        holding = needs(skill).get(HOLDING)
        if holding and taken & named(skill, known):
            return True
        if holding is not None:
            taken = frozenset() if holding else named(skill, known)
    return False


def hands_over(
    plan: Sequence[str], goal: str, held: Mapping[str, float], known: frozenset[str]
) -> float:
    """How probably the last step, if it is done with what is held, is done with a thing of the goal
    [0..1]: "stacks the red cube on the blue cube" is not reached with another in the hand.

    Args:
        held: how probably each thing is in the gripper now.
    """
    *before, last = plan
    wanted = named(goal, known) - named(last, known)
    if not needs(last).get(HOLDING) or not wanted:
        return 1.0
    taking = [skill for skill in before if leaves(skill).get(HOLDING)]
    if not taking:
        return sum(held.get(name, 0.0) for name in wanted) / max(sum(held.values()), DOUBT)
    taken = named(taking[-1], known)
    return float(not taken or taken <= wanted)


def comes_to_nothing(foreseen: str) -> bool:
    """Whether a predicted outcome says that nothing would come of the action, or makes no sense:
    no thing is done to itself."""
    names = NAME.findall(foreseen)
    return ATTEMPT in foreseen or len(set(names)) < len(names)


def settled(skill: str, seen: Sequence[str]) -> str:
    """The last of what was said that has the skill's verb; "" where there is none.

    Words that come while something moves are often wrong; the later, the surer they are.
    """
    verb = re.compile(rf"\b{re.escape(skill.split(maxsplit=1)[0])}")
    return next((caption for caption in reversed(seen) if verb.search(caption)), "")


def came_off(skill: str, seen: Sequence[str]) -> bool | None:
    """Whether the skill came off, going by what was said; None: nothing was said of it."""
    said = settled(skill, seen)
    return ATTEMPT not in said if said else None


def things(skills: Sequence[str]) -> frozenset[str]:
    """The objects that can be acted on, by their names: what several skills speak of."""
    counts = Counter(name for skill in skills for name in NAME.findall(skill))
    return frozenset(name for name, count in counts.items() if count > 1)


def related(goal: str, foreseen: Mapping[str, str], known: Iterable[str]) -> frozenset[str]:
    """The things that matter: those of the goal, and those that hinder who acts on what matters.

    Args:
        foreseen: what each skill would lead to now, in words.
        known: names of all things.
    """
    all_things = frozenset(known)
    found = named(goal, all_things)
    while True:
        hindering = [
            outcome
            for skill, outcome in foreseen.items()
            if named(skill, all_things) <= found and comes_to_nothing(outcome)
        ]
        more = found.union(*(named(outcome, all_things) for outcome in hindering))
        if more == found:
            return found
        found = more


def named(text: str, known: frozenset[str]) -> frozenset[str]:
    """The things that a text names."""
    return frozenset(_in_order(text, known))


def ends(skill: str, goal: str, known: frozenset[str]) -> bool:
    """Whether the skill may be the last step: what it names is what the goal names last.

    "stack what you hold on the blue cube" is no end of "stacks the blue cube on the red cube".
    """
    names, wanted = _in_order(skill, known), _in_order(goal, known)
    return names == wanted[len(wanted) - len(names) :]


def shared_words(skill: str, goal: str, known: frozenset[str]) -> int:
    """How many of a skill's words the goal has too, with whatever endings.

    Names of things are left out: what is done counts.
    """
    for name in named(skill, known):
        skill, goal = skill.replace(name, ""), goal.replace(name, "")
    wanted = goal.split()
    return sum(any(w.startswith(word) for w in wanted) for word in skill.split())


def tells(goal: str, seen: Sequence[str], done: str, known: frozenset[str]) -> list[str]:
    """What of all that was said after a skill was done may be the goal, going by the things named.

    What the skill was done to is sure. Who was put on whom the model often hears wrong, so the
    order of names does not count; in the settled words not even whose colour was whose.
    """
    if not ends(done, goal, known):
        return []
    words = {word for name in known for word in name.split()}
    wanted, last = Counter(w for w in goal.split() if w in words), settled(done, seen)
    return [
        said
        for said in seen
        if named(goal, known) == named(said, known)
        or (said == last and wanted == Counter(w for w in said.split() if w in words))
    ]


def shows(done: str, before: Facts, now: Facts) -> bool:
    """Whether what a skill leaves behind is there, and was not before it was done."""
    left = leaves(done)
    turned = [(before[q] > 0.5) != then and (now[q] > 0.5) == then for q, then in left.items()]
    return bool(turned) and all(turned)


def unmended(plan: Sequence[str], facts: Facts, foreseen: Mapping[str, str]) -> bool:
    """Whether the last step would come to nothing now, though it has what it needs, and no step
    before it is done to any of the things that its outcome names."""
    *before, last = plan
    outcome = foreseen.get(last, "")
    if not comes_to_nothing(outcome) or fitness(last, facts) < 1.0:
        return False
    involved = set(NAME.findall(outcome))
    return bool(involved) and not any(involved & set(NAME.findall(skill)) for skill in before)


def _in_order(text: str, known: frozenset[str]) -> list[str]:
    return [name for name in NAME.findall(text) if name in known]
