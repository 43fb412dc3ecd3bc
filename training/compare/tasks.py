"""What all learners are asked: the same items, of the same clips of test streams.

Everything with candidates is an `Item`; free captions are held against the truth's meaning and
wordings. Definitions: docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.compare.frozen import Frozen
from training.compare.settings import ItemsConfig
from training.evaluate.choices import Item
from training.evaluate.observe import Observed, observe, observe_still
from training.evaluate.pools import hard_pool
from training.evaluate.questions import items_of
from training.evaluate.retrieval import one_per_episode
from training.evaluate.transitions import asked_of
from training.tabletop import language
from training.tabletop.language import Meaning
from training.tabletop.names import ACTIONS
from training.tabletop.render import RendererName
from training.tabletop.tasks import LABEL_QUERY
from training.tabletop.world import Episode
from vljepa_ros.model.engine import Tokens

ACTION, VQA, TRANSITION = "action", "vqa", "transition"
CAPTIONS = ("action_caption", "scene_caption")
MeaningOf = Callable[[Observed], Meaning | None]


@dataclass(frozen=True, eq=False)
class Choices:
    """Questions with candidates, and the clip that each is asked of."""

    items: tuple[Item, ...]
    seen: tuple[Observed, ...]

    @property
    def clips(self) -> list[Tokens]:
        return [one.tokens_TND for one in self.seen]

    @property
    def episode_R(self) -> npt.NDArray[np.int64]:
        return np.array([one.episode for one in self.seen], dtype=np.int64)

    @property
    def kind_R(self) -> npt.NDArray[np.str_]:
        return np.array([item.kind for item in self.items], dtype=np.str_)


@dataclass(frozen=True, eq=False)
class Captions:
    """One query to some clips, the true meaning of each and wordings of it."""

    query: str
    seen: tuple[Observed, ...]
    meanings: tuple[Meaning, ...]
    references: tuple[tuple[str, ...], ...]

    @property
    def clips(self) -> list[Tokens]:
        return [one.tokens_TND for one in self.seen]

    @property
    def episode_R(self) -> npt.NDArray[np.int64]:
        return np.array([one.episode for one in self.seen], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Tasks:
    """All of them, by name."""

    choices: dict[str, Choices] = field(default_factory=dict)
    captions: dict[str, Captions] = field(default_factory=dict)
    pools: dict[str, Choices] = field(default_factory=dict)
    """100 candidates, the truth first; none where the config has no pools."""


def make(
    frozen: Frozen, config: ItemsConfig, seed: int, renderer: RendererName = "painter"
) -> Tasks:
    """The items of the streams from `seed` on; the same ones for the same arguments."""
    seeds = range(seed, seed + config.episodes)
    worlds = [Episode.generate(each, "test", renderer=renderer) for each in seeds]
    windows = observe(frozen.engine, worlds, seed)
    moments = observe_still(frozen.engine, worlds, seed)
    acted = [o for o in windows if o.truth.segment.action is not None and o.truth.decided]
    choices = {
        ACTION: _actions(acted),
        VQA: _questions(moments, acted, seed),
        TRANSITION: _transitions(moments, seed),
    }
    model = frozen.config
    spoken: dict[str, tuple[str, list[Observed], MeaningOf]] = {
        "action_caption": (model.caption_query, acted, _action_meaning),
        "scene_caption": (model.scene_query, windows, _scene_meaning),
    }
    captions, pools = {}, {}
    for index, (name, (query, seen, meaning_of)) in enumerate(spoken.items()):
        rng = np.random.default_rng([seed, 40 + index])
        with_truth = _some([o for o in seen if meaning_of(o) is not None], config.most, rng)
        captions[name] = _captions(query, with_truth, meaning_of, config.references, rng)
        if config.pools:
            pools[name] = _pools(captions[name], config.pools, rng)
    return Tasks({n: _at_most(c, config.most, seed) for n, c in choices.items()}, captions, pools)


def _action_meaning(seen: Observed) -> Meaning | None:
    return seen.truth.action_meaning


def _scene_meaning(seen: Observed) -> Meaning | None:
    return seen.truth.scene_meaning


def _actions(acted: Sequence[Observed]) -> Choices:
    labels = tuple(language.action_label(name) for name in ACTIONS)
    items = []
    for one in acted:
        assert one.truth.segment.action is not None
        name = one.truth.segment.action.name
        items.append(Item(name, LABEL_QUERY, labels, ACTIONS.index(name)))
    return Choices(tuple(items), tuple(acted))


def _questions(moments: Sequence[Observed], acted: Sequence[Observed], seed: int) -> Choices:
    rng = np.random.default_rng([seed, 16])
    asked = [(one, item) for one in (*moments, *acted) for item in items_of(one.truth, rng)]
    return Choices(tuple(item for _, item in asked), tuple(one for one, _ in asked))


def _transitions(moments: Sequence[Observed], seed: int) -> Choices:
    return Choices(*asked_of(moments, seed))


def _at_most(choices: Choices, most: int, seed: int) -> Choices:
    rows = _some(range(len(choices.items)), most, np.random.default_rng([seed, 39]))
    return Choices(
        tuple(choices.items[row] for row in rows), tuple(choices.seen[row] for row in rows)
    )


def _captions(
    query: str,
    seen: Sequence[Observed],
    meaning_of: MeaningOf,
    references: int,
    rng: np.random.Generator,
) -> Captions:
    meanings = [meaning for one in seen if (meaning := meaning_of(one)) is not None]
    worded = [tuple(language.caption(m, rng) for _ in range(references)) for m in meanings]
    return Captions(query, tuple(seen), tuple(meanings), tuple(worded))


def _pools(captions: Captions, most: int, rng: np.random.Generator) -> Choices:
    """Hard pools: the truth first, then edits of it and the captions of other episodes."""
    items, seen = [], []
    for row in _some(range(len(captions.seen)), most, rng):
        others = one_per_episode(captions.seen, captions.meanings, row, rng)
        pool = hard_pool(captions.meanings[row], others, rng, "test")
        items.append(Item(captions.meanings[row].kind, captions.query, pool.texts, 0))
        seen.append(captions.seen[row])
    return Choices(tuple(items), tuple(seen))


def _some(of: Sequence, most: int, rng: np.random.Generator) -> list:  # type: ignore[type-arg]
    return [of[i] for i in sorted(rng.permutation(len(of))[:most])]
