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

from training.evaluate.external import benchmarks, embedders, protocols
from training.evaluate.external.command import Scores, complete, run, with_texts
from training.evaluate.external.items import Benchmark, Classification, Questions, Retrieval


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
    return run(parser, "benchmark", evaluate, _show, arguments)


def _show(scores: Scores) -> None:
    for name, value in scores.items():
        print(f"{name:32} {value:.4f}" if isinstance(value, float) else f"{name:32} {value}")
    print(json.dumps(scores))


if __name__ == "__main__":
    sys.exit(main())
