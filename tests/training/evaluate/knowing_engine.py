"""An engine that knows the simulated world, and one that guesses: bounds of every score.

A clip's tokens are the number of what it shows, so that nothing is rendered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256

import numpy as np
import torch

from training.evaluate.observe import Observed
from training.tabletop import language
from training.tabletop.actions import Action, next_state, possible_actions
from training.tabletop.meaning import Meaning, action_meaning
from training.tabletop.questions import questions
from training.tabletop.state import SceneState
from training.tabletop.tasks import LABEL_QUERY
from training.tabletop.windows import WindowTruth, still_truth, truth
from training.tabletop.world import Episode
from vljepa_ros.model import presets
from vljepa_ros.model.engine import Embeddings, Tokens
from vljepa_ros.model.imagined import Imagined

WIDTH = 256
DRAWS = 300
"""Questions of each scene are drawn so often: every one that can be asked is among them."""


@cache
def meaning_of(text: str) -> Meaning | str:
    return language.parse(text) or text


@cache
def embedding(meaning: Meaning | str) -> Embeddings:
    """(E,): all wordings of one meaning have the same."""
    seed = int.from_bytes(sha256(repr(meaning).encode()).digest()[:8], "little")
    vector_E = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return vector_E / np.linalg.norm(vector_E)


@dataclass(frozen=True, eq=False)
class Pair:
    before: SceneState
    after: SceneState


class KnowingEngine:
    """What `Engine` offers to scores, answered by the simulator."""

    has_decoder = can_imagine = True
    embedding_width = WIDTH
    config = replace(presets.tiny(), clip_frames=8)

    def __init__(self) -> None:
        self._shown: list[WindowTruth | Pair] = []

    def show(self, what: WindowTruth | Pair) -> Tokens:
        """Tokens (T', N, D) of a clip of it."""
        self._shown.append(what)
        return torch.full((1, 1, 1), float(len(self._shown) - 1))

    def observed(self, worlds: Sequence[Episode], still: bool) -> list[Observed]:
        """The end of every action, or the middle of every still stretch."""
        found = []
        for index, episode in enumerate(worlds):
            for segment in episode.segments:
                if (segment.action is None) == still:
                    end_s = (segment.onset_s + segment.end_s) / 2 if still else segment.end_s - 1e-3
                    about = truth(episode, end_s)
                    found.append(Observed(index, self.show(about), about))
        return found

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        return np.stack([embedding(meaning_of(text)) for text in texts])

    def predict(self, tokens_BTND: Tokens, queries: Sequence[str]) -> Embeddings:
        numbers = tokens_BTND.reshape(len(queries), -1)[:, 0].int().tolist()
        pairs = zip(numbers, queries, strict=True)
        return np.stack([embedding(self.answer(self._shown[n], query)) for n, query in pairs])

    def answer(self, shown: WindowTruth | Pair, query: str) -> Meaning | str:
        """What is true; nothing where the query makes no sense."""
        if isinstance(shown, Pair):
            return _between(shown)
        if query == self.config.caption_query:
            return shown.action_meaning
        if query == self.config.scene_query:
            return shown.scene_meaning or ""
        if query == LABEL_QUERY:
            return meaning_of(shown.action_label or "")
        return meaning_of(_asked(shown).get(query, ""))

    def decode(self, embeddings_RE: Embeddings) -> list[str]:
        """The plain sentence of the nearest of what was shown."""
        shown = [one for one in self._shown if isinstance(one, WindowTruth)]
        known = {meaning for one in shown for meaning in (one.action_meaning, one.scene_meaning)}
        texts = [language.canonical(meaning) for meaning in known if meaning is not None]
        return [texts[i] for i in (embeddings_RE @ self.encode_texts(texts).T).argmax(axis=1)]

    def join_states(self, before_BTND: Tokens, after_BTND: Tokens) -> Tokens:
        states = [self._shown[int(t.flatten()[0])] for t in (before_BTND, after_BTND)]
        assert all(isinstance(state, WindowTruth) for state in states)
        before, after = (state.state for state in states if isinstance(state, WindowTruth))
        return self.show(Pair(before, after))[None]

    def imagine(self, tokens_BTND: Tokens, actions: Sequence[str]) -> Imagined:
        embeddings, tokens = [], []
        for tokens_TND, text in zip(tokens_BTND, actions, strict=True):
            shown, said = self._shown[int(tokens_TND.flatten()[0])], language.parse(text)
            assert isinstance(shown, WindowTruth) and said is not None
            meaning, after = _outcome(shown.state, Action(said.action, said.target))
            embeddings.append(embedding(meaning))
            tokens.append(self.show(still_truth(after)))
        none = np.zeros(len(actions), np.float32)
        pooled = torch.zeros(len(actions), 1)
        return Imagined(np.stack(embeddings), torch.stack(tokens), pooled, none, none)


class BlindEngine(KnowingEngine):
    """Guesses, whatever is shown and asked."""

    def predict(self, tokens_BTND: Tokens, queries: Sequence[str]) -> Embeddings:
        return self._guesses(len(queries))

    def imagine(self, tokens_BTND: Tokens, actions: Sequence[str]) -> Imagined:
        found = super().imagine(tokens_BTND, actions)
        return replace(found, embeddings=self._guesses(len(actions)))

    def _guesses(self, count: int) -> Embeddings:
        rng = np.random.default_rng([len(self._shown), count])
        guesses_RE = rng.normal(size=(count, WIDTH)).astype(np.float32)
        return guesses_RE / np.linalg.norm(guesses_RE, axis=1, keepdims=True)


def _outcome(state: SceneState, action: Action) -> tuple[Meaning | str, SceneState]:
    """Nothing where the scene has no such thing, as when clips are shuffled."""
    try:
        after, result = next_state(state, action)
    except ValueError:
        return "", state
    return action_meaning(state, action, result), after


def _between(pair: Pair) -> Meaning | str:
    """The instruction that leads from one state to the other, nearest by where things are."""

    def off(action: Action) -> float:
        after = next_state(pair.before, action)[0]
        moved = sum(
            abs(a.x - b.x) + abs(a.y - b.y) + abs(a.z - b.z) + 10 * abs(a.tilt - b.tilt)
            for a, b in zip(after.objects, pair.after.objects, strict=True)
        )
        hand, there = after.gripper, pair.after.gripper
        reached = abs(hand.x - there.x) + abs(hand.y - there.y) + abs(hand.z - there.z)
        return moved + reached + abs(after.drawer - pair.after.drawer)

    return meaning_of(language.action_instruction(min(possible_actions(pair.before), key=off)))


@cache
def _asked(about: WindowTruth) -> dict[str, str]:
    """Every question that can be asked of it, with its answer."""
    rng = np.random.default_rng(0)
    drawn = (question for _ in range(DRAWS) for question in questions(about, rng))
    return {question.text: question.answer for question in drawn}
