"""Benchmarks in the user's folder as tasks of MTEB; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, DatasetDict, Video
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification

from training.data.errors import DataError
from training.evaluate.external.items import Benchmark, Classification, Questions, Retrieval
from training.evaluate.external.mteb.model import address

SPLIT = "test"


class LocalClassification(AbsTaskZeroShotClassification):  # type: ignore[misc]
    """Zero-shot classification of clips among the benchmark's labels."""

    input_column_name = "video"
    benchmark: Classification

    def load_data(self, **_: Any) -> None:
        """Rows of `video` and `label`."""
        items = self.benchmark.items
        labels, videos = [i.label for i in items], [address(i.segment) for i in items]
        self.dataset = DatasetDict({SPLIT: _with_videos({"label": labels, "video": videos})})
        self.data_loaded = True

    def get_candidate_labels(self) -> list[str]:
        """All labels, in the benchmark's order."""
        return list(self.benchmark.labels)


class LocalRetrieval(AbsTaskRetrieval):  # type: ignore[misc]
    """Which of all clips does a caption describe?"""

    benchmark: Retrieval

    def load_data(self, **_: Any) -> None:
        """Captions look for videos; every caption of a video has that one."""
        items = self.benchmark.items
        pairs = [(f"v{row}", text) for row, item in enumerate(items) for text in item.captions]
        ids = [f"t{row}" for row in range(len(pairs))]
        videos = {
            "id": [f"v{row}" for row in range(len(items))],
            "video": [address(item.segment) for item in items],
        }
        split = RetrievalSplitData(
            queries=Dataset.from_dict({"id": ids, "text": [text for _, text in pairs]}),
            corpus=_with_videos(videos),
            relevant_docs={key: {video: 1} for key, (video, _) in zip(ids, pairs, strict=True)},
            top_ranked=None,
        )
        self.dataset = {"default": {SPLIT: split}}
        self.data_loaded = True


class LocalQuestions(AbsTaskRetrieval):  # type: ignore[misc]
    """Which of its own candidates answers a question to a clip?"""

    benchmark: Questions

    def load_data(self, **_: Any) -> None:
        """A question with its video looks for its answer among `top_ranked`."""
        items = self.benchmark.items
        ids = [f"q{row}" for row in range(len(items))]
        asked = {
            "id": ids,
            "text": [item.query for item in items],
            "video": [address(item.segment) for item in items],
        }
        texts = list(dict.fromkeys(text for item in items for text in item.candidates))
        id_of = {text: f"c{row}" for row, text in enumerate(texts)}
        pairs = list(zip(ids, items, strict=True))
        split = RetrievalSplitData(
            queries=_with_videos(asked),
            corpus=Dataset.from_dict({"id": list(id_of.values()), "text": texts}),
            relevant_docs={key: {id_of[i.candidates[i.answer]]: 1} for key, i in pairs},
            top_ranked={key: [id_of[text] for text in i.candidates] for key, i in pairs},
        )
        self.dataset = {"default": {SPLIT: split}}
        self.data_loaded = True


KINDS = {
    Classification: (LocalClassification, "VideoZeroshotClassification", "v2c", "accuracy"),
    Retrieval: (LocalRetrieval, "Any2AnyRetrieval", "t2v", "ndcg_at_10"),
    Questions: (LocalQuestions, "VideoCentricQA", "vt2t", "accuracy"),
}
"""What a benchmark asks -> class, MTEB's type, category and main score."""


def local_task(name: str, benchmark: Benchmark) -> Any:
    """A benchmark as the task of MTEB that asks the same.

    Raises:
        DataError: MTEB has no such task, or no video is there.
    """
    if not benchmark.items:
        raise DataError("no video of this benchmark is in the folder; put the videos there too")
    if type(benchmark) not in KINDS:
        raise DataError(
            f"MTEB has no task that asks what {name} asks; use python -m training.evaluate.external"
        )
    base, kind, category, main_score = KINDS[type(benchmark)]
    metadata = TaskMetadata(
        name=f"Local{name.title().replace('_', '')}",
        description=f"{name}, read from a local folder.",
        dataset={"path": name, "revision": "local"},
        type=kind,
        category=category,
        modalities=["video", "text"],
        eval_splits=[SPLIT],
        eval_langs=["eng-Latn"],
        main_score=main_score,
    )
    # A class each: MTEB drops what an instance says of its metadata when it unloads the data.
    return type(metadata.name, (base,), {"metadata": metadata, "benchmark": benchmark})()


def _with_videos(rows: Mapping[str, Sequence[object]]) -> Any:
    return Dataset.from_dict(dict(rows)).cast_column("video", Video(decode=False))
