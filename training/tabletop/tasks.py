"""What is asked of a window of a stream: the tasks of the tabletop, defined once.

A sample is ⟨query, target text, wrong candidates⟩; its key says which targets mean the same.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from training.tabletop import language
from training.tabletop.questions import questions
from training.tabletop.windows import WindowTruth
from vljepa_ros.config import ModelConfig

LABEL_QUERY = "Which action is it?"
MAX_CANDIDATES = 14
EDITS = 3
IDLE_SHARE = 0.12


@dataclass(frozen=True)
class Sample:
    """One question to one window."""

    query: str
    target: str
    canonical: str
    """The wording that the Y-decoder is taught."""
    candidates: tuple[str, ...]

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

    def draw(self, rng: np.random.Generator) -> str:
        names = ("action_caption", "scene_caption", "label", "question")
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
    edits = language.edits(meaning, rng, EDITS)
    return Sample(
        query=query,
        target=language.caption(meaning, rng, split),
        canonical=language.canonical(meaning),
        candidates=tuple(language.caption(edit, rng, split) for edit in edits),
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
    item = asked[int(rng.integers(len(asked)))]
    others = tuple(text for text in item.candidates if text != item.answer)
    return Sample(item.text, item.answer, item.answer, others[:MAX_CANDIDATES])
