"""The same without ROS and in no real time: table, perception and model in one process.

For tuning: `--offline` of `python -m examples.planner`.
"""

from __future__ import annotations

from collections.abc import Sequence

from examples.planner.goals import SPLIT
from examples.planner.mind import AskingMind
from examples.planner.planner import STILL_S
from examples.planner.search import Plan
from examples.tabletop_world.skills import SkillError
from examples.tabletop_world.table import Table
from training.tabletop.state import SceneState
from vljepa_ros.config import PerceptionConfig
from vljepa_ros.model.engine import Embeddings, Engine, Tokens
from vljepa_ros.stream.perceiver import Perceiver
from vljepa_ros.types import EmbeddingE, Frame
from vljepa_ros.world.world_model import WorldModel

SIZE_HW = 240, 320
PERIOD_NS = 200_000_000
"""Of the camera: as fast as perception runs in the demo."""
STILL_NS = round(STILL_S * 1e9)


class OfflineWorld:
    """The robot, its camera and perception (`planner.Body`), and the judge."""

    def __init__(self, model_path: str) -> None:
        """
        Raises:
            CheckpointError: a model that cannot be used.
        """
        self.engine = Engine.load(model_path, threads=1)
        self._perceiver = Perceiver(self.engine, PerceptionConfig())
        self._now_ns = PERIOD_NS
        self._captions: list[str] = []

    def show(self, seed: int) -> SceneState:
        """Put the scene of a seed on the table."""
        self._table = Table(seed, SPLIT)
        self._perceiver.reset()
        return self.truth()

    def truth(self) -> SceneState:
        return self._table.rest

    @property
    def tokens_BTND(self) -> Tokens:
        """What the newest clip shows."""
        tokens_BTND = self._perceiver.tokens_BTND
        if tokens_BTND is None:
            raise RuntimeError("nothing was seen yet; let the planner arrive first")
        return tokens_BTND

    def arrive(self) -> Sequence[str]:
        self._watch(STILL_NS)
        return self._table.skills

    def do(self, action: str) -> str:
        self._captions.clear()
        try:
            self._table.act(action, self._now_ns / 1e9)
        except SkillError as error:
            return str(error)
        while not self._table.advance(self._now_ns / 1e9):
            self._watch(PERIOD_NS)
        return ""

    def seen(self) -> tuple[str, ...]:
        self._watch(STILL_NS)
        return tuple(self._captions)

    def _watch(self, length_ns: int) -> None:
        end_ns = self._now_ns + length_ns
        while self._now_ns < end_ns:
            self._now_ns += PERIOD_NS
            image_HWC = self._table.picture(self._now_ns / 1e9, SIZE_HW)
            step = self._perceiver.step(Frame(self._now_ns, image_HWC))
            if step is not None and step.event is not None and step.event.caption:
                self._captions.append(step.event.caption)


class EngineMind(AskingMind):
    """Asks the engine what the node would ask it."""

    def __init__(self, world: OfflineWorld) -> None:
        self._world = world
        self._model = WorldModel(world.engine)

    def foresee(self, skills: Sequence[str]) -> dict[str, str]:
        imagined = self._world.engine.imagine(self._world.tokens_BTND, skills)
        return dict(zip(skills, self._world.engine.decode(imagined.embeddings), strict=True))

    def choose(self, question: str, answers: Sequence[str]) -> dict[str, float]:
        scores = self._model.answer(self._world.tokens_BTND, question, answers)
        return {score.label: float(score.probability) for score in scores}

    def _embeddings(self, texts: Sequence[str]) -> Embeddings:
        return self._world.engine.encode_texts(texts)

    def _roll_out(
        self, plans: Sequence[Plan], goal: str | EmbeddingE
    ) -> list[tuple[Plan, float, float]]:
        if not plans:
            return []
        goal_E = self._embeddings([goal])[0] if isinstance(goal, str) else goal
        rollout = self._model.rollout(self._world.tokens_BTND, plans, goal_E)
        while rollout.step():
            pass
        return [(plans[r.index], r.goal_similarity, r.uncertainty) for r in rollout.ranked()]
