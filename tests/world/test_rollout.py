from __future__ import annotations

import itertools

import numpy as np
import pytest

from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.world.rollout import BATCH_ACTIONS, Rollout

WORDS = ["push", "open", "red", "cube", "left", "drawer", "what", "table", "on"]


@pytest.fixture(scope="module")
def goal_E(engine: Engine) -> np.ndarray:
    return engine.encode_texts(["the drawer is open"])[0]


def finished(rollout: Rollout) -> Rollout:
    while rollout.step():
        pass
    return rollout


def walked(engine: Engine, tokens: Tokens, sequence: tuple[str, ...]) -> np.ndarray:
    """The same by hand: each action imagined from the scene the one before left."""
    for action in sequence:
        imagined = engine.imagine(tokens, [action])
        tokens = imagined.tokens
    return imagined.embeddings[0]


def test_each_end_is_what_walking_there_gives(
    engine: Engine, tokens: Tokens, goal_E: np.ndarray
) -> None:
    sequences = [("open",), ("push", "open"), ("push", "red", "cube"), ("push", "red")]
    ranked = finished(Rollout(engine, tokens, sequences, goal_E)).ranked()
    assert sorted(r.index for r in ranked) == [0, 1, 2, 3]
    assert [r.goal_similarity for r in ranked] == sorted(
        (r.goal_similarity for r in ranked), reverse=True
    )
    for r in ranked:
        end_E = walked(engine, tokens, sequences[r.index])
        assert r.goal_similarity == pytest.approx(float(end_E @ goal_E), abs=1e-4)


def test_shared_beginnings_are_imagined_once(
    engine: Engine, tokens: Tokens, goal_E: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    imagined: list[int] = []
    original = Engine.imagine

    def counted(self: Engine, clips: Tokens, actions: list[str]) -> object:
        imagined.append(len(actions))
        return original(self, clips, actions)

    monkeypatch.setattr(Engine, "imagine", counted)
    sequences = [("push", "red", last) for last in WORDS]
    finished(Rollout(engine, tokens, sequences, goal_E))
    assert imagined == [1, 1, len(WORDS)]


def test_a_step_imagines_at_most_a_batch(
    engine: Engine, tokens: Tokens, goal_E: np.ndarray
) -> None:
    sequences = list(itertools.product(WORDS, WORDS))
    rollout = Rollout(engine, tokens, sequences, goal_E)
    assert rollout.best() is None
    assert rollout.step() and rollout.evaluated == 0
    assert rollout.best() is not None
    assert rollout.step() and rollout.evaluated == BATCH_ACTIONS
    assert not rollout.step() and rollout.evaluated == len(sequences)
    assert not rollout.step()


def test_the_beam_keeps_the_best_beginnings(
    engine: Engine, tokens: Tokens, goal_E: np.ndarray
) -> None:
    sequences = list(itertools.product(WORDS, WORDS))
    firsts = finished(Rollout(engine, tokens, [(w,) for w in WORDS], goal_E)).ranked()
    kept = {WORDS[r.index] for r in firsts[:2]}
    rollout = finished(Rollout(engine, tokens, sequences, goal_E, beam_width=2))
    ranked = rollout.ranked()
    assert rollout.evaluated == 2 * len(WORDS) and len(ranked) == len(sequences)
    assert {sequences[r.index][0] for r in ranked[: 2 * len(WORDS)]} == kept
    assert not any(sequences[r.index][0] in kept for r in ranked[2 * len(WORDS) :])


def test_depth_can_be_limited(engine: Engine, tokens: Tokens, goal_E: np.ndarray) -> None:
    sequences = [("push", "red", "cube"), ("push", "open")]
    rollout = finished(Rollout(engine, tokens, sequences, goal_E, max_depth=1))
    assert rollout.evaluated == 2
    end = float(walked(engine, tokens, ("push",)) @ goal_E)
    found = [r.goal_similarity for r in rollout.ranked()]
    assert found == [pytest.approx(end, abs=1e-4)] * 2


def test_doubts_add_up_on_the_way(engine: Engine, tokens: Tokens, goal_E: np.ndarray) -> None:
    single = finished(Rollout(engine, tokens, [("push",)], goal_E)).ranked()[0].uncertainty
    double = finished(Rollout(engine, tokens, [("push", "red")], goal_E)).ranked()[0].uncertainty
    assert 0 <= single <= double <= 1


def test_nothing_to_follow_is_refused(engine: Engine, tokens: Tokens, goal_E: np.ndarray) -> None:
    for sequences in ([], [()], [("push",), ()]):
        with pytest.raises(ValueError, match="empty one"):
            Rollout(engine, tokens, sequences, goal_E)
    with pytest.raises(ValueError, match="0 \\(all\\) or more"):
        Rollout(engine, tokens, [("push",)], goal_E, beam_width=-1)
