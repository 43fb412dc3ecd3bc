"""Ego-Exo4D, fine-grained keystep recognition: the wearer's view of the validation split.

`keystep_segment_val.json` lists segments with `ego_segment_name`, the path of a trimmed clip below
`clips_448p/`, and `label_id`; `label_mapping.csv` names the keysteps.
"""

from __future__ import annotations

from training.data.errors import DataError
from training.evaluate.external.folder import Folder, get, read_json, read_table
from training.evaluate.external.items import Classification
from training.evaluate.external.sets.build import ACTION_QUERY, classification

ROOTS = ("clips_448p", "keystep_benchmark/clips_448p", ".")


def load(folder: Folder) -> Classification:
    """Candidates: all keysteps of the mapping, whatever the scenario.

    Raises:
        DataError: files that are missing or of another format.
    """
    mapping = folder.file("label_mapping.csv")
    label_of = {
        row["label_id"]: row["step_name"]
        for _, row in read_table(mapping, ("label_id", "step_name"))
    }
    file = folder.file("keystep_segment_val.json")
    found = []
    for index, segment in enumerate(get(read_json(file), "segments", list, str(file))):
        place = f"{file}, segment {index}"
        label = label_of.get(str(get(segment, "label_id", int, place)))
        if label is None:
            raise DataError(f"{place}: its label_id is not in {mapping}")
        name = get(segment, "ego_segment_name", str, place)
        path = folder.relative(*(f"{root}/{name}" for root in ROOTS))
        found.append((path, None, None, label))
    return classification(folder, ACTION_QUERY, label_of.values(), found, file)
