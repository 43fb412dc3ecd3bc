"""What the loaders share: from names and times to items, and the queries of all benchmarks.

The paper says no queries; these are ours, and the command line can replace them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from training.data.errors import DataError
from training.evaluate.external.folder import Folder
from training.evaluate.external.items import (
    Captioned,
    Classification,
    Labelled,
    Question,
    Questions,
    Retrieval,
    VideoSegment,
)

ACTION_QUERY = "What is happening?"
TASK_QUERY = "Which task is being done?"
CAPTION_QUERY = "Describe the video."


def classification(
    folder: Folder,
    query: str,
    labels: Iterable[str],
    found: Iterable[tuple[Path | None, float | None, float | None, str]],
    annotations: Path,
) -> Classification:
    """
    Args:
        labels: all candidates; those with equal words become one, as nothing can tell them apart.
        found: video (None = not there), start and end [s], and label of each clip.

    Raises:
        DataError: the annotations hold no clip, or a label that is no candidate.
    """
    row_of = {label: row for row, label in enumerate(dict.fromkeys(labels))}
    items, asked = [], 0
    for path, start_s, end_s, label in found:
        asked += 1
        if label not in row_of:
            raise DataError(
                f"{annotations}: the label {label!r} is not in the list of labels; are both files "
                "of the same version?"
            )
        if path is not None:
            items.append(Labelled(VideoSegment(path, start_s, end_s), row_of[label]))
    _check_any(asked, annotations)
    return Classification(query, tuple(row_of), tuple(items), folder.missing)


def retrieval(
    folder: Folder,
    found: Iterable[tuple[Path | None, float | None, float | None, Sequence[str]]],
    annotations: Path,
) -> Retrieval:
    """
    Args:
        found: video (None = not there), start and end [s], and captions of each clip.

    Raises:
        DataError: the annotations hold no clip.
    """
    items, asked = [], 0
    for path, start_s, end_s, captions in found:
        asked += 1
        if path is not None:
            items.append(Captioned(VideoSegment(path, start_s, end_s), tuple(captions)))
    _check_any(asked, annotations)
    return Retrieval(CAPTION_QUERY, tuple(items), folder.missing)


def questions(
    folder: Folder,
    found: Iterable[tuple[Path | None, str, tuple[str, ...], str, str]],
    annotations: Path,
) -> Questions:
    """
    Args:
        found: video or image (None = not there), question, candidates, true candidate and kind.

    Raises:
        DataError: the annotations hold no question, or an answer that is no candidate.
    """
    items, asked = [], 0
    for path, query, candidates, answer, kind in found:
        asked += 1
        if answer not in candidates:
            raise DataError(
                f"{annotations}: {answer!r}, the answer to {query!r}, is not among the candidates; "
                "is it the file that was published?"
            )
        if path is not None:
            segment = VideoSegment(path)
            items.append(Question(segment, query, candidates, candidates.index(answer), kind))
    _check_any(asked, annotations)
    return Questions(tuple(items), folder.missing)


def _check_any(asked: int, annotations: Path) -> None:
    if not asked:
        raise DataError(f"{annotations} has nothing of the split that is tested; download it again")
