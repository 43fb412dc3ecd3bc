"""Batches of ⟨window of a stream, query, target⟩ for the predictor, and of texts for the Y-encoder.

Shapes: B rows, R of them rollouts, S of those with a second action, T tubelets of a clip, N tokens,
D token width, F frames of a tubelet, K wrong candidates of a row, U distinct texts, L text tokens,
M things named, G cells of a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.tabletop import language
from training.tabletop.actions import Action
from training.tabletop.cached_windows import Before, Clip, Scene, Step, Windows
from training.tabletop.grounding import LABELS, MOST_NAMED, LabelsLGG, named_masks, order
from training.tabletop.planner import leading_to_rare
from training.tabletop.tasks import (
    Sample,
    TaskMix,
    inverse_sample,
    sample,
    sample_after,
    transition_sample,
)
from vljepa_ros.config import ModelConfig
from vljepa_ros.model.text import Tokenizer

MAX_TEXT_TOKENS = 96
RARE_SHARE = 0.15
"""Of the transitions, rollouts among them: chosen for rare outcomes, where there are any."""
UNKNOWN = 255
"""Cells of dense labels of which nothing is asked."""


@dataclass(frozen=True, eq=False)
class Row:
    """A clip and what is asked of it.

    A row with `then` is a rollout: its action was not done, but the world shows `after`, the scene
    that it leads to, and `then` is asked of the scene that the model imagines. Where that is a
    second action, the world shows what comes after it as well.
    """

    clip_T: Clip
    asked: Sample
    stream: int
    """Seed of the stream that the clip is from."""
    labels_LGG: LabelsLGG | None = None
    """What lies where; None where the clip is of two states."""
    after: Scene | None = None
    then: Sample | None = None
    after_then: Scene | None = None


class WindowBatches(Dataset[dict[str, Tensor]]):
    """The batch of a step, a pure function of (seed, step); item i is part i % parts of step
    i // parts, and all parts are alike in size."""

    def __init__(
        self,
        windows: Windows,
        tokenizer: Tokenizer,
        config: ModelConfig,
        mix: TaskMix,
        batch_size: int,
        seed: int,
        parts: int = 1,
    ) -> None:
        self._windows = windows
        self._tokenizer = tokenizer
        self._config = config
        self._mix = mix
        self._batch_size = batch_size
        self._seed = seed
        self._parts = parts

    def rows(self, step: int) -> list[Row]:
        """The rows of a batch, rollouts first, of those the ones with a second action first."""
        rng = np.random.default_rng([self._seed, step])
        rollouts, longer = (
            round(self._batch_size * share / self._parts) * self._parts
            for share in (self._mix.rollout, self._mix.rollout / 2)
        )
        rows: list[Row] = []
        while len(rows) < self._batch_size:
            task = self._mix.draw(rng)
            if len(rows) < rollouts:
                task = "longer" if len(rows) < longer else "rollout"
            # Again with the same task: some have a truth less often than others.
            while (row := self._row(task, rng)) is None:
                continue
            rows.append(row)
        return rows

    def _row(self, task: str, rng: np.random.Generator) -> Row | None:
        if task in ("transition", "rollout", "longer"):
            row = self._transition(task, rng)
            return row if row is None or task == "transition" else self._rollout(row, task, rng)
        if task == "inverse":
            return self._inverse(self._windows.draw_step(rng), rng)
        window = self._windows.draw(task, rng)
        asked = sample(task, window.truth, self._config, rng)
        if asked is None:
            return None
        return Row(window.clip_T, asked, window.stream, window.labels_LGG)

    def _transition(self, task: str, rng: np.random.Generator) -> Row | None:
        drawn = self._rare(task, rng) if rng.random() < RARE_SHARE else None
        before, action = drawn or (self._windows.draw_before(rng), None)
        asked = transition_sample(before.state, rng, action)
        if asked is None:
            return None
        return Row(before.clip_T, asked, before.stream, before.labels_LGG)

    def _rare(self, task: str, rng: np.random.Generator) -> tuple[Before, Action] | None:
        """A moment and an action for the sake of rare outcomes; None where there is none.

        With a second action to come, the first makes for a scene in which that has one.
        """
        if task != "longer":
            return self._windows.draw_rare(rng)
        before = self._windows.draw_before(rng)
        actions = leading_to_rare(before.state)
        return (before, actions[int(rng.integers(len(actions)))]) if actions else None

    def _rollout(self, row: Row, task: str, rng: np.random.Generator) -> Row | None:
        """A transition with what is asked of the scene after it."""
        assert row.asked.after is not None
        after = self._windows.scene(row.asked.after, row.stream, rng)
        if task == "rollout":
            then = sample_after(after.truth, self._config, rng)
            return None if then is None else replace(row, after=after, then=then)
        then = transition_sample(after.truth.state, rng)
        if then is None:
            return None
        assert then.after is not None
        last = self._windows.scene(then.after, row.stream, rng)
        return replace(row, after=after, then=then, after_then=last)

    def _inverse(self, step: Step, rng: np.random.Generator) -> Row | None:
        asked = inverse_sample(step.before.state, step.action, self._config, rng)
        return None if asked is None else Row(_joined(step), asked, step.before.stream)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Tokens (B, T, N, D) or pixels (B, T F, C, H, W), as the windows have them, and for the R
        rollouts that come first pixels (R + S, F, C, H, W).

        Those are of the scenes after the first actions, then after the S second ones. Texts have
        B + R rows: what is asked of the imagined scenes comes after what is asked of the clips.
        """
        step, part = divmod(index, self._parts)
        rows = self.rows(step)[part :: self._parts]
        scenes = [row.after for row in rows if row.after is not None]
        scenes += [row.after_then for row in rows if row.after_then is not None]
        asked = [row.asked for row in rows] + [row.then for row in rows if row.then is not None]
        clip_BT = torch.from_numpy(np.stack([row.clip_T for row in rows]))
        pixels = self._windows.pixels
        batch = {"pixels_BTCHW": clip_BT.flatten(1, 2)} if pixels else {"tokens_BTND": clip_BT}
        if scenes:
            batch["after_RFCHW"] = torch.from_numpy(np.stack([s.pixels_FCHW for s in scenes]))
        batch |= text_tensors(self._tokenizer, "query", [s.query for s in asked])
        batch |= target_tensors(self._tokenizer, asked)
        batch |= text_tensors(self._tokenizer, "canonical", [s.canonical for s in asked], eos=True)
        return batch | self._grounding(rows)

    def _grounding(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Where the things lie that queries and answers name, and what lies where after an action.

        `named_BMGG` (by the query), `answered_BMGG` (by the answer) and `order_BGG` (by the caption
        of a scene, from left to right) are of the clip; `colour_after_BGG`, `shape_after_BGG` and
        `stance_after_BGG` of the scene after the action. All are UNKNOWN where nothing is asked.
        B + R rows: the clips, then the scenes that rollouts imagine.
        """
        scenes = [(row.asked, row.labels_LGG, row.stream) for row in rows]
        scenes += [
            (row.then, row.after.labels_LGG, row.stream)
            for row in rows
            if row.then is not None and row.after is not None
        ]
        side = self._windows.grid
        named, answered = (
            np.full((len(scenes), MOST_NAMED, side, side), UNKNOWN, np.uint8) for _ in range(2)
        )
        places = np.full((len(scenes), side, side), UNKNOWN, np.uint8)
        after = np.full((len(scenes), len(LABELS), side, side), UNKNOWN, np.uint8)
        for index, (asked, labels_LGG, stream) in enumerate(scenes):
            if labels_LGG is not None:
                _fill(named, index, named_masks(asked.query, labels_LGG))
                if asked.scene is None:
                    _fill(answered, index, named_masks(asked.canonical, labels_LGG))
                else:
                    places[index] = order(asked.scene, labels_LGG)
            if asked.after is not None:
                after[index] = self._windows.labels_of(asked.after, stream)
        maps = {"named_BMGG": named, "answered_BMGG": answered, "order_BGG": places}
        maps |= {f"{name}_after_BGG": after[:, index] for index, name in enumerate(LABELS)}
        return {name: torch.from_numpy(map_) for name, map_ in maps.items()}


def _fill(
    masks_BMGG: npt.NDArray[np.uint8], index: int, found_MGG: npt.NDArray[np.bool_] | None
) -> None:
    if found_MGG is not None:
        masks_BMGG[index] = found_MGG


def _joined(step: Step) -> Clip:
    """Still before, then still after: one clip, as `Predictor.join` makes it."""
    tubelets = len(step.before.clip_T)
    initial = step.before.clip_T[-1]
    first = tubelets // 2
    return np.stack([initial] * first + [step.after] * (tubelets - first))


def text_tensors(
    tokenizer: Tokenizer, name: str, texts: Sequence[str], eos: bool = False
) -> dict[str, Tensor]:
    ids_BL, mask_BL = tokenizer.encode_batch(texts, MAX_TEXT_TOKENS, eos=eos)
    return {f"{name}_ids_BL": ids_BL, f"{name}_mask_BL": mask_BL}


def target_tensors(tokenizer: Tokenizer, asked: Sequence[Sample]) -> dict[str, Tensor]:
    """Targets, their other wordings and wrong candidates as rows of one list of distinct texts.

    The Y-encoder then reads each text of a batch once: U distinct texts, shortest first.
    """
    reworded = [s.reworded or s.target for s in asked]
    distinct = {text for s in asked for text in (s.target, *s.candidates)} | set(reworded)
    texts = sorted(distinct, key=lambda text: (len(text), text))
    row = {text: index for index, text in enumerate(texts)}
    most = max(1, *(len(s.candidates) for s in asked))
    padded = [[*s.candidates, *[s.target] * (most - len(s.candidates))] for s in asked]
    tensors = text_tensors(tokenizer, "text", texts)
    tensors["target_row_B"] = torch.tensor([row[s.target] for s in asked])
    tensors["reworded_row_B"] = torch.tensor([row[text] for text in reworded])
    tensors["candidate_row_BK"] = torch.tensor(
        [[row[text] for text in texts_] for texts_ in padded]
    )
    tensors["candidate_exists_BK"] = torch.tensor(
        [[index < len(s.candidates) for index in range(most)] for s in asked]
    )
    tensors["key_B"] = torch.tensor([s.key for s in asked])
    return tensors


class ParaphraseBatches(Dataset[dict[str, Tensor]]):
    """Two wordings of one meaning and one-attribute edits of it: the Y-encoder's own lessons."""

    def __init__(self, tokenizer: Tokenizer, batch_size: int, seed: int, parts: int = 1) -> None:
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._seed = seed
        self._parts = parts

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        step, part = divmod(index, self._parts)
        rng = np.random.default_rng([self._seed, step])
        asked = [_paraphrase(rng) for _ in range(self._batch_size)][part :: self._parts]
        batch = text_tensors(self._tokenizer, "query", [s.query for s in asked])
        return batch | target_tensors(self._tokenizer, asked)


SHORT_SHARE = 0.1
PARAPHRASE_EDITS = 3
PARAPHRASE_KINDS = ("action", "action", "action", "scene", "scene", "scene", "idle")


def _paraphrase(rng: np.random.Generator) -> Sample:
    if rng.random() < SHORT_SHARE:
        return _short_text(rng)
    kind = PARAPHRASE_KINDS[int(rng.integers(len(PARAPHRASE_KINDS)))]
    meaning = language.sample_meaning(kind, rng, "train")
    edits = language.edits(meaning, rng, PARAPHRASE_EDITS)
    return Sample(
        query=language.caption(meaning, rng, "train"),
        target=language.caption(meaning, rng, "train"),
        canonical=language.canonical(meaning),
        candidates=tuple(language.caption(edit, rng, "train") for edit in edits),
    )


def _short_text(rng: np.random.Generator) -> Sample:
    """Labels and answers have one wording; they only have to be far from each other."""
    texts = (*language.action_labels(), *language.ANSWERS)
    text, *others = (texts[i] for i in rng.permutation(len(texts))[: PARAPHRASE_EDITS + 1])
    return Sample(text, text, text, tuple(others))
