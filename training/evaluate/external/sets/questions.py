"""Questions with candidates: NExT-QA (video), GQA, TallyQA and POPE (images, repeated along time).

NExT-QA: a CSV with `video,question,answer,type,a0..a4`, `answer` the number of the right one. GQA:
`testdev_balanced_questions.json`, `{ID: {"imageId", "question", "answer"}}`. TallyQA: `test.json`,
a list of `{"image", "question", "answer", "issimple"}`. POPE: lines of
`{"image", "text", "label"}`.
"""

from __future__ import annotations

from pathlib import Path

from training.data.errors import DataError
from training.evaluate.external.folder import (
    Folder,
    get,
    read_json,
    read_json_lines,
    read_table,
    typed,
)
from training.evaluate.external.items import Questions
from training.evaluate.external.sets.build import questions

CHOICES = ("a0", "a1", "a2", "a3", "a4")
NUMBERS = tuple(str(count) for count in range(16))
POPE_KINDS = ("random", "popular", "adversarial")


def nextqa(folder: Folder) -> Questions:
    """Candidates: the five of each question.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("test.csv", "val.csv")
    found = []
    for place, row in read_table(file, ("video", "question", "answer", "type", *CHOICES)):
        candidates = tuple(row[key] for key in CHOICES)
        if row["answer"] not in NUMBERS[: len(CHOICES)]:
            raise DataError(f"{place}: the answer is a number from 0 to 4, not {row['answer']!r}")
        query = row["question"][:1].upper() + row["question"][1:] + "?"
        answer = candidates[int(row["answer"])]
        found.append((folder.video(row["video"]), query, candidates, answer, row["type"]))
    return questions(folder, found, file)


def gqa(folder: Folder) -> Questions:
    """Candidates: all answers that occur in the file.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("testdev_balanced_questions.json")
    entries = typed(read_json(file), dict, str(file))
    asked = [
        tuple(get(entry, key, str, f"{file}, {name}") for key in ("imageId", "question", "answer"))
        for name, entry in entries.items()
    ]
    candidates = tuple(sorted({answer for _, _, answer in asked}))
    found = [(folder.video(image), query, candidates, answer, "") for image, query, answer in asked]
    return questions(folder, found, file)


def tallyqa(folder: Folder) -> Questions:
    """Candidates: the numbers 0 to 15.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("test.json")
    found = []
    for index, entry in enumerate(typed(read_json(file), list, str(file))):
        place = f"{file}, entry {index}"
        image = folder.video(Path(get(entry, "image", str, place)).stem)
        kind = "simple" if get(entry, "issimple", bool, place) else "complex"
        answer = str(get(entry, "answer", int, place))
        found.append((image, get(entry, "question", str, place), NUMBERS, answer, kind))
    return questions(folder, found, file)


def pope(folder: Folder) -> Questions:
    """Candidates: yes and no. Kinds: how the objects that are not there were chosen.

    Raises:
        DataError: files that are missing or of another format.
    """
    found = []
    for kind in POPE_KINDS:
        file = folder.file(f"coco_pope_{kind}.json", f"coco_pope_{kind}.jsonl")
        for place, entry in read_json_lines(file):
            image = folder.video(Path(get(entry, "image", str, place)).stem)
            query, label = (get(entry, key, str, place) for key in ("text", "label"))
            found.append((image, query, ("yes", "no"), label, kind))
    return questions(folder, found, folder.root)
