"""Something-Something v2: 174 templates, validation split.

`labels.json` maps each template without brackets to its number as a string; `validation.json` is a
list of `{"id", "label", "template", "placeholders"}`. Videos: `ID.webm`.
"""

from __future__ import annotations

from training.evaluate.external.folder import Folder, get, read_json, typed
from training.evaluate.external.items import Classification
from training.evaluate.external.sets.build import ACTION_QUERY, classification


def load(folder: Folder) -> Classification:
    """Candidates: all templates, with "something" for every object, in the order of their numbers.

    Raises:
        DataError: files that are missing or of another format.
    """
    names = folder.file("something-something-v2-labels.json", "labels.json")
    number_of = typed(read_json(names), dict, str(names))
    labels = sorted(number_of, key=lambda label: int(get(number_of, label, str, str(names))))
    file = folder.file("something-something-v2-validation.json", "validation.json")
    entries = typed(read_json(file), list, str(file))
    found = []
    for index, entry in enumerate(entries):
        place = f"{file}, entry {index}"
        label = get(entry, "template", str, place).replace("[", "").replace("]", "")
        found.append((folder.video(get(entry, "id", str, place)), None, None, label))
    return classification(folder, ACTION_QUERY, labels, found, file)
