"""Kinetics, any size: a CSV `label,youtube_id,time_start,time_end,split`.

Videos are trimmed: `ID_000010_000020.mp4`, or `ID.mp4`.
"""

from __future__ import annotations

from training.evaluate.external.folder import Folder, number, read_table
from training.evaluate.external.items import Classification
from training.evaluate.external.sets.build import ACTION_QUERY, classification


def load(folder: Folder) -> Classification:
    """Candidates: all labels of the file, in alphabetical order.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("val.csv", "validate.csv")
    rows = read_table(file, ("label", "youtube_id", "time_start", "time_end"))
    found = []
    for place, row in rows:
        start, end = (int(number(row[key], place)) for key in ("time_start", "time_end"))
        name = row["youtube_id"]
        path = folder.video(f"{name}_{start:06d}_{end:06d}", name)
        found.append((path, None, None, row["label"]))
    labels = sorted({row["label"] for _, row in rows})
    return classification(folder, ACTION_QUERY, labels, found, file)
