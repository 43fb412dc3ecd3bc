"""⟨state, action⟩ → outcome: the true one among up to 8 candidates, and how sure the model was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.evaluate.blind import shuffled_rows
from training.evaluate.blind_choices import Blind, blind, candidate_only_excess
from training.evaluate.choices import (
    Item,
    accuracy,
    answered,
    by_kind,
    chance,
    imagined,
    imagined_embeddings,
    item_of,
    macro,
)
from training.evaluate.measures import Bools, auroc, brier, equal_mass_bins
from training.evaluate.observe import Observed
from training.evaluate.rewording import rewording
from training.tabletop.actions import possible_actions
from training.tabletop.state import SceneState
from training.tabletop.transitions import Transition, balanced
from training.tabletop.world import Episode
from vljepa_ros.model.engine import Engine, EngineError

MOST_ITEMS = 6000


@dataclass(frozen=True, eq=False)
class Judged:
    """Transitions asked of a model: whether it was right, and its own uncertainty."""

    right_R: Bools
    uncertainty_R: npt.NDArray[np.float32]
    strange_R: Bools
    """Out of distribution, by the model's own novelty."""

    @property
    def confidence_R(self) -> npt.NDArray[np.float64]:
        confidence_R: npt.NDArray[np.float64] = 1.0 - self.uncertainty_R.astype(np.float64)
        return confidence_R


def imagining(model: str, threads: int) -> Engine:
    """A model that can be asked about actions, on the CPU in float32.

    Raises:
        EngineError: it cannot imagine.
    """
    engine = Engine.load(model, device="cpu", dtype="float32", threads=threads)
    if not engine.can_imagine:
        raise EngineError(f"{model} was not trained to predict what actions lead to; give another")
    return engine


def transitions_of(states: Sequence[SceneState], rng: np.random.Generator) -> list[Transition]:
    """What every action possible in a state leads to, what happened there among it, balanced."""
    happened = [(state, action) for state in states for action in possible_actions(state)]
    return balanced(happened, rng)


def still_states(episodes: Sequence[Episode]) -> list[SceneState]:
    """The states between the actions of each stream."""
    idle = (segment for e in episodes for segment in e.segments if segment.action is None)
    return [segment.state(segment.onset_s) for segment in idle]


def asked_of(
    moments: Sequence[Observed], seed: int
) -> tuple[tuple[Item, ...], tuple[Observed, ...]]:
    """Items and the still moment that each is asked of."""
    rng = np.random.default_rng([seed, 9])
    moment_of = {id(moment.truth.state): moment for moment in moments}
    asked = transitions_of([moment.truth.state for moment in moments], rng)[:MOST_ITEMS]
    items = tuple(item_of(t, t.outcome, t.query) for t in asked)
    return items, tuple(moment_of[id(t.before)] for t in asked)


def judge(engine: Engine, items: Sequence[Item], seen: Sequence[Observed]) -> Judged:
    """Ask a model that can imagine."""
    found = list(imagined(engine, [o.tokens_TND for o in seen], [item.query for item in items]))
    embeddings_RE = np.concatenate([i.embeddings for i in found])
    uncertainty_R = np.concatenate([i.uncertainty for i in found])
    strange_R = np.concatenate([i.out_of_distribution for i in found])
    return Judged(answered(engine, embeddings_RE, items), uncertainty_R, strange_R)


def score_transitions(
    engine: Engine, moments: Sequence[Observed], seed: int, split: str = "test"
) -> dict[str, float]:
    """All scores of transitions, named as in docs/evaluation.md."""
    plain, seen = asked_of(moments, seed)
    items = tuple(map(rewording(split, seed), plain))
    judged = judge(engine, items, seen) if engine.can_imagine else None
    shuffled_R = _shuffled(engine, items, seen, seed) if engine.can_imagine else None
    found = blind(items, fit_items, shuffled_R, seed)
    scores = _named(items, None if judged is None else judged.right_R, found)
    scores["transition_strange"] = (
        float("nan") if judged is None else float(judged.strange_R.mean())
    )
    return scores | (_unmeasured() if judged is None else reliability_scores(judged))


def fit_items(worlds: Sequence[Episode]) -> list[Item]:
    """Items of training streams for the blind models."""
    asked = transitions_of(still_states(worlds), np.random.default_rng(10))
    return [item_of(t, t.outcome, t.query) for t in asked]


def reliability_scores(judged: Judged) -> dict[str, float]:
    """How honest and how telling the model's own uncertainty is."""
    wrong_R = ~judged.right_R
    return {
        "ece": equal_mass_bins(judged.confidence_R, judged.right_R).error,
        "brier": brier(judged.confidence_R, judged.right_R),
        "uncertainty_auroc": auroc(
            judged.uncertainty_R[judged.right_R], judged.uncertainty_R[wrong_R]
        ),
    }


def _unmeasured() -> dict[str, float]:
    return dict.fromkeys(("ece", "brier", "uncertainty_auroc"), float("nan"))


def _shuffled(engine: Engine, items: Sequence[Item], seen: Sequence[Observed], seed: int) -> Bools:
    rows = shuffled_rows(np.random.default_rng([seed, 11]), [o.episode for o in seen])
    clips = [seen[row].tokens_TND for row in rows]
    return answered(
        engine, imagined_embeddings(engine, clips, [item.query for item in items]), items
    )


def _named(items: Sequence[Item], right_R: Bools | None, found: Blind) -> dict[str, float]:
    nan = float("nan")
    counts = Counter(item.kind for item in items)
    kinds = dict.fromkeys(sorted(counts), nan) if right_R is None else by_kind(right_R, items)
    return {
        "transition_items": len(items),
        "transition_accuracy": nan if right_R is None else accuracy(right_R),
        "transition_accuracy_blind": found.best(),
        "transition_macro": nan if right_R is None else macro(right_R, items),
        "transition_macro_blind": found.best(lambda right_R: macro(right_R, items)),
        "transition_text_only": accuracy(found.text_only_R),
        "transition_candidate_only": accuracy(found.candidate_only_R),
        "transition_chance": chance(items),
        "candidate_only_excess": candidate_only_excess(items, found),
        **{f"transition_{kind}": score for kind, score in kinds.items()},
        **{f"transition_{kind}_items": counts[kind] for kind in kinds},
    }
