"""WorldPrediction-WM: which of four clips led from one picture to the other?

`WorldPrediction-WM.json`: `{SOURCE: {ID: {"states": {"video", "segment_start_time",
"segment_end_time"}, "candidates": [{"segment_uid", "video", "segment_start_time",
"segment_end_time"}], "ground_truth": SEGMENT_UID}}}`. The states are the frames at the two times.
Videos are those of COIN, CrossTask, EgoExo4D, EPIC-KITCHENS-100 and IKEA ASM, at `SOURCE/VIDEO`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.data.errors import DataError
from training.evaluate.external.folder import Folder, get, interval, read_json, typed
from training.evaluate.external.items import Change, VideoSegment, WorldPrediction
from training.evaluate.external.sets.build import ACTION_QUERY


def load(folder: Folder) -> WorldPrediction:
    """Candidates: the four clips of each item; an item of which a video is missing is left out.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("WorldPrediction-WM.json")
    found, asked = [], 0
    for source, entries in typed(read_json(file), dict, str(file)).items():
        for name, entry in typed(entries, dict, f"{file}, {source}").items():
            asked += 1
            item = _item(folder, source, entry, f"{file}, {source}, {name}")
            if item is not None:
                found.append(item)
    if not asked:
        raise DataError(f"{file} has no item; download it again")
    return WorldPrediction(tuple(found), ACTION_QUERY, folder.missing)


def _item(folder: Folder, source: str, entry: Any, place: str) -> Change | None:
    path, initial_s, final_s = _stretch(folder, source, get(entry, "states", dict, place), place)
    candidates = get(entry, "candidates", list, place)
    names = [get(candidate, "segment_uid", str, place) for candidate in candidates]
    truth = get(entry, "ground_truth", str, place)
    if truth not in names:
        raise DataError(f"{place}: its ground_truth {truth!r} is not among its candidates")
    stretches = [_stretch(folder, source, candidate, place) for candidate in candidates]
    clips = tuple(VideoSegment(p, start, end) for p, start, end in stretches if p is not None)
    if path is None or len(clips) < len(candidates):
        return None
    return Change(path, initial_s, final_s, clips, names.index(truth), source)


def _stretch(
    folder: Folder, source: str, entry: Any, place: str
) -> tuple[Path | None, float, float]:
    name = get(entry, "video", str, place)
    start_s, end_s = (get(entry, f"segment_{end}_time", float, place) for end in ("start", "end"))
    return folder.relative(f"{source}/{name}", name), *interval(start_s, end_s, place)
