"""The paper's protocols: every task is a nearest neighbour in one space.

Beside each accuracy stands what guessing reaches (`chance`) and what the same model reaches with
the clips of other items (`..._blind`). Ties are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import singledispatch
from itertools import islice

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from training.data.decode import Frames
from training.data.errors import DataError
from training.evaluate.blind import shuffled_rows
from training.evaluate.external.clips import read_change, read_clip
from training.evaluate.external.embedders import Embedder
from training.evaluate.external.items import (
    Benchmark,
    Classification,
    Questions,
    Retrieval,
    VideoSegment,
    WorldPrediction,
)
from training.evaluate.measures import Ints, macro_accuracy, ranks, top_k
from vljepa_ros.model.engine import Embeddings

CLIPS_A_BATCH = 8
SEED = 5_000_000
"""Of which clips stand for which when scores are taken blind."""

Scores = dict[str, float]


@singledispatch
def score(benchmark: Benchmark, model: Embedder) -> Scores:
    """All scores of a model on a benchmark, named as in docs/external-evaluation.md.

    Raises:
        DataError: there is nothing to ask.
        MediaError: a video cannot be decoded.
        TextError: a query is too long for the model.
    """
    raise TypeError(f"no protocol for {type(benchmark).__name__}")


@score.register
def classify(benchmark: Classification, model: Embedder) -> Scores:
    """Zero-shot classification: the nearest label of all."""
    items = benchmark.items
    clips_RE = embed_segments(model, [i.segment for i in items], [benchmark.query] * len(items))
    truth_R = np.array([item.label for item in items])
    similarity_RC = clips_RE @ model.embed_texts(benchmark.labels).T
    rank_R = ranks(similarity_RC, truth_R)
    blind_R = ranks(similarity_RC[_others([i.segment for i in items])], truth_R)
    return {
        "items": len(items),
        "labels": len(benchmark.labels),
        "top1": top_k(rank_R, 1),
        "top1_blind": top_k(blind_R, 1),
        "top5": top_k(rank_R, 5),
        "mean_class_top1": macro_accuracy(rank_R < 1, truth_R),
        "chance": 1 / len(benchmark.labels),
    }


@score.register
def retrieve(benchmark: Retrieval, model: Embedder) -> Scores:
    """Text to video and video to text; a video's rank is that of the best of its captions."""
    items = benchmark.items
    clips_VE = embed_segments(model, [i.segment for i in items], [benchmark.query] * len(items))
    captions = [caption for item in items for caption in item.captions]
    video_of_Q = np.repeat(np.arange(len(items)), [len(item.captions) for item in items])
    similarity_QV = model.embed_texts(captions) @ clips_VE.T
    others = _others([i.segment for i in items])
    blind_Q = ranks(similarity_QV[:, others], video_of_Q)
    found = {
        "text_to_video": ranks(similarity_QV, video_of_Q),
        "video_to_text": _caption_ranks(similarity_QV.T, video_of_Q),
    }
    recalls = {f"{way}_r{k}": top_k(rank, k) for way, rank in found.items() for k in (1, 5, 10)}
    return {
        "items": len(items),
        "captions": len(captions),
        **recalls,
        "text_to_video_r1_blind": top_k(blind_Q, 1),
        "chance": 1 / len(items),
    }


def _caption_ranks(similarity_VQ: Embeddings, video_of_Q: Ints) -> npt.NDArray[np.int64]:
    """How many captions of other videos score at least as high as the best of a video's own."""
    own_VQ = np.arange(len(similarity_VQ))[:, None] == video_of_Q
    best_V = np.where(own_VQ, similarity_VQ, -np.inf).max(axis=1)
    above_VQ = ~own_VQ & ~(similarity_VQ < best_V[:, None])
    count_V: npt.NDArray[np.int64] = above_VQ.sum(axis=1)
    return count_V


@score.register
def answer(benchmark: Questions, model: Embedder) -> Scores:
    """Discriminative question answering: the nearest of a question's own candidates."""
    items = benchmark.items
    segments, queries = [item.segment for item in items], [item.query for item in items]
    rank_R = _answer_ranks(benchmark, model, embed_segments(model, segments, queries))
    shuffled = [segments[row] for row in _others(segments)]
    blind_R = _answer_ranks(benchmark, model, embed_segments(model, shuffled, queries))
    scores: Scores = {
        "items": len(items),
        "accuracy": top_k(rank_R, 1),
        "accuracy_blind": top_k(blind_R, 1),
        "chance": float(np.mean([1 / len(item.candidates) for item in items])),
    }
    kinds = np.array([item.kind for item in items])
    for kind in sorted({item.kind for item in items} - {""}):
        scores[f"accuracy_{kind}"] = top_k(rank_R[kinds == kind], 1)
    return scores


def _answer_ranks(
    benchmark: Questions, model: Embedder, clips_RE: Embeddings
) -> npt.NDArray[np.int64]:
    texts = list(dict.fromkeys(text for item in benchmark.items for text in item.candidates))
    row_of = {text: row for row, text in enumerate(texts)}
    texts_UE = model.embed_texts(texts)
    found = [
        _rank(texts_UE[[row_of[text] for text in item.candidates]] @ clip_E, item.answer)
        for item, clip_E in zip(benchmark.items, clips_RE, strict=True)
    ]
    return np.array(found, dtype=np.int64)


@score.register
def predict_world(benchmark: WorldPrediction, model: Embedder) -> Scores:
    """World prediction: the candidate clip nearest to the two states joined to one clip."""
    items = benchmark.items
    changes = (read_change(i.path, i.initial_s, i.final_s, model.frames) for i in items)
    states_RE = _embed(model, changes, [model.inverse_query] * len(items))
    candidates = list(dict.fromkeys(clip for item in items for clip in item.candidates))
    row_of = {clip: row for row, clip in enumerate(candidates)}
    clips_UE = embed_segments(model, candidates, [benchmark.clip_query] * len(candidates))

    def all_ranks(states_RE: Embeddings) -> npt.NDArray[np.int64]:
        pairs = zip(items, states_RE, strict=True)
        found = [_rank(clips_UE[[row_of[c] for c in i.candidates]] @ s, i.answer) for i, s in pairs]
        return np.array(found, dtype=np.int64)

    rank_R = all_ranks(states_RE)
    others = _others([(i.path, i.initial_s, i.final_s) for i in items])
    scores: Scores = {
        "items": len(items),
        "accuracy": top_k(rank_R, 1),
        "accuracy_blind": top_k(all_ranks(states_RE[others]), 1),
        "chance": float(np.mean([1 / len(item.candidates) for item in items])),
    }
    sources = np.array([item.source for item in items])
    for source in sorted({item.source for item in items}):
        scores[f"accuracy_{source}"] = top_k(rank_R[sources == source], 1)
    return scores


def _rank(scores_C: Embeddings, truth: int) -> int:
    return int(ranks(scores_C[None], np.array([truth]))[0])


def embed_segments(
    model: Embedder, segments: Sequence[VideoSegment], queries: Sequence[str]
) -> Embeddings:
    """(n, E) of segments, each with its query."""
    return _embed(model, (read_clip(segment, model.frames) for segment in segments), queries)


def _embed(model: Embedder, clips: Iterable[Frames], queries: Sequence[str]) -> Embeddings:
    if not queries:
        raise DataError("no video of this benchmark is in the folder; put the videos there too")
    shown = tqdm(clips, total=len(queries), disable=None, unit="clip")
    parts = [
        model.embed_clips(batch, queries[start : start + len(batch)])
        for start, batch in _batches(iter(shown))
    ]
    return np.concatenate(parts)


def _batches(clips: Iterator[Frames]) -> Iterator[tuple[int, list[Frames]]]:
    start = 0
    while batch := list(islice(clips, CLIPS_A_BATCH)):
        yield start, batch
        start += len(batch)


def _others(of: Sequence[object]) -> npt.NDArray[np.int64]:
    """For each item, the row of one that shows something else.

    Raises:
        DataError: there is only one.
    """
    number_of = {key: number for number, key in enumerate(dict.fromkeys(of))}
    if len(number_of) < 2:
        raise DataError("a benchmark of one clip has no blind score; put more videos there")
    return shuffled_rows(np.random.default_rng(SEED), [number_of[key] for key in of])
