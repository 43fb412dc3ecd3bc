"""Batches of ⟨window of a stream, query, target⟩ for the predictor, and of texts for the Y-encoder.

Shapes: B rows, T tubelets of a clip, N tokens, D token width, K wrong candidates of a row, U
distinct texts, L text tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.tabletop import language
from training.tabletop.cache import RATE_HZ, CachedEpisode, FrameCache
from training.tabletop.tasks import EDITS, IDLE_SHARE, Sample, TaskMix, sample
from training.tabletop.windows import WindowTruth, truth
from training.tabletop.world import Episode
from vljepa_ros.config import ModelConfig
from vljepa_ros.model.text import Tokenizer

MAX_TEXT_TOKENS = 96
UNDECIDED_SHARE = 0.3
"""Windows whose outcome cannot be seen yet are kept this often: the stream shows them too."""


@dataclass(frozen=True, eq=False)
class Window:
    """Tokens of a clip and what is true at its newest frame."""

    tokens_TND: npt.NDArray[np.generic]
    truth: WindowTruth


class Windows:
    """Random windows of cached streams that suit a task."""

    def __init__(self, cache: FrameCache, episodes: Sequence[CachedEpisode], tubelets: int) -> None:
        self._cache = cache
        self._episodes = [e for e in episodes if e.count // 2 >= tubelets]
        self._tubelets = tubelets
        self._worlds: dict[int, Episode] = {}
        self._tokens: dict[int, npt.NDArray[np.generic]] = {}

    def draw(self, task: str, rng: np.random.Generator) -> Window:
        while True:
            window = self._any(rng)
            if _suits(window.truth, task, rng):
                return window

    def _any(self, rng: np.random.Generator) -> Window:
        cached = self._episodes[int(rng.integers(len(self._episodes)))]
        if cached.seed not in self._worlds:
            self._worlds[cached.seed] = cached.episode()
            self._tokens[cached.seed] = self._read(cached)
        last = int(rng.integers(self._tubelets, cached.count // 2 + 1))
        tokens = self._tokens[cached.seed][last - self._tubelets : last]
        end_s = cached.first_s + (2 * last - 1) / RATE_HZ
        return Window(tokens, truth(self._worlds[cached.seed], end_s))

    def _read(self, cached: CachedEpisode) -> npt.NDArray[np.generic]:
        """An episode's tokens, copied: small random reads of a mapped file wait for the disk."""
        first = cached.start // 2
        tokens = self._cache.shards[cached.shard].tokens
        return np.array(tokens[first : first + cached.count // 2])


def _suits(seen: WindowTruth, task: str, rng: np.random.Generator) -> bool:
    if task not in ("action_caption", "label"):
        return True
    if not seen.decided and rng.random() > UNDECIDED_SHARE:
        return False
    idle = seen.segment.action is None
    return not idle or bool(rng.random() < IDLE_SHARE)


class WindowBatches(Dataset[dict[str, Tensor]]):
    """The batch of a step, a pure function of (seed, step)."""

    def __init__(
        self,
        windows: Windows,
        tokenizer: Tokenizer,
        config: ModelConfig,
        mix: TaskMix,
        batch_size: int,
        seed: int,
    ) -> None:
        self._windows = windows
        self._tokenizer = tokenizer
        self._config = config
        self._mix = mix
        self._batch_size = batch_size
        self._seed = seed

    def samples(self, step: int) -> list[tuple[Window, Sample]]:
        rng = np.random.default_rng([self._seed, step])
        rows: list[tuple[Window, Sample]] = []
        while len(rows) < self._batch_size:
            task = self._mix.draw(rng)
            window = self._windows.draw(task, rng)
            asked = sample(task, window.truth, self._config, rng)
            if asked is not None:
                rows.append((window, asked))
        return rows

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        rows = self.samples(step)
        asked = [s for _, s in rows]
        tokens = np.stack([w.tokens_TND for w, _ in rows])
        batch = {"tokens_BTND": torch.from_numpy(tokens)}
        batch |= text_tensors(self._tokenizer, "query", [s.query for s in asked])
        batch |= target_tensors(self._tokenizer, asked)
        batch |= text_tensors(self._tokenizer, "canonical", [s.canonical for s in asked], eos=True)
        return batch


def text_tensors(
    tokenizer: Tokenizer, name: str, texts: Sequence[str], eos: bool = False
) -> dict[str, Tensor]:
    ids_BL, mask_BL = tokenizer.encode_batch(texts, MAX_TEXT_TOKENS, eos=eos)
    return {f"{name}_ids_BL": ids_BL, f"{name}_mask_BL": mask_BL}


def target_tensors(tokenizer: Tokenizer, asked: Sequence[Sample]) -> dict[str, Tensor]:
    """Targets and wrong candidates as rows of one list of distinct texts, and the keys.

    The Y-encoder then reads each text of a batch once: U distinct texts, shortest first.
    """
    distinct = {text for s in asked for text in (s.target, *s.candidates)}
    texts = sorted(distinct, key=lambda text: (len(text), text))
    row = {text: index for index, text in enumerate(texts)}
    most = max(1, *(len(s.candidates) for s in asked))
    padded = [[*s.candidates, *[s.target] * (most - len(s.candidates))] for s in asked]
    tensors = text_tensors(tokenizer, "text", texts)
    tensors["target_row_B"] = torch.tensor([row[s.target] for s in asked])
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

    def __init__(self, tokenizer: Tokenizer, batch_size: int, seed: int) -> None:
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._seed = seed

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, step])
        asked = [_paraphrase(rng) for _ in range(self._batch_size)]
        batch = text_tensors(self._tokenizer, "query", [s.query for s in asked])
        return batch | target_tensors(self._tokenizer, asked)


SHORT_SHARE = 0.1
PARAPHRASE_KINDS = ("action", "action", "action", "scene", "scene", "scene", "idle")


def _paraphrase(rng: np.random.Generator) -> Sample:
    if rng.random() < SHORT_SHARE:
        return _short_text(rng)
    kind = PARAPHRASE_KINDS[int(rng.integers(len(PARAPHRASE_KINDS)))]
    meaning = language.sample_meaning(kind, rng, "train")
    edits = language.edits(meaning, rng, EDITS)
    return Sample(
        query=language.caption(meaning, rng, "train"),
        target=language.caption(meaning, rng, "train"),
        canonical=language.canonical(meaning),
        candidates=tuple(language.caption(edit, rng, "train") for edit in edits),
    )


def _short_text(rng: np.random.Generator) -> Sample:
    """Labels and answers have one wording; they only have to be far from each other."""
    texts = (*language.action_labels(), *language.ANSWERS)
    text, *others = (texts[i] for i in rng.permutation(len(texts))[: EDITS + 1])
    return Sample(text, text, text, tuple(others))
