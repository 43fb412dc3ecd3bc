"""Frames of a camera become semantic states, and events where there is something to say.

The way of a frame: prepared once (resized, cropped) → clip buffer → tokens (each tubelet encoded
once) → predictor(query) → embedding → segmenter → a state, always, and a decoded caption when the
last one no longer holds. Several cameras go this way side by side, each through its own
`Perceiver`; the model sees their clips as one batch (`perceive`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.stream.clip_buffer import Added, ClipBuffer
from vljepa_ros.stream.segmenter import Decision
from vljepa_ros.stream.speaker import Speaker
from vljepa_ros.stream.token_cache import TokenCache, tokens_of
from vljepa_ros.types import (
    Clip,
    EmbeddingE,
    EventReason,
    Frame,
    SemanticEvent,
    SemanticState,
    Step,
)


@dataclass(frozen=True)
class _Question:
    query: str
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Look:
    """What a step asks, and of which clip."""

    clip: Clip
    question: _Question


class Perceiver:
    """One camera's stream. `add` and `step` belong to one thread; the rest to any.

    State ids count from 1 and never repeat in the life of this object, whatever resets; pass
    `last_state_id` to count on where an earlier perceiver of the same camera stopped.
    """

    def __init__(
        self, engine: Engine, config: PerceptionConfig, camera: str = "", *, last_state_id: int = 0
    ) -> None:
        """
        Raises:
            TextError: the configured query or a label cannot be read as text.
        """
        self.camera = camera or config.camera
        self._engine = engine
        model = engine.config
        self._buffer = ClipBuffer(
            model.clip_frames,
            model.clip_rate_hz,
            pass_frames=model.x_encoder.frames_per_pass,
        )
        self._tokens = TokenCache(engine)
        self._speaker = Speaker(engine, config.selective)
        self._state_id = last_state_id
        self._previous_id = last_state_id
        self._state_since_ns = 0
        self._reset_asked = False
        self._latest: Step | None = None
        self._latest_BTND: Tokens | None = None
        self._question = self._checked(config.query or model.caption_query, config.labels)
        self._next_question: _Question | None = None

    @property
    def state_id(self) -> int:
        """Id of the present state; 0 before the first."""
        return self._state_id

    @property
    def latest(self) -> Step | None:
        """The newest step, None before the first and after a reset."""
        return self._latest

    @property
    def tokens_BTND(self) -> Tokens | None:
        """Tokens (1, T', N, D) of the clip that the newest step saw; for the thread of `step`."""
        return self._latest_BTND

    @property
    def query(self) -> str:
        """The query that the next step answers."""
        return (self._next_question or self._question).query

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the next step scores."""
        return (self._next_question or self._question).labels

    @property
    def frame_counts(self) -> Mapping[Added, int]:
        """What became of the frames so far."""
        return self._buffer.counts

    def set_query(self, query: str, labels: Sequence[str] = ()) -> None:
        """Ask something else from the next step on; it opens a new state (REQUEST).

        Raises:
            TextError: the query or a label cannot be read as text; the old question stays.
        """
        self._next_question = self._checked(query, labels)

    def set_selective(self, config: SelectiveConfig) -> None:
        """Other thresholds from the next step on; the state goes on."""
        self._speaker.set_config(config)

    def reset(self) -> None:
        """Forget frames and meaning before the next frame; the query and the ids stay."""
        self._reset_asked = True
        self._latest = None
        self._latest_BTND = None

    def add(self, frame: Frame) -> Added:
        """Take a frame without running the model; ignored ones are told and counted."""
        if self._reset_asked:
            self._reset_asked = False
            self._buffer.reset()
            self._forget(meaning=True)
        outcome = self._buffer.check(frame.stamp_ns)
        if outcome.accepted:
            frame = Frame(frame.stamp_ns, self._engine.prepare(frame.image_HWC), frame.frame_id)
        outcome = self._buffer.add(frame)
        if outcome.restarted:
            # After a silence the same scene is no news; after time ran back everything is.
            self._forget(meaning=outcome is Added.RESTARTED_BACKWARD)
        return outcome

    def step(self, frame: Frame) -> Step | None:
        """Take a frame and run the model on the clip that it ends; None if it was ignored."""
        return self.perceive() if self.add(frame).accepted else None

    def perceive(self) -> Step | None:
        """Run the model on the newest clip; None where there is no frame, or nothing new."""
        return perceive([self])[0]

    def caption_now(self) -> tuple[SemanticState, str] | None:
        """The newest state and its caption, decoded on demand; None before the first."""
        latest = self._latest
        if latest is None:
            return None
        if latest.event is not None:
            return latest.state, latest.event.caption
        return latest.state, self._engine.decode(latest.state.embedding_E[None])[0]

    # --- a step, in the order of its parts: see `perceive` below -------------------------------

    def _look(self) -> _Look | None:
        """What the next step asks; None where there is no frame, or nothing new."""
        clip = self._buffer.clip()
        if clip is None or self._reset_asked:
            return None
        asked, self._next_question = self._next_question, None
        if asked is not None:
            self._question = asked
            self._speaker.request()
        elif self._latest is not None and self._latest.state.stamp_ns == clip.stamp_ns:
            return None
        return _Look(clip, self._question)

    def _judge(
        self, look: _Look, embedding_E: EmbeddingE, tokens_BTND: Tokens
    ) -> tuple[SemanticState, EventReason | None]:
        """The state, and why to speak of it if there is something to say."""
        clip, question = look.clip, look.question
        labels = self._engine.score_labels(embedding_E, question.labels)
        novelty = float(self._engine.scene_novelty(tokens_BTND)[0])
        decision = self._speaker.judge(clip.stamp_ns, embedding_E, novelty)
        self._count(decision, clip.stamp_ns)
        state = SemanticState(
            stamp_ns=clip.stamp_ns,
            frame_id=clip.frame_id,
            camera=self.camera,
            clip_start_ns=clip.start_ns,
            query=question.query,
            embedding_E=embedding_E,
            labels=labels,
            state_id=self._state_id,
            state_since_ns=self._state_since_ns,
            changed=decision.changed,
            change_score=decision.score,
            change_threshold=decision.threshold,
            scene_novelty=novelty,
        )
        return state, decision.reason

    def _conclude(self, step: Step, tokens_BTND: Tokens) -> Step:
        self._latest, self._latest_BTND = step, tokens_BTND
        return step

    def _count(self, decision: Decision, stamp_ns: int) -> None:
        if decision.changed:
            self._previous_id = self._state_id
            self._state_id += 1
            self._state_since_ns = stamp_ns

    def _event(self, state: SemanticState, reason: EventReason, caption: str) -> SemanticEvent:
        self._speaker.say(caption, state.embedding_E)
        return SemanticEvent(
            stamp_ns=state.stamp_ns,
            frame_id=state.frame_id,
            camera=state.camera,
            state_id=state.state_id,
            previous_state_id=self._previous_id,
            reason=reason,
            query=state.query,
            caption=caption,
            caption_score=self._engine.caption_score(caption, state.embedding_E),
            labels=state.labels,
            embedding_E=state.embedding_E,
            change_score=state.change_score,
        )

    def _forget(self, *, meaning: bool) -> None:
        self._tokens.clear()
        if meaning:
            self._speaker.reset()
            self._latest = self._latest_BTND = None

    def _checked(self, query: str, labels: Sequence[str]) -> _Question:
        self._engine.check_query(query)
        self._engine.encode_texts(labels)
        return _Question(query, tuple(labels))


def perceive(perceivers: Sequence[Perceiver]) -> list[Step | None]:
    """One step of each of these cameras, which share an engine, in their order.

    Each part of the model runs once on all their newest clips: X-encoder, predictor, and the
    Y-decoder for those that have something to say. None where a camera has no frame or nothing new.
    """
    looks = [perceiver._look() for perceiver in perceivers]
    seeing = [(p, look) for p, look in zip(perceivers, looks, strict=True) if look is not None]
    steps = iter(_steps(seeing) if seeing else [])
    return [None if look is None else next(steps) for look in looks]


def _steps(seeing: Sequence[tuple[Perceiver, _Look]]) -> list[Step]:
    engine = seeing[0][0]._engine
    clips_1TND = tokens_of([p._tokens for p, _ in seeing], [look.clip for _, look in seeing])
    embeddings_BE = engine.predict(
        engine.join_clips(clips_1TND), [look.question.query for _, look in seeing]
    )
    judged = [
        perceiver._judge(look, embedding_E, clip_1TND)
        for (perceiver, look), embedding_E, clip_1TND in zip(
            seeing, embeddings_BE, clips_1TND, strict=True
        )
    ]
    spoken = [state.embedding_E for state, reason in judged if reason is not None]
    captions = iter(engine.decode(np.stack(spoken)) if spoken else [])
    steps = []
    for (perceiver, _), clip_1TND, (state, reason) in zip(seeing, clips_1TND, judged, strict=True):
        event = None if reason is None else perceiver._event(state, reason, next(captions))
        steps.append(perceiver._conclude(Step(state, event), clip_1TND))
    return steps
