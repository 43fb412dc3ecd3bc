"""Ask a trained learner, and keep what each single answer was worth.

Worth: 1 or 0 for right and wrong, CIDEr for a free caption. No answer is wrong, and so is a tie.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.compare.cider import cider
from training.compare.learner import Learner, Scores
from training.compare.tasks import Captions, Choices, Tasks
from training.evaluate.blind import shuffled_rows
from training.evaluate.choices import Item
from training.tabletop import language
from vljepa_ros.model.engine import Tokens

Worth = dict[str, npt.NDArray[np.float64]]
"""Name of a measure → one number an item (R,)."""

BLIND = "_blind"
ANSWERED = "_answered"


def ask(learner: Learner, tasks: Tasks, last: bool) -> Worth:
    """Every task's worth; at the end of a run with pools, and with videos shuffled (blind).

    What is asked of a single episode has no blind score: there is no other video.
    """
    found: Worth = {}
    pools = {f"{name}_r1": some for name, some in tasks.pools.items()} if last else {}
    for name, choices in (tasks.choices | pools).items():
        found |= choose(learner, name, choices, choices.clips)
        if last and _several(choices.episode_R):
            shuffled = [choices.seen[row].tokens_TND for row in _other_rows(choices.episode_R)]
            found[name + BLIND] = choose(learner, name, choices, shuffled)[name]
    for name, captions in tasks.captions.items():
        if learner.speaks(captions.query):
            found |= speak(learner, name, captions, blind=last and _several(captions.episode_R))
    return found


def _several(episode_R: npt.NDArray[np.int64]) -> bool:
    return len(np.unique(episode_R)) > 1


def _other_rows(episode_R: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return shuffled_rows(np.random.default_rng(41), episode_R.tolist())


def choose(learner: Learner, name: str, choices: Choices, clips: Sequence[Tokens]) -> Worth:
    """Whether the true candidate beats all others, and whether there was an answer at all."""
    scores = list(learner.scores(clips, choices.items))
    return {name: right(scores, choices.items), name + ANSWERED: _share(map(_answers, scores))}


def right(scores: Iterable[Scores], items: Sequence[Item]) -> npt.NDArray[np.float64]:
    """1 where the true candidate alone scores best (R,)."""
    return _share(_best(s, item.answer) for s, item in zip(scores, items, strict=True))


def _best(scores_C: Scores, answer: int) -> bool:
    return bool(scores_C[answer] > np.delete(scores_C, answer).max())


def _answers(scores_C: Scores) -> bool:
    return not bool(np.isnan(scores_C).any())


def speak(learner: Learner, name: str, captions: Captions, blind: bool = False) -> Worth:
    """Free captions: whether the meaning is the truth's, and how near the wording comes."""
    texts = learner.captions(captions.clips, [captions.query] * len(captions.seen))
    found = _spoken(name, texts, captions)
    if blind:
        others = [texts[row] for row in _other_rows(captions.episode_R)]
        found |= {key + BLIND: worth for key, worth in _spoken(name, others, captions).items()}
    return found


def _spoken(name: str, texts: Sequence[str], captions: Captions) -> Worth:
    said = [language.parse(text) for text in texts]
    same = (a == b for a, b in zip(said, captions.meanings, strict=True))
    return {
        f"{name}_match": _share(same),
        f"{name}_cider": cider(texts, captions.references),
    }


def _share(found: Iterable[bool]) -> npt.NDArray[np.float64]:
    return np.array(list(found), dtype=np.float64)


def save(path: Path, worth: Worth) -> None:
    """Write it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **worth)  # type: ignore[arg-type]
    partial.replace(path)


def load(path: Path) -> Worth:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
