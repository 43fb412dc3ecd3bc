"""Score a model on a public benchmark; the last line is one JSON object.

    python -m training.evaluate.external ssv2 --folder data/ssv2 --model models/mine

What lies where in the folder, which candidates and which queries: docs/external-evaluation.md. The
model is a checkpoint of VL-JEPA, or CLIP, SigLIP, SigLIP 2 or Perception Encoder as transformers
writes them. Nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from training.data.errors import DataError
from training.evaluate.external import benchmarks, embedders, protocols
from training.evaluate.external.items import Benchmark, Classification, Questions, Retrieval
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.device import EngineError
from vljepa_ros.model.text import TextError

NAMED = 3
"""Missing videos named in an error."""


def evaluate(
    benchmark: str,
    folder: Path,
    model: Path,
    query: str = "",
    prompt: str = "{}",
    limit: int = 0,
    skip_missing: bool = False,
    device: str = "auto",
    dtype: str = "auto",
) -> dict[str, float | int | str]:
    """All scores, and what they are of.

    Args:
        benchmark: its name.
        folder: annotations and videos.
        model: the model's folder.
        query: asked of every clip; "" = the benchmark's own. Questions keep theirs.
        prompt: what labels are put into, as "a video of {}".
        limit: score the first so many items only; 0 = all.
        skip_missing: leave out what the folder does not hold, and say how many.
        device: auto, cpu, cuda or cuda:N.
        dtype: number type of the model.

    Raises:
        DataError: the folder cannot be used.
        CheckpointError, EngineError, TextError: the model cannot be used, or not for these texts.
    """
    asked = complete(benchmarks.load(benchmark, folder), folder, skip_missing)
    asked = with_texts(asked, query, prompt)
    if limit:
        first: Any = asked.items[:limit]
        asked = dataclasses.replace(asked, items=first)
    embedder = embedders.load(model, device, dtype)
    scores = protocols.score(asked, embedder)
    about: dict[str, float | int | str] = {
        "benchmark": benchmark,
        "model": embedder.name,
        "frames": embedder.frames,
        "missing": len(asked.missing),
        "texts_sha256": _digest(asked),
    }
    return about | scores


def complete(asked: Benchmark, folder: Path, skip_missing: bool) -> Benchmark:
    """The same benchmark, if all of its videos are there or may be missing.

    Raises:
        DataError: some are missing.
    """
    if asked.missing and not skip_missing:
        raise DataError(
            f"{folder} lacks {len(asked.missing)} videos, the first {list(asked.missing[:NAMED])}; "
            "put them there, or leave them out by --skip_missing true"
        )
    return asked


def with_texts(asked: Benchmark, query: str, prompt: str) -> Benchmark:
    """The same benchmark with another query, and labels in a prompt.

    Raises:
        DataError: a prompt without the place for a label.
    """
    if "{}" not in prompt:
        raise DataError(f"the prompt {prompt!r} has no {{}}; write one as 'a video of {{}}'")
    if isinstance(asked, Classification):
        labels = tuple(prompt.replace("{}", label) for label in asked.labels)
        asked = dataclasses.replace(asked, labels=labels)
    if query and isinstance(asked, (Classification, Retrieval)):
        asked = dataclasses.replace(asked, query=query)
    return asked


def _digest(asked: Benchmark) -> str:
    """Of all queries and candidates: scores of equal digests answer the same questions."""
    texts: list[object] = []
    if isinstance(asked, Classification):
        texts = [asked.query, asked.labels, [item.label for item in asked.items]]
    elif isinstance(asked, Retrieval):
        texts = [asked.query, [item.captions for item in asked.items]]
    elif isinstance(asked, Questions):
        texts = [[item.query, item.candidates, item.answer] for item in asked.items]
    else:
        texts = [asked.clip_query, [item.answer for item in asked.items]]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status; 1 with one sentence where something cannot be used."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=sorted(benchmarks.BENCHMARKS))
    parser.add_function_arguments(evaluate, skip={"benchmark"})
    chosen = parser.parse_args(arguments)
    try:
        scores = evaluate(**chosen.as_dict())
    except (DataError, CheckpointError, EngineError, TextError) as error:
        print(error, file=sys.stderr)
        return 1
    for name, value in scores.items():
        print(f"{name:32} {value:.4f}" if isinstance(value, float) else f"{name:32} {value}")
    print(json.dumps(scores))
    return 0


if __name__ == "__main__":
    sys.exit(main())
