"""DiDeMo and ActivityNet Captions: a whole video against all of its sentences joined.

DiDeMo: `test_data.json`, a list of `{"video", "description"}`, several a video. ActivityNet:
`val_1.json`, `{VIDEO: {"sentences"}}`.
"""

from __future__ import annotations

from pathlib import Path

from training.evaluate.external.folder import Folder, get, read_json, typed
from training.evaluate.external.items import Retrieval
from training.evaluate.external.sets.build import retrieval


def didemo(folder: Folder) -> Retrieval:
    """Candidates: all videos of the file, or their paragraphs.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("test_data.json")
    sentences: dict[str, list[str]] = {}
    for index, entry in enumerate(typed(read_json(file), list, str(file))):
        place = f"{file}, entry {index}"
        name = Path(get(entry, "video", str, place)).stem
        sentences.setdefault(name, []).append(get(entry, "description", str, place))
    return _paragraphs(folder, sentences, file)


def activitynet(folder: Folder) -> Retrieval:
    """Candidates: all videos of the file, or their paragraphs.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("val_1.json")
    sentences = {
        name: [
            typed(text, str, f"{file}, {name}")
            for text in get(entry, "sentences", list, f"{file}, {name}")
        ]
        for name, entry in typed(read_json(file), dict, str(file)).items()
    }
    return _paragraphs(folder, sentences, file)


def _paragraphs(folder: Folder, sentences: dict[str, list[str]], file: Path) -> Retrieval:
    found = [
        (folder.video(name), None, None, [" ".join(text.strip() for text in texts)])
        for name, texts in sentences.items()
    ]
    return retrieval(folder, found, file)
