"""MSVD: the test split, about 40 captions a video.

`AllVideoDescriptions.txt`: lines of `VIDEO caption`, comments with `#`; `test_list.txt`: a video a
line. Videos: `YOUTUBEID_START_END.avi`, trimmed.
"""

from __future__ import annotations

from training.evaluate.external.folder import Folder
from training.evaluate.external.items import Retrieval
from training.evaluate.external.sets.build import retrieval


def load(folder: Folder) -> Retrieval:
    """Candidates: all videos of the list, or their captions.

    Raises:
        DataError: files that are missing.
    """
    file = folder.file("AllVideoDescriptions.txt")
    names = folder.file("test_list.txt").read_text(encoding="utf-8").split()
    captions: dict[str, list[str]] = {name: [] for name in names}
    for line in file.read_text(encoding="utf-8").splitlines():
        name, _, caption = line.strip().partition(" ")
        if name in captions and caption:
            captions[name].append(caption)
    found = [(folder.video(name), None, None, texts) for name, texts in captions.items() if texts]
    return retrieval(folder, found, file)
