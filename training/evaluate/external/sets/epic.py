"""EPIC-KITCHENS-100: verbs, nouns and actions of the validation split.

`EPIC_100_validation.csv` names video, times, `verb_class` and `noun_class`;
`EPIC_100_verb_classes.csv` and `EPIC_100_noun_classes.csv` map `id` to `key`. Videos: `P01_11.MP4`,
untrimmed.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from training.data.errors import DataError
from training.evaluate.external.folder import Folder, interval, read_table
from training.evaluate.external.items import Classification
from training.evaluate.external.sets.build import ACTION_QUERY, classification

COLUMNS = ("video_id", "start_timestamp", "stop_timestamp", "verb_class", "noun_class")


def verbs(folder: Folder) -> Classification:
    """Candidates: the 97 verbs."""
    return _load(folder, "verb")


def nouns(folder: Folder) -> Classification:
    """Candidates: the 300 nouns."""
    return _load(folder, "noun")


def actions(folder: Folder) -> Classification:
    """Candidates: every pair of verb and noun that occurs in the validation split."""
    return _load(folder, "action")


def _load(folder: Folder, asked: str) -> Classification:
    """
    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("EPIC_100_validation.csv")
    verb_of = _names(folder.file("EPIC_100_verb_classes.csv"))
    noun_of = _names(folder.file("EPIC_100_noun_classes.csv"))
    found, seen = [], []
    for place, row in read_table(file, COLUMNS):
        start_s, end_s = (_seconds(row[key], place) for key in COLUMNS[1:3])
        verb, noun = row["verb_class"], row["noun_class"]
        if verb not in verb_of or noun not in noun_of:
            raise DataError(f"{place}: class {verb} or {noun} is in no list of classes")
        words = {"verb": verb_of[verb], "noun": noun_of[noun]}
        words["action"] = f"{words['verb']} {words['noun']}"
        seen.append(words["action"])
        path = folder.video(row["video_id"])
        found.append((path, *interval(start_s, end_s, place), words[asked]))
    labels = {"verb": verb_of.values(), "noun": noun_of.values(), "action": sorted(seen)}
    return classification(folder, ACTION_QUERY, labels[asked], found, file)


def _names(file: Path) -> dict[str, str]:
    return {row["id"]: _in_words(row["key"]) for _, row in read_table(file, ("id", "key"))}


def _in_words(key: str) -> str:
    """`turn-on` is "turn on", `board:chopping` is "chopping board"."""
    return " ".join(reversed(key.split(":"))).replace("-", " ")


def _seconds(text: str, place: str) -> float:
    try:
        time = datetime.strptime(text, "%H:%M:%S.%f")
    except ValueError:
        raise DataError(f"{place}: {text!r} is no time as 00:01:23.45") from None
    return (time - datetime.strptime("0", "%S")).total_seconds()
