"""`change` against the truth of the simulator."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from training.evaluate import change
from training.tabletop.actions import next_state
from training.tabletop.language import parse
from training.tabletop.meaning import scene_meaning
from training.tabletop.names import ObjectName
from training.tabletop.state import SceneState
from training.tabletop.world import Action, Episode


def moments(count: int) -> list[Any]:
    """Still scenes of test streams, without tokens."""
    found = []
    for seed in range(5_100_000, 5_100_000 + count):
        state = Episode.generate(seed, "test", max_actions=1).state(0.0)
        found.append(SimpleNamespace(truth=SimpleNamespace(state=state), tokens_TND=None))
    return found


def changes(state: SceneState, instruction: str) -> bool:
    meaning = parse(instruction)
    assert meaning is not None
    target = meaning.target and ObjectName(*meaning.target)
    after = next_state(state, Action(meaning.action, target))[0]
    return scene_meaning(after) != scene_meaning(state)


def test_both_kinds_of_action_are_drawn_and_named_rightly() -> None:
    rng = np.random.default_rng(0)
    drawn = [(m.truth.state, d) for m in moments(8) for d in change._drawn(m, rng)]
    assert {effect for _, (_, effect) in drawn} == {True, False}
    assert all(changes(state, text) == effect for state, (text, effect) in drawn)


@pytest.mark.parametrize(("knows", "score"), [(True, 1.0), (False, 0.5)])
def test_an_oracle_is_right_and_a_constant_is_at_chance(
    monkeypatch: pytest.MonkeyPatch, knows: bool, score: float
) -> None:
    seen = moments(8)
    by_tokens = {id(m): m for m in seen}
    for m in seen:
        m.tokens_TND = np.array([id(m)])

    class Oracle:
        def __init__(self, engine: Any) -> None: ...

        def transitions(self, tokens: Any, instructions: list[str]) -> list[Any]:
            state = by_tokens[int(tokens[0, 0])].truth.state
            return [
                SimpleNamespace(change=float(knows and changes(state, text)))
                for text in instructions
            ]

    monkeypatch.setattr(change, "WorldModel", Oracle)
    found = change.score_change(SimpleNamespace(can_imagine=True), seen, 1)  # type: ignore[arg-type]
    assert found["change_auroc"] == score and found["change_items"] > 20
