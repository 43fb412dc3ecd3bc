"""Which sequence of skills leads to a goal, imagined by a world model. Knows no ROS.

What is half-way to a goal need not resemble it, so plans are weighed by their ends alone, and by
how much sense each of their steps makes (sense.py). Every constant here may be tuned to a model;
what none of them can mend is an end that the model imagines wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from examples.planner.sense import (
    HELD,
    HOLDING,
    LOST,
    QUESTIONS,
    Facts,
    apartness,
    comes_to_nothing,
    ends,
    fitness,
    handles_itself,
    hands_over,
    leaves,
    leaving,
    named,
    related,
    shared_words,
    things,
    unmended,
)

NEAR, NEARNESS_SPREAD = 0.52, 0.04
"""Similarity to the goal at which an end is as likely it as not, and how sharply that turns."""
STEP_KEPT = 0.75
"""Of the chance to arrive, for each step: the world seldom does quite what was imagined."""
TRIED_KEPT = 0.5
"""The same for each time that the first action was done already: doing it again rarely helps."""
REFUSED_KEPT = 0.6
"""The same for each time that the robot refused a skill of this kind."""
NOTHING_KEPT = 0.3
"""The same where the model says that nothing comes of the first action."""
BESIDE_KEPT = 0.6
"""The same for each step but the last with an object that has nothing to do with the goal."""
LOST_KEPT, LOST_BESIDE_KEPT = 0.1, 0.7
"""The same for each step that, as the model says, makes a thing of the goal fall off the table, or
another: no later step brings it back."""
NO_END_KEPT = 0.3
"""The same where the last step acts on something else than the goal names last."""
LEAST_FIT = 0.2
"""A skill that fits less is not imagined at all."""
AT_ONCE = 64
"""How many plans are imagined before looking whether the others still have a chance."""
FIRST_OF_TWO, FIRST = 18, 12
"""How many skills are imagined as the first of two, and as the first of three."""
LAST, LAST_BY_WORDS = 2, 2
"""How many are imagined as the last of three: those that came nearest to the goal as the last of
one or two, and those that share most words with it."""

Plan = tuple[str, ...]
"""Texts of actions, in order."""


class Mind(Protocol):
    """A world model that sees the present scene."""

    def foresee(self, skills: Sequence[str]) -> dict[str, str]:
        """What each skill would lead to now, in words."""

    def choose(self, question: str, answers: Sequence[str]) -> dict[str, float]:
        """How probable each answer is now."""

    def believe(self, questions: Sequence[str], after: Sequence[Plan]) -> list[dict[str, float]]:
        """How probably each question is answered by yes once these were done; () = now."""

    def roll_out(self, goal: str, plans: Sequence[Plan]) -> list[tuple[Plan, float, float]]:
        """Every plan, how near its end is to the goal, and how probably a step goes otherwise."""

    def alike(self, one: str, other: str) -> float:
        """Cosine between two texts."""


@dataclass(frozen=True)
class Past:
    """What has been tried for this goal."""

    tried: Mapping[str, int] = field(default_factory=dict)
    """How often each skill was done."""
    refused: frozenset[str] = frozenset()
    """Skills that the robot refused since the scene last changed."""
    refusals: Mapping[str, int] = field(default_factory=dict)
    """How often it refused each skill at all."""


@dataclass(frozen=True)
class Choice:
    """The most promising plan."""

    plan: Plan
    similarity: float
    """Cosine between the imagined end of the plan and the goal."""
    chance: float
    """How probably it arrives, roughly."""


def search(mind: Mind, goal: str, skills: Sequence[str], facts: Facts, past: Past) -> Choice:
    """The most promising sequence of up to three skills that starts with none refused.

    Longer ones are imagined only where they could still be more promising.

    Args:
        facts: what is believed of the scene now.
    """
    ways = _Ways(mind, goal, skills, facts, past)
    best = ways.best(ways.singles())
    for longer, length in ((ways.pairs, 2), (ways.triples, 3)):
        if best is None or best.chance < STEP_KEPT**length:
            best = ways.best(longer(), best)
    if best is None:
        raise ValueError("there is no skill to choose from")
    return best


class _Ways:
    """One search."""

    def __init__(
        self, mind: Mind, goal: str, skills: Sequence[str], facts: Facts, past: Past
    ) -> None:
        self._mind, self._goal, self._skills, self._facts = mind, goal, skills, facts
        self._known = things(skills)
        self._held = _held(mind, self._known, facts[HOLDING])
        may = [skill for skill in skills if skill not in past.refused]
        fit = _fitting(may, facts, self._held)
        self._foreseen = mind.foresee(list(fit))
        self._matter = related(goal, self._foreseen, self._known)
        self._worth = {s: p * _worth(s, self._foreseen[s], past) for s, p in fit.items()}
        self._apt = [skill for skill in skills if self._bears(skill)]
        self._next: dict[str, Facts] = {}
        """What is believed after each first one."""
        self._pairs: list[Plan] = []
        self._nearest: dict[str, float] = {}

    def singles(self) -> list[Plan]:
        return [(skill,) for skill in self._worth]

    def pairs(self) -> list[Plan]:
        """What bears on the goal first, then what is worth most."""
        firsts = sorted(self._worth, key=lambda s: (not self._bears(s), -self._worth[s]))
        firsts = firsts[:FIRST_OF_TWO]
        self._next = self._after(firsts)
        self._pairs = [
            (one, two)
            for one in firsts
            for two in self._apt
            if one != two and fitness(two, self._next[one]) >= LEAST_FIT
        ]
        return self._pairs

    def triples(self) -> list[Plan]:
        """From the best firsts, over what they make possible, to what may be the end."""
        firsts = list(self._next)
        begins = [s for s in firsts if not comes_to_nothing(self._foreseen[s])] or firsts
        lasts = self._lasts()
        return [
            (one, two, last)
            for one, two in self._pairs
            if one in begins[:FIRST]
            for last in lasts
            if last != two
            and fitness(last, leaving(two, self._next[one])) >= LEAST_FIT
            and not handles_itself((one, two, last), self._known)
        ]

    def best(self, plans: Sequence[Plan], so_far: Choice | None = None) -> Choice | None:
        """The most promising of the plans and what was found before.

        Best by their words first, and imagined only while their words leave them a chance.
        """
        most = {plan: STEP_KEPT ** len(plan) * self._kept(plan) for plan in plans}
        waiting = sorted(most, key=lambda plan: -most[plan])
        for at in range(0, len(waiting), AT_ONCE):
            some = [p for p in waiting[at : at + AT_ONCE] if not so_far or most[p] > so_far.chance]
            for plan, near, doubt in self._mind.roll_out(self._goal, some) if some else []:
                self._nearest[plan[-1]] = max(near, self._nearest.get(plan[-1], -1.0))
                chance = arrival(near) * (1 - doubt) * most[plan]
                if so_far is None or chance > so_far.chance:
                    so_far = Choice(plan, near, chance)
        return so_far

    def _kept(self, plan: Plan) -> float:
        """How much sense the steps of a plan make."""
        kept = self._worth[plan[0]] * BESIDE_KEPT ** sum(not self._bears(s) for s in plan[:-1])
        if len(plan) > 1:
            kept *= fitness(plan[1], self._next[plan[0]])
        for skill in plan:
            if LOST in self._foreseen.get(skill, ""):
                own = named(skill, self._known) & named(self._goal, self._known)
                kept *= LOST_KEPT if own else LOST_BESIDE_KEPT
        if len(plan) > 1 and unmended(plan, self._facts, self._foreseen):
            kept *= NOTHING_KEPT
        if handles_itself(plan, self._known):
            kept *= NOTHING_KEPT
        kept *= max(hands_over(plan, self._goal, self._held, self._known), NO_END_KEPT)
        return kept if ends(plan[-1], self._goal, self._known) else kept * NO_END_KEPT

    def _after(self, firsts: Sequence[str]) -> dict[str, Facts]:
        """What is believed once each was done: the model is asked about what it may change."""
        after = {first: dict(self._facts) for first in firsts}
        for question in QUESTIONS:
            turning = [first for first in firsts if question in leaves(first)]
            if turning:
                found = self._mind.believe([question], [(first,) for first in turning])
                for first, facts in zip(turning, found, strict=True):
                    after[first] |= facts
        return dict(after)

    def _bears(self, skill: str) -> bool:
        return named(skill, self._known) <= self._matter

    def _lasts(self) -> list[str]:
        """Skills that may be the last step to the goal."""
        may = [skill for skill in self._skills if ends(skill, self._goal, self._known)]
        may = may or list(self._skills)
        nearest = {skill: self._nearest.get(skill, -1.0) for skill in may}
        worded = {skill: shared_words(skill, self._goal, self._known) for skill in may}
        return list(dict.fromkeys([*_best(nearest, LAST), *_best(worded, LAST_BY_WORDS)]))


def arrival(near: float) -> float:
    """How probably an end of this similarity to the goal is the goal [0..1]."""
    return 1 / (1 + math.exp((NEAR - near) / NEARNESS_SPREAD))


def _held(mind: Mind, known: Iterable[str], holding: float) -> dict[str, float]:
    """How probably each thing is in the gripper, by its name of two words."""
    pairs = [(name, name.split()) for name in sorted(known)]
    answers = [
        mind.choose(question, sorted({words[at] for _, words in pairs}))
        for at, question in enumerate(HELD)
    ]
    alike = {name: math.prod(answers[at][w] for at, w in enumerate(ws)) for name, ws in pairs}
    total = sum(alike.values()) or 1.0
    return {name: holding * value / total for name, value in alike.items()}


def _fitting(skills: Iterable[str], facts: Facts, held: Mapping[str, float]) -> dict[str, float]:
    """How well each skill fits; those that do not are left out, unless none does."""
    fit = {skill: fitness(skill, facts) * apartness(skill, held) for skill in skills}
    return {skill: p for skill, p in fit.items() if p >= LEAST_FIT} or fit


def _worth(skill: str, foreseen: str, past: Past) -> float:
    """Of a first action: what is kept of the chance after what is foreseen and was tried."""
    kept = NOTHING_KEPT if comes_to_nothing(foreseen) else 1.0
    alike = sum(n for other, n in past.refusals.items() if _kind(skill) == _kind(other))
    kept *= REFUSED_KEPT**alike
    return float(kept * TRIED_KEPT ** past.tried.get(skill, 0))


def _kind(skill: str) -> str:
    """The verb."""
    return skill.split(maxsplit=1)[0]


def _best(values: Mapping[str, float], count: int) -> list[str]:
    return sorted(values, key=lambda name: -values[name])[:count]
