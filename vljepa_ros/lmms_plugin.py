"""The model inside lmms-eval, found by it through this package's entry point: `--model vljepa`.

A question with options is answered by the option nearest to the prediction, any other in the words
of the Y-decoder. See docs/external-evaluation.md; importing this needs lmms-eval.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from lmms_eval.api.instance import GenerationResult
from lmms_eval.api.model import lmms
from lmms_eval.models.model_utils.load_video import read_video
from lmms_eval.models.registry_v2 import ModelManifest

from vljepa_ros.model.engine import Embeddings, Engine, EngineError
from vljepa_ros.types import ImageHWC

_OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\)?\s+(\S.*?)\s*$")


def manifest() -> ModelManifest:
    """What lmms-eval registers."""
    return ModelManifest(model_id="vljepa", simple_class_path=f"{__name__}.VLJepa")


class VLJepa(lmms):  # type: ignore[misc]  # lmms-eval is optional: mypy runs without it
    """`--model_args model_path=FOLDER[,device=cuda]`; "" is the package's default model."""

    def __init__(self, model_path: str = "", device: str | None = None, **_: Any) -> None:
        """
        Raises:
            CheckpointError, EngineError: the model cannot be used.
        """
        super().__init__()
        self._engine = Engine.load(model_path, device=device or "auto")

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """The letter of the nearest option, or a decoded text.

        Raises:
            TextError: a question is too long for the model.
            EngineError: nothing to see, or nothing to speak with.
        """
        return [self._reply(*request.args) for request in requests]

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        """A loss for each continuation, 1 − cosine with the prediction, and never greedy.

        lmms-eval 0.7 takes the choice of the lowest value, as its own models return losses. It also
        turns a bare pair into text before it scores; within a GenerationResult it stays a pair.

        Raises:
            TextError: a question or choice is too long for the model.
            EngineError: nothing to see.
        """
        known: dict[tuple[Any, ...], Embeddings] = {}
        found = []
        for context, target, doc_to_visual, *document in (request.args for request in requests):
            key = (context, *document)
            if key not in known:
                known[key] = self._predict(question(context), doc_to_visual, *document)
            text = target(self._document(*document)) if callable(target) else target
            label = self._engine.score_labels(known[key][0], [str(text).strip()])[0]
            found.append(GenerationResult((1 - label.similarity, False)))
        return found

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """
        Raises:
            NotImplementedError: always; the model has no memory of what was said.
        """
        raise NotImplementedError("VL-JEPA answers single questions; leave multi-round tasks out")

    def _reply(self, context: str, settings: dict[str, Any], *where: Any) -> str:
        letters = options(context)
        predicted_1E = self._predict(question(context), *where)
        if letters:
            scores = self._engine.score_labels(predicted_1E[0], list(letters.values()))
            best = int(np.argmax([score.similarity for score in scores]))
            return list(letters)[best]
        if not self._engine.has_decoder:
            raise EngineError(
                f"model {self._engine.config.name!r} has no Y-decoder; ask it tasks with options"
            )
        text = self._engine.decode(predicted_1E)[0]
        until = settings.get("until", [])
        for stop in [until] if isinstance(until, str) else until:
            text = text.split(stop)[0]
        return text

    def _document(self, doc_id: Any, task: str, split: str) -> Any:
        return self.task_dict[task][split][doc_id]

    def _predict(
        self, query: str, doc_to_visual: Callable[[Any], Any], doc_id: Any, task: str, split: str
    ) -> Embeddings:
        visuals = doc_to_visual(self._document(doc_id, task, split)) or []
        frames = self._engine.config.clip_frames
        seen = [frame for visual in visuals for frame in _frames(visual, frames)]
        if not seen:
            raise EngineError(f"document {doc_id} of {task} has no picture; leave this task out")
        # Fewer frames than a clip has are repeated in place, an image along the whole clip.
        spread = [seen[row * len(seen) // frames] for row in range(frames)]
        clip_1THWC = np.stack([self._engine.prepare(frame) for frame in spread])[None]
        return self._engine.predict(self._engine.encode_clips(clip_1THWC), [query])


def options(context: str) -> dict[str, str]:
    """Letter -> text of the options that a prompt lists one a line: `A. …`, `(B) …`, `C: …`.

    Empty where the letters do not run A, B …: then it is no question with options.
    """
    matches = (_OPTION.match(line) for line in context.splitlines())
    found = {match[1]: match[2] for match in matches if match}
    in_order = [chr(ord("A") + row) for row in range(len(found))]
    return found if len(found) > 1 and list(found) == in_order else {}


def question(context: str) -> str:
    """The query of a prompt: the line before its options, or all of it where there are none."""
    if not options(context):
        return context.strip()
    lines = context.splitlines()
    first = next(row for row, line in enumerate(lines) if _OPTION.match(line))
    before = [line.strip() for line in lines[:first] if line.strip()]
    return before[-1] if before else context.strip()


def _frames(visual: Any, most: int) -> list[ImageHWC]:
    if isinstance(visual, str):
        return list(read_video(visual, num_frm=most))
    if hasattr(visual, "convert"):  # an image of Pillow's
        return [np.asarray(visual.convert("RGB"))]
    raise EngineError(
        f"a visual of type {type(visual).__name__} is not known; paths and images are"
    )
