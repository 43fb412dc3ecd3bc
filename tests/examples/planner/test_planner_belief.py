"""What the planner keeps from step to step: what it believes, and what it has tried."""

from __future__ import annotations

from examples.planner.belief import Belief
from examples.planner.planner import Tries
from examples.planner.sense import HOLDING, OPEN

PICK, SHAKE = "pick up the red cube", "shake what you hold"
UNSURE = {HOLDING: 0.4, OPEN: 0.9}


def test_at_first_the_model_is_believed() -> None:
    facts = Belief().facts(UNSURE)
    assert abs(facts[HOLDING] - 0.4) < 1e-6


def test_what_came_off_is_believed_against_a_wrong_look() -> None:
    belief = Belief()
    belief.done(PICK, belief.facts({HOLDING: 0.05}), came_off=True)
    assert belief.facts({HOLDING: 0.4})[HOLDING] > 0.5
    belief.done("put down what you hold", belief.facts({HOLDING: 0.4}), came_off=True)
    assert belief.facts({HOLDING: 0.6})[HOLDING] < 0.5


def test_what_comes_to_nothing_speaks_against_its_needs() -> None:
    belief = Belief()
    belief.done(PICK, belief.facts(UNSURE), came_off=False)
    assert belief.facts(UNSURE)[HOLDING] > 0.4
    belief = Belief()
    belief.done(SHAKE, belief.facts(UNSURE), came_off=False)
    assert belief.facts(UNSURE)[HOLDING] < 0.4


def test_a_refusal_speaks_against_the_needs_but_less() -> None:
    refused, failed = Belief(), Belief()
    refused.refused(PICK)
    failed.done(PICK, UNSURE, came_off=False)
    assert 0.4 < refused.facts(UNSURE)[HOLDING] < failed.facts(UNSURE)[HOLDING]
    for _ in range(9):
        refused.refused(PICK)
    assert refused.facts(UNSURE)[HOLDING] > 0.9


def test_looks_win_in_the_end_over_what_was_done() -> None:
    belief = Belief()
    belief.done(PICK, belief.facts(UNSURE), came_off=True)
    for _ in range(4):
        facts = belief.facts({HOLDING: 0.1})
        belief.done("go home", facts, came_off=None)
    assert belief.facts({HOLDING: 0.1})[HOLDING] < 0.2


def test_where_nothing_was_heard_only_looking_tells_what_was_left_behind() -> None:
    belief = Belief()
    belief.done(PICK, belief.facts({HOLDING: 0.05, OPEN: 0.9}), came_off=None)
    facts = belief.facts({HOLDING: 0.6, OPEN: 0.5})
    assert abs(facts[HOLDING] - 0.6) < 1e-6
    assert facts[OPEN] > 0.5


def test_what_was_refused_is_left_alone_until_something_was_done() -> None:
    tries = Tries()
    tries.refused(PICK)
    assert tries.past.refused == {PICK}
    tries.done(SHAKE, came_off=False)
    assert tries.past.refused == frozenset()
    assert tries.past.refusals == {PICK: 1}


def test_what_failed_counts_as_tried_until_another_action_came_off() -> None:
    tries, push = Tries(), "push the red cube away"
    tries.done(PICK, came_off=False)
    tries.done(SHAKE, came_off=None)
    assert tries.past.tried == {PICK: 1, SHAKE: 1}
    tries.done(push, came_off=True)
    assert tries.past.tried == {push: 1}
    tries.done(push, came_off=True)
    assert tries.past.tried == {push: 2}
