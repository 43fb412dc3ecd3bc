"""A planner on `world_state`, to be copied. It knows topics and services, and nothing of the world.

Step by step: imagine sequences of the robot's skills (search.py), do the first action of the most
promising one, and look what came of it; until what was seen is what the goal says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from examples.planner.belief import Belief
from examples.planner.search import Mind, Past, Plan, arrival, search
from examples.planner.sense import QUESTIONS, came_off, shows, tells, things

STILL_S = 2.0
"""So long after an action a clip shows nothing of it any more."""
SAME = 0.9
"""Two sentences with at least this cosine say the same, if they name the same."""


class Body(Protocol):
    """A robot under a camera."""

    def arrive(self) -> Sequence[str]:
        """Skills of the scene that is there now, once it has been seen at rest."""

    def do(self, action: str) -> str:
        """Have the robot do it; returns its reason where it refuses."""

    def seen(self) -> tuple[str, ...]:
        """What perception said since the last action began, once all is still."""


@dataclass(frozen=True)
class Step:
    """One thing that was done towards the goal."""

    plan: Plan
    """What was meant to be done; its first action was."""
    similarity: float
    """Cosine between the imagined end of the plan and the goal."""
    refused: str
    """Why the robot did not even try; empty where it did."""
    seen: tuple[str, ...]
    """What perception said meanwhile."""


def pursue(goal: str, mind: Mind, body: Body, steps: int, tell: Callable[[Step], None]) -> bool:
    """Try to make the goal come true in at most so many steps; True if it seems to be.

    Args:
        goal: what shall have happened, as perception would say it.
        tell: called after each step.

    Raises:
        PlannerError: a node is missing, fails, or is too slow.
    """
    tries, belief, skills = Tries(), Belief(), body.arrive()
    facts = belief.facts(mind.believe(QUESTIONS, [()])[0])
    for _ in range(steps):
        choice = search(mind, goal, skills, facts, tries.past)
        action, before = choice.plan[0], facts
        refused = body.do(action)
        seen = () if refused else body.seen()
        off = came_off(action, seen)
        if refused:
            tries.refused(action)
            belief.refused(action)
        else:
            tries.done(action, off)
            belief.done(action, before, off)
        facts = belief.facts(mind.believe(QUESTIONS, [()])[0])
        tell(Step(choice.plan, choice.similarity, refused, seen))
        # Words that come while something moves are often wrong: they are believed only where
        # the goal was to come true now. Where there were none of it, what shows may tell.
        if len(choice.plan) > 1 or refused:
            continue
        heard = tells(goal, seen, action, things(skills))
        if any(mind.alike(goal, said) >= SAME for said in heard):
            return True
        if off is None and arrival(choice.similarity) > 0.5 and shows(action, before, facts):
            return True
    return False


class Tries:
    """What has been tried for a goal, and what of it still counts."""

    def __init__(self) -> None:
        self._tried: Counter[str] = Counter()
        self._failed: set[str] = set()
        self._refusing: set[str] = set()
        self._refusals: Counter[str] = Counter()

    @property
    def past(self) -> Past:
        return Past(self._tried, frozenset(self._refusing), self._refusals)

    def refused(self, action: str) -> None:
        """What the robot refused it will refuse again, until the scene is another one."""
        self._refusing.add(action)
        self._refusals[action] += 1

    def done(self, action: str, came_off: bool | None) -> None:
        """What was not heard to come off may do so once another action has."""
        self._refusing.clear()
        self._tried[action] += 1
        if came_off:
            for failed in self._failed:
                del self._tried[failed]
            self._failed.clear()
        else:
            self._failed.add(action)
