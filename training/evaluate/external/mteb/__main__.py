"""Score a model by MTEB itself; the last line is one JSON object.

    python -m training.evaluate.external.mteb msrvtt --folder data/msrvtt --model models/mine

With `--folder`, a benchmark of `training.evaluate.external` as a task of MTEB, and nothing is
downloaded; without, a task of MTEB's own, whose data MTEB looks for in its own way. Needs mteb:
requirements/optional/harness.txt.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from training.data.errors import DataError
from training.evaluate.external import benchmarks, embedders
from training.evaluate.external.command import complete, run, with_texts
from training.evaluate.external.items import Classification, Retrieval

LEFT_OUT = ("nauc_", "hf_subset", "languages")
"""Of MTEB's scores, those that are not printed; `out` has them all."""


def evaluate(
    task: str,
    model: Path,
    folder: Path | None = None,
    query: str = "",
    prompt: str = "{}",
    skip_missing: bool = False,
    batch: int = 8,
    out: Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> dict[str, Any]:
    """MTEB's scores of the task's first split and subset, and what they are of.

    Args:
        task: a benchmark of ours where there is a folder, else the name of a task of MTEB.
        model: the model's folder.
        folder: annotations and videos.
        query: asked of clips that have no question; "" = the benchmark's own, or by type of task.
        prompt: what a benchmark's labels are put into, as "a video of {}".
        skip_missing: leave out what the folder does not hold.
        batch: clips that are held at once.
        out: where MTEB keeps the result, in its own form.
        device: auto, cpu, cuda or cuda:N.
        dtype: number type of the model.

    Raises:
        DataError: mteb is not there, no such task, or the folder cannot be used.
        CheckpointError, EngineError, TextError: the model cannot be used, or not for these texts.
    """
    try:
        import mteb
    except ImportError as error:
        raise DataError(
            f"this needs mteb ({error}): pip install -r requirements/optional/harness.txt"
        ) from error
    from training.evaluate.external.mteb.model import MtebEncoder
    from training.evaluate.external.mteb.tasks import local_task

    if folder is None:
        try:
            asked: Any = mteb.get_task(task)
        except KeyError as error:
            raise DataError(
                f"MTEB has no task {task!r}; for a benchmark of ours give --folder"
            ) from error
    else:
        if task not in benchmarks.BENCHMARKS:
            raise DataError(f"no benchmark {task!r}; known are {', '.join(benchmarks.BENCHMARKS)}")
        benchmark = with_texts(
            complete(benchmarks.load(task, folder), folder, skip_missing), query, prompt
        )
        if isinstance(benchmark, (Classification, Retrieval)):
            query = benchmark.query
        asked = local_task(task, benchmark)
    unknown = set(asked.metadata.modalities) - {"text", "video"}
    if unknown:
        raise DataError(
            f"{task} also needs {', '.join(sorted(unknown))}; choose a task of video and text"
        )
    embedder = embedders.load(model, device, dtype)
    result = mteb.evaluate(
        MtebEncoder(embedder, query),
        asked,
        cache=None if out is None else mteb.ResultCache(out),
        overwrite_strategy="always",
        co2_tracker=False,
        encode_kwargs={"batch_size": batch},
    )
    scores = next(iter(result.task_results[0].scores.values()))[0]
    about = {"task": asked.metadata.name, "model": embedder.name, "frames": embedder.frames}
    return about | {k: v for k, v in sorted(scores.items()) if not k.startswith(LEFT_OUT)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status; 1 with one sentence where something cannot be used."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("task")
    return run(parser, "task", evaluate, lambda scores: print(json.dumps(scores)), arguments)


if __name__ == "__main__":
    sys.exit(main())
