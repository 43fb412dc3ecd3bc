"""What is asked of a window of a stream, or of a scene imagined: the tabletop's tasks, once.

A sample is ⟨query, target text, wrong candidates⟩; its key says which targets mean the same.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from training.tabletop import language
from training.tabletop.actions import Action
from training.tabletop.planner import choose
from training.tabletop.questions import questions
from training.tabletop.state import SceneState
from training.tabletop.transitions import Transition, inverse, transition
from training.tabletop.windows import WindowTruth
from vljepa_ros.config import ModelConfig

LABEL_QUERY = "Which action is it?"
MAX_CANDIDATES = 14
EDITS = 10
"""Wrong captions that come with a caption, each one attribute away."""
IDLE_SHARE = 0.12
AFTER = ("scene_caption", "question")
"""What is asked of imagined scenes, besides a second action."""

QUESTION_WEIGHTS = {"existence": 3.0, "left_of": 3.0, "on_top": 6.0, "count_shape": 2.0}
"""How often a type is asked where others could be: these need several objects to be compared."""
EASY_OUTCOMES = (
    "already", "blocked", "drawer_closed", "drawer_empty", "drawer_full", "hands_full",
    "nothing_held", "with_object",
)  # fmt: skip
"""They hang on what is held or on the drawer alone, and are learnt long before geometry is."""
EASY_KEPT = 0.4


@dataclass(frozen=True)
class Sample:
    """One question to one window."""

    query: str
    target: str
    canonical: str
    """The wording that the Y-decoder is taught."""
    candidates: tuple[str, ...]
    after: SceneState | None = None
    """The scene after the action that is asked about."""
    scene: language.Meaning | None = None
    """What is said of the scene, where its caption is asked for."""
    reworded: str = ""
    """The target's meaning in other words; empty: it has but one wording."""

    @property
    def key(self) -> int:
        """Equal for targets of equal meaning; they are never negatives of each other."""
        return zlib.crc32(self.canonical.encode())


@dataclass(frozen=True)
class TaskMix:
    """Shares of the tasks in a batch."""

    action_caption: float = 0.5
    scene_caption: float = 0.5
    label: float = 0.0
    question: float = 0.0
    transition: float = 0.0
    inverse: float = 0.0
    rollout: float = 0.0
    """Of the whole batch; the others share the rest. Half of them go on with a second action."""

    def draw(self, rng: np.random.Generator) -> str:
        """A task other than rollout."""
        names = ("action_caption", "scene_caption", "label", "question", "transition", "inverse")
        shares = np.array([getattr(self, name) for name in names])
        return str(rng.choice(names, p=shares / shares.sum()))


def sample(
    task: str,
    truth: WindowTruth,
    config: ModelConfig,
    rng: np.random.Generator,
    split: str = "train",
) -> Sample | None:
    """Ask `task` of a window; None where it has no truth there."""
    if task == "action_caption":
        return _caption(config.caption_query, truth.action_meaning, rng, split)
    if task == "scene_caption":
        if truth.scene_meaning is None:
            return None
        return _caption(config.scene_query, truth.scene_meaning, rng, split)
    if task == "label":
        return _label(truth)
    return _question(truth, rng)


def _caption(
    query: str, meaning: language.Meaning | None, rng: np.random.Generator, split: str
) -> Sample | None:
    if meaning is None:
        return None
    edits = language.hard_edits(meaning, rng, EDITS)
    return Sample(
        query=query,
        target=language.caption(meaning, rng, split),
        canonical=language.canonical(meaning),
        candidates=tuple(language.caption(edit, rng, split) for edit in edits),
        scene=meaning if meaning.kind == "scene" else None,
        reworded=language.caption(meaning, rng, split),
    )


def _label(truth: WindowTruth) -> Sample | None:
    label = truth.action_label
    if label is None:
        return None
    others = tuple(text for text in language.action_labels() if text != label)
    return Sample(LABEL_QUERY, label, label, others)


def _question(truth: WindowTruth, rng: np.random.Generator) -> Sample | None:
    asked = questions(truth, rng)
    if not asked:
        return None
    weights = np.array([QUESTION_WEIGHTS.get(item.type, 1.0) for item in asked])
    item = asked[int(rng.choice(len(asked), p=weights / weights.sum()))]
    others = tuple(text for text in item.candidates if text != item.answer)
    return Sample(item.text, item.answer, item.answer, others[:MAX_CANDIDATES])


# --- about actions that are imagined, not seen ------------------------------------------------


def transition_sample(
    state: SceneState, rng: np.random.Generator, action: Action | None = None
) -> Sample | None:
    """What an action (none given: one by which rare outcomes come up as well) would lead to.

    None where that is too close to call, and mostly where it is easy to tell.
    """
    if action is None:
        action, result = choose(state, rng)
        if result.outcome in EASY_OUTCOMES and rng.random() > EASY_KEPT:
            return None
    item = transition(state, action, rng)
    if item is None:
        return None
    right = item.candidates[item.answer]
    return Sample(item.query, right, right, _others(item), item.after)


def inverse_sample(
    state: SceneState, action: Action, config: ModelConfig, rng: np.random.Generator
) -> Sample | None:
    """Which action led from `state` to the one after it; None where it cannot be told."""
    item = inverse(state, action, rng)
    if item is None:
        return None
    right = item.candidates[item.answer]
    return Sample(config.inverse_query, right, right, _others(item))


def sample_after(
    after: WindowTruth, config: ModelConfig, rng: np.random.Generator
) -> Sample | None:
    """Something to ask of a still scene that was only imagined."""
    return sample(AFTER[int(rng.integers(len(AFTER)))], after, config, rng)


def _others(item: Transition) -> tuple[str, ...]:
    return tuple(text for i, text in enumerate(item.candidates) if i != item.answer)
