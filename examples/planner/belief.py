"""What is believed of the scene, step after step: what was done foretells it, looking corrects it.

A filter with two halves. An answer of the model about one picture errs now and then, and errs again
about the next picture of the same scene; what the last action must have left behind errs otherwise.
So each weighs against the other, in log-odds.
"""

from __future__ import annotations

import math

from examples.planner.sense import Facts, leaves, needs

KEPT = 0.7
"""Of what was believed before, at the next look: things may have changed unseen."""
CAME_OFF, CAME_TO_NOTHING, REFUSED = 2.0, -1.5, -0.5
"""How far [nats] an action that came off, did not, or was refused, speaks for having had its needs.

Without them it hardly ever comes off; with them it may fail too, and what a robot refuses it mostly
refuses for reasons of its own."""
SUREST = 4.0
"""No belief is surer [nats]; whatever it is, some looks can still turn it."""


class Belief:
    """Of each question the log-odds that its answer is yes."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}
        """What is believed without looking."""

    def facts(self, looked: Facts) -> dict[str, float]:
        """What is believed once the model has answered about the scene as it is now."""
        return {
            question: _probability(_odds(yes) + self._before.get(question, 0.0))
            for question, yes in looked.items()
        }

    def refused(self, action: str) -> None:
        """The robot did not do it. Nothing has moved: the next look will be the same."""
        self._learn(action, REFUSED)

    def done(self, action: str, facts: Facts, came_off: bool | None) -> None:
        """The robot did it; the scene is another one.

        Args:
            facts: what was believed before.
            came_off: as far as is known.
        """
        self._before = {question: _odds(yes) for question, yes in facts.items()}
        if came_off is None:
            self._before |= dict.fromkeys(leaves(action), 0.0)
        else:
            self._learn(action, CAME_OFF if came_off else CAME_TO_NOTHING)
        if came_off:
            left = leaves(action)
            self._before |= {q: CAME_OFF if then else -CAME_OFF for q, then in left.items()}
        self._before = {q: KEPT * odds for q, odds in self._before.items()}

    def _learn(self, action: str, nats: float) -> None:
        for question, wanted in needs(action).items():
            odds = self._before.get(question, 0.0) + (nats if wanted else -nats)
            self._before[question] = min(max(odds, -SUREST), SUREST)


def _odds(probability: float) -> float:
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return min(max(math.log(inside / (1 - inside)), -SUREST), SUREST)


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))
