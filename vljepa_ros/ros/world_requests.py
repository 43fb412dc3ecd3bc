"""Requests to the world state: message in, answer out, batch by batch.

Each method checks its request at once, on the caller's thread, and returns the work that the
worker's thread does: a generator that yields after each batch of the model, so that perception may
have its turn. Imports torch.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from vljepa_ros import action, msg, srv
from vljepa_ros.fields import NS_PER_S, text_field
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.text import TextError
from vljepa_ros.ros import conversions
from vljepa_ros.ros import world_checks as checks
from vljepa_ros.ros.requests import RequestError, Work, known_camera
from vljepa_ros.types import EmbeddingE
from vljepa_ros.world.history import History, HistoryError, Moment
from vljepa_ros.world.memory import Memory
from vljepa_ros.world.rollout import Rollout
from vljepa_ros.world.world_model import Transition, WorldModel

BATCH = 64
"""Actions or texts that are worked on at once: what a request delays perception by."""
CAPTION_BATCH = 16
"""The same where words must be found, which takes a pass for each token."""

DEFAULT_ENTRIES = 10
"""What a search of the memory returns where the request does not say."""

A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """The best sequence so far."""

    best: msg.ActionSequence
    """Empty before the first."""
    goal_similarity: float
    evaluated: int


class Search:
    """One rollout: its work, and the ranking so far, to be read while no batch is under way."""

    def __init__(
        self,
        sequences: Sequence[msg.ActionSequence],
        begin: Callable[[], Rollout],
    ) -> None:
        """`begin` looks up the state and the goal; it runs on the worker's thread."""
        self._sequences = sequences
        self._begin = begin
        self._rollout: Rollout | None = None

    def work(self) -> Work[Found, None]:
        """Imagine to the end, or until nobody takes the next step."""
        self._rollout = self._begin()
        going_on = True
        while going_on:
            going_on = self._rollout.step()
            yield self._found(self._rollout)

    def result(self) -> action.RolloutTransitions.Result:
        """The ranking so far, without status."""
        ranked = self._rollout.ranked() if self._rollout is not None else []
        return action.RolloutTransitions.Result(
            ranked=[self._sequences[r.index] for r in ranked],
            goal_similarity=array("f", [float(r.goal_similarity) for r in ranked]),
            uncertainty=array("f", [float(r.uncertainty) for r in ranked]),
        )

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        evaluated = self._rollout.evaluated if self._rollout is not None else 0
        return f"{evaluated} of {len(self._sequences)} sequences were followed to their end"

    def _found(self, rollout: Rollout) -> Found:
        best = rollout.best()
        if best is None:
            return Found(msg.ActionSequence(), float("nan"), int(rollout.evaluated))
        return Found(
            self._sequences[best.index], float(best.goal_similarity), int(rollout.evaluated)
        )


class WorldRequests:
    """One model and the states it saw; every request names its camera."""

    def __init__(
        self,
        engine: Engine,
        history: History,
        memory: Memory,
        action_types: Sequence[str],
        now_ns: Callable[[], int],
    ) -> None:
        """`now_ns`: ROS time, from which the age of a state is taken."""
        self._engine = engine
        self._world = WorldModel(engine)
        self._history = history
        self._memory = memory
        self._now_ns = now_ns
        self._space = checks.Space(engine.space_id, engine.embedding_width, tuple(action_types))

    def time_for(self, request: Any) -> float:
        """The deadline that a request gives [s]; 0 where it has none.

        Raises:
            RequestError: it is negative or absurd.
        """
        if not hasattr(request, "deadline"):
            return 0.0
        return checks.checked_length_ns(request.deadline, "deadline") / NS_PER_S

    # --- the requests: checked at once, RequestError if they cannot be answered -----------------

    def query_transitions(
        self, request: srv.QueryTransitions.Request
    ) -> Work[None, srv.QueryTransitions.Response]:
        """What would each action lead to?"""
        camera = known_camera(request.camera, self._history.cameras)
        checks.check_count(request.actions, "actions")
        actions = self._space.actions(request.actions)
        checks.check_ids((a.id for a in request.actions), "actions")
        goal = self._space.goal(request.goal_text, request.goal_embedding)
        max_age_ns = checks.checked_length_ns(request.max_state_age, "max_state_age")
        return _refusing(self._transitions(request, camera, actions, goal, max_age_ns))

    def explain_transition(
        self, request: srv.ExplainTransition.Request
    ) -> Work[None, srv.ExplainTransition.Response]:
        """Which action leads from one seen state to another?"""
        camera = known_camera(request.camera, self._history.cameras)
        checks.check_count(request.actions, "actions")
        actions = self._space.actions(request.actions)
        checks.check_ids((a.id for a in request.actions), "actions")
        return _refusing(self._explanation(request, camera, actions))

    def query_world_state(
        self, request: srv.QueryWorldState.Request
    ) -> Work[None, srv.QueryWorldState.Response]:
        """Which of these is true?"""
        camera = known_camera(request.camera, self._history.cameras)
        candidates = checks.checked_texts(request.candidates, "candidates")
        if request.question:
            checks.checked_text(request.question, "question")
        max_age_ns = checks.checked_length_ns(request.max_state_age, "max_state_age")
        return _refusing(self._answer(request, camera, candidates, max_age_ns))

    def encode_text(self, request: srv.EncodeText.Request) -> Work[None, srv.EncodeText.Response]:
        """Texts to embeddings."""
        return _refusing(self._embeddings(checks.checked_texts(request.texts, "texts")))

    def decode_embedding(
        self, request: srv.DecodeEmbedding.Request
    ) -> Work[None, srv.DecodeEmbedding.Response]:
        """Embeddings to texts."""
        checks.check_count(request.embeddings, "embeddings")
        embeddings = [
            self._space.embedding(e, f"embeddings[{at}]") for at, e in enumerate(request.embeddings)
        ]
        if not self._engine.has_decoder:
            raise RequestError(
                msg.Status.INVALID_REQUEST,
                "this model has no Y-decoder (EmbeddingInfo.has_decoder), so no words; compare "
                "embeddings with those of texts, see encode_text",
            )
        return self._captions(embeddings)

    def query_memory(
        self, request: srv.QueryMemory.Request
    ) -> Work[None, srv.QueryMemory.Response]:
        """When was that seen?"""
        camera = request.camera and known_camera(request.camera, self._history.cameras)
        wanted = self._space.goal(request.text, request.embedding, ("text", "embedding"))
        if wanted is None:
            raise RequestError(
                msg.Status.INVALID_REQUEST,
                "there is nothing to look for; set exactly one of text and embedding",
            )
        start_ns, end_ns = checks.checked_range_ns(request.start, request.end)
        if request.k > checks.MAX_ITEMS:
            raise RequestError(
                msg.Status.TOO_MANY,
                f"k is {request.k}, at most {checks.MAX_ITEMS} entries are returned; ask for fewer",
            )
        k = int(request.k) or DEFAULT_ENTRIES
        return _refusing(self._memories(camera, wanted, start_ns, end_ns, k))

    def rollout_transitions(
        self, goal: action.RolloutTransitions.Goal
    ) -> tuple[Search, Work[Found, None]]:
        """Which sequence of actions comes closest to the goal?"""
        camera = known_camera(goal.camera, self._history.cameras)
        checks.check_count(goal.sequences, "sequences", checks.MAX_SEQUENCES)
        checks.check_ids((s.id for s in goal.sequences), "sequences")
        sequences = [
            self._sequence(s, f"sequences[{at}].actions") for at, s in enumerate(goal.sequences)
        ]
        if goal.max_depth > checks.MAX_DEPTH:
            raise RequestError(
                msg.Status.TOO_MANY,
                f"max_depth is {goal.max_depth}, at most {checks.MAX_DEPTH} steps are imagined; "
                "0 = all of each sequence",
            )
        wanted = self._space.goal(goal.goal_text, goal.goal_embedding)
        if wanted is None:
            raise RequestError(
                msg.Status.INVALID_REQUEST,
                "there is no goal; set exactly one of goal_text and goal_embedding",
            )

        def begin() -> Rollout:
            moment = self._moment(camera, goal.state_id)
            return self._world.rollout(
                moment.tokens_BTND,
                sequences,
                self._goal(wanted),
                beam_width=int(goal.beam_width),
                max_depth=int(goal.max_depth),
            )

        search = Search(goal.sequences, begin)
        return search, _refusing(search.work())

    def _sequence(self, sequence: msg.ActionSequence, name: str) -> list[str]:
        checks.check_count(sequence.actions, name, checks.MAX_DEPTH)
        return self._space.actions(sequence.actions, name)

    # --- the work: on the worker's thread -------------------------------------------------------

    def _transitions(
        self,
        request: srv.QueryTransitions.Request,
        camera: str,
        actions: Sequence[str],
        goal: str | EmbeddingE | None,
        max_age_ns: int,
    ) -> Work[None, srv.QueryTransitions.Response]:
        moment = self._moment(camera, request.state_id, max_age_ns)
        goal_E = None if goal is None else self._goal(goal)
        found: list[Transition] = []
        for some in _batches(actions, BATCH):
            if found:
                yield
            found += yield from self._world.transitions_by_pass(
                moment.tokens_BTND, some, goal_E=goal_E
            )
        if request.return_captions:
            for at in range(0, len(found), CAPTION_BATCH):
                yield
                found[at : at + CAPTION_BATCH] = self._said(found[at : at + CAPTION_BATCH])
        space_id = self._engine.space_id
        return srv.QueryTransitions.Response(
            state_header=conversions.header_message(moment.stamp_ns, moment.frame_id),
            state_id=moment.state_id,
            space_id=space_id,
            predictions=[
                conversions.prediction_message(
                    asked.id, transition, space_id if request.return_embeddings else None
                )
                for asked, transition in zip(request.actions, found, strict=True)
            ],
        )

    def _said(self, transitions: Sequence[Transition]) -> list[Transition]:
        captions = self._engine.decode(np.stack([t.embedding_E for t in transitions]))
        return [replace(t, caption=c) for t, c in zip(transitions, captions, strict=True)]

    def _explanation(
        self, request: srv.ExplainTransition.Request, camera: str, actions: Sequence[str]
    ) -> Work[None, srv.ExplainTransition.Response]:
        initial = self._moment(camera, request.initial_state_id)
        final = self._moment(camera, request.final_state_id)
        if initial.state_id > final.state_id:
            raise RequestError(
                msg.Status.INVALID_REQUEST,
                f"initial_state_id {initial.state_id} is later than final_state_id "
                f"{final.state_id}; exchange them",
            )
        yield from self._known(actions)
        scores = self._world.explain(initial.tokens_BTND, final.tokens_BTND, actions)
        named = [replace(s, label=a.id) for s, a in zip(scores, request.actions, strict=True)]
        return srv.ExplainTransition.Response(scores=conversions.label_messages(named))

    def _answer(
        self,
        request: srv.QueryWorldState.Request,
        camera: str,
        candidates: Sequence[str],
        max_age_ns: int,
    ) -> Work[None, srv.QueryWorldState.Response]:
        moment = self._moment(camera, request.state_id, max_age_ns)
        yield from self._known(candidates)
        scores = self._world.answer(moment.tokens_BTND, request.question, candidates)
        return srv.QueryWorldState.Response(
            scores=conversions.label_messages(scores),
            state_header=conversions.header_message(moment.stamp_ns, moment.frame_id),
            state_id=moment.state_id,
        )

    def _known(self, texts: Sequence[str]) -> Work[None, None]:
        """Embed all but the last batch of texts, so that the engine has them at hand."""
        for some in list(_batches(texts, BATCH))[:-1]:
            self._engine.encode_texts(some)
            yield

    def _embeddings(self, texts: Sequence[str]) -> Work[None, srv.EncodeText.Response]:
        found: list[EmbeddingE] = []
        for some in _batches(texts, BATCH):
            if found:
                yield
            found += list(self._engine.encode_texts(some))
        space_id = self._engine.space_id
        return srv.EncodeText.Response(
            embeddings=[conversions.embedding_message(e, space_id) for e in found]
        )

    def _captions(
        self, embeddings: Sequence[EmbeddingE]
    ) -> Work[None, srv.DecodeEmbedding.Response]:
        captions: list[str] = []
        scores: list[float] = []
        for some in _batches(embeddings, CAPTION_BATCH):
            if captions:
                yield
            said = self._engine.decode(np.stack(some))
            captions += [text_field(caption) for caption in said]
            scores += [
                float(self._engine.caption_score(caption, embedding_E))
                for caption, embedding_E in zip(said, some, strict=True)
            ]
        return srv.DecodeEmbedding.Response(captions=captions, scores=array("f", scores))

    def _memories(
        self, camera: str, wanted: str | EmbeddingE, start_ns: int, end_ns: int, k: int
    ) -> Work[None, srv.QueryMemory.Response]:
        wanted_E = self._goal(wanted)
        found = yield from self._memory.search(
            wanted_E, camera=camera, start_ns=start_ns, end_ns=end_ns, k=k
        )
        response = srv.QueryMemory.Response(entries=[conversions.memory_message(s) for s in found])
        if isinstance(wanted, str):
            response.status.error_msg = text_field(self._engine.warning_about(wanted))
        return response

    def _goal(self, goal: str | EmbeddingE) -> EmbeddingE:
        if not isinstance(goal, str):
            return goal
        goal_E: EmbeddingE = self._engine.encode_texts([goal])[0]
        return goal_E

    def _moment(self, camera: str, state_id: int, max_age_ns: int = 0) -> Moment:
        """The state asked for, no older than that; 0 = any age."""
        moment = self._history.get(camera, state_id)
        age_ns = self._now_ns() - moment.stamp_ns
        if max_age_ns and age_ns > max_age_ns:
            raise RequestError(
                msg.Status.STALE_STATE,
                f"state {moment.state_id} was seen {age_ns / 1e9:.3f} s ago, max_state_age is "
                f"{max_age_ns / 1e9:g} s; allow more, or see whether camera {camera!r} still sends",
            )
        return moment


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _refusing(work: Work[Any, A]) -> Work[Any, A]:
    """The same work; what it cannot find or read is the client's to mend."""
    try:
        return (yield from work)
    except HistoryError as error:
        raise RequestError(msg.Status.NO_STATE, str(error)) from error
    except TextError as error:
        raise RequestError(msg.Status.INVALID_REQUEST, str(error)) from error
