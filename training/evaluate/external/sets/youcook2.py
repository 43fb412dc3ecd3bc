"""YouCook2: clips of single steps of the validation split.

`youcookii_annotations_trainval.json`: `{"database": {YOUTUBE_ID: {"subset", "annotations":
[{"segment": [start_s, end_s], "sentence"}]}}}`. Videos: `YOUTUBE_ID.mp4`, untrimmed.
"""

from __future__ import annotations

from training.evaluate.external.folder import Folder, get, read_json, stretch
from training.evaluate.external.items import Retrieval
from training.evaluate.external.sets.build import retrieval


def load(folder: Folder) -> Retrieval:
    """Candidates: all clips, or their sentences.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("youcookii_annotations_trainval.json")
    found = []
    for name, video in get(read_json(file), "database", dict, str(file)).items():
        place = f"{file}, {name}"
        if get(video, "subset", str, place) != "validation":
            continue
        for step in get(video, "annotations", list, place):
            start_s, end_s = stretch(get(step, "segment", list, place), place)
            sentence = get(step, "sentence", str, place)
            found.append((folder.video(name), start_s, end_s, [sentence]))
    return retrieval(folder, found, file)
