"""Several actions ahead with no new frame: each is imagined on what was imagined before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluate.blind import shuffled_rows
from training.evaluate.blind_choices import blind
from training.evaluate.choices import (
    Item,
    accuracy,
    answered,
    imagined,
    imagined_embeddings,
    item_of,
)
from training.evaluate.measures import Bools
from training.evaluate.observe import Observed
from training.evaluate.transitions import still_states
from training.tabletop.actions import Action, next_state, possible_actions
from training.tabletop.language import action_instruction
from training.tabletop.planner import choose
from training.tabletop.state import SceneState
from training.tabletop.transitions import Happened, balanced
from training.tabletop.world import Episode
from vljepa_ros.model.engine import Engine, Tokens

DEPTHS = (1, 2, 3)
MOST_ITEMS = 800
"""At each depth."""
TRIES = 8
"""Actions drawn for each step of a walk until one changes something."""
LAST_ACTIONS = 12
"""Last actions drawn for each walk; of these, items are balanced."""

OF_THE_CONTENT = ("put_in_drawer", "take_out_of_drawer", "close_drawer")


@dataclass(frozen=True, eq=False)
class Walk:
    """Actions that really follow each other, each changing something that can be seen."""

    states: tuple[SceneState, ...]
    """Before each action and after the last."""
    actions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Ahead:
    """The outcome of one more action after the first `depth` - 1 actions of a walk."""

    walk: int
    depth: int
    item: Item


def walk(state: SceneState, rng: np.random.Generator, length: int = DEPTHS[-1] - 1) -> Walk:
    """Up to `length` actions; fewer where nothing suitable is found."""
    states, actions, last = [state], list[str](), ""
    while len(actions) < length:
        step = _step(state, states[-1], rng, last)
        if step is None:
            break
        action, after = step
        states.append(after)
        actions.append(action_instruction(action, rng))
        last = action.name
    return Walk(tuple(states), tuple(actions))


def _step(
    seen: SceneState, state: SceneState, rng: np.random.Generator, last: str
) -> tuple[Action, SceneState] | None:
    for _ in range(TRIES):
        action, result = choose(state, rng, last)
        after = next_state(state, action)[0]
        if not result.ambiguous and _changes(state, after) and _foreseeable(seen, state, action):
            return action, after
    return None


def ahead_of(
    walks: Sequence[Walk], rng: np.random.Generator, most: int | None = None
) -> list[Ahead]:
    """Items of every depth; `most` at each.

    Balanced as transitions are, apart for each state of gripper and drawer: who has heard "pick up
    the red cube" knows without looking that the gripper is full, and must gain nothing by it.
    """
    found = []
    for depth in DEPTHS:
        walk_of = {
            id(w.states[depth - 1]): i for i, w in enumerate(walks) if len(w.states) >= depth
        }
        happened: dict[tuple[bool, bool], list[Happened]] = {}
        for index in walk_of.values():
            seen, state = walks[index].states[0], walks[index].states[depth - 1]
            options = possible_actions(state)
            picks = rng.permutation(len(options))[:LAST_ACTIONS]
            some = [options[i] for i in picks if _foreseeable(seen, state, options[i])]
            known = (state.held >= 0, state.drawer_is_open)
            happened.setdefault(known, []).extend((state, action) for action in some)
        asked = [t for known in sorted(happened) for t in balanced(happened[known], rng)]
        for t in [asked[i] for i in rng.permutation(len(asked))[:most]]:
            index = walk_of[id(t.before)]
            earlier = ". ".join(walks[index].actions[: depth - 1])
            found.append(Ahead(index, depth, item_of(t, t.outcome, t.query, earlier)))
    return found


def score_rollouts(engine: Engine, moments: Sequence[Observed], seed: int) -> dict[str, float]:
    """Accuracy after 1, 2 and 3 actions, named as in docs/evaluation.md."""
    rng = np.random.default_rng([seed, 19])
    walks = [walk(moment.truth.state, rng) for moment in moments]
    asked = ahead_of(walks, rng, MOST_ITEMS)
    items = [a.item for a in asked]
    right_R, shuffled_R = None, None
    if engine.can_imagine:
        clips = [moment.tokens_TND for moment in moments]
        right_R = _answers(engine, walks, clips, asked)
        groups = [moment.episode for moment in moments]
        rows = shuffled_rows(np.random.default_rng([seed, 20]), groups)
        shuffled_R = _answers(engine, walks, [clips[row] for row in rows], asked)
    found = blind(items, fit_items, shuffled_R, seed)
    scores: dict[str, float] = {}
    for depth in DEPTHS:
        at_R = np.array([a.depth == depth for a in asked], dtype=np.bool_)
        nan = float("nan")
        scores |= {
            f"rollout_items_{depth}": int(at_R.sum()),
            f"rollout_accuracy_{depth}": nan if right_R is None else accuracy(right_R[at_R]),
            f"rollout_accuracy_{depth}_blind": found.of(at_R).best(),
        }
    return scores


def fit_items(worlds: Sequence[Episode]) -> list[Item]:
    """Items of training streams for the blind models."""
    rng = np.random.default_rng(21)
    walks = [walk(state, rng) for state in still_states(worlds)]
    return [a.item for a in ahead_of(walks, rng)]


def imagine_along(
    engine: Engine, walks: Sequence[Walk], clips: Sequence[Tokens]
) -> list[list[Tokens]]:
    """Of each walk: its clip (T', N, D), then what is imagined after each of its actions."""
    tokens = [list[Tokens]([clip]) for clip in clips]
    for step in range(DEPTHS[-1] - 1):
        rows = [i for i, walked in enumerate(walks) if len(walked.actions) > step]
        actions = [walks[i].actions[step] for i in rows]
        batches = imagined(engine, [tokens[i][step] for i in rows], actions)
        after = [clip for batch in batches for clip in batch.tokens]
        for i, clip in zip(rows, after, strict=True):
            tokens[i].append(clip)
    return tokens


def _answers(
    engine: Engine, walks: Sequence[Walk], clips: Sequence[Tokens], asked: Sequence[Ahead]
) -> Bools:
    tokens = imagine_along(engine, walks, clips)
    before = [tokens[a.walk][a.depth - 1] for a in asked]
    items = [a.item for a in asked]
    return answered(
        engine, imagined_embeddings(engine, before, [item.query for item in items]), items
    )


def _changes(before: SceneState, after: SceneState) -> bool:
    """Whether an object or the drawer is elsewhere afterwards."""
    return before.objects != after.objects or before.drawer != after.drawer


def _foreseeable(seen: SceneState, state: SceneState, action: Action) -> bool:
    """False where the outcome hangs on what was in a drawer that was shut when last seen."""
    opened = state.drawer_is_open and not seen.drawer_is_open
    return not (opened and action.name in OF_THE_CONTENT)
