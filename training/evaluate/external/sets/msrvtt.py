"""MSR-VTT: the 1k-A split, and the full test split.

1k-A: `MSRVTT_JSFUSION_test.csv` with `key,vid_key,video_id,sentence`, one caption a video. Full:
`MSRVTT_data.json` with `videos` (`video_id`, `split`) and `sentences` (`video_id`, `caption`),
about 20 captions a video. Videos: `video9770.mp4`.
"""

from __future__ import annotations

from training.evaluate.external.folder import Folder, get, read_json, read_table
from training.evaluate.external.items import Retrieval
from training.evaluate.external.sets.build import retrieval


def one_k_a(folder: Folder) -> Retrieval:
    """Candidates: the 1,000 videos, or their captions.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("MSRVTT_JSFUSION_test.csv")
    rows = read_table(file, ("video_id", "sentence"))
    found = [(folder.video(row["video_id"]), None, None, [row["sentence"]]) for _, row in rows]
    return retrieval(folder, found, file)


def full(folder: Folder) -> Retrieval:
    """Candidates: all videos of split "test", or their captions.

    Raises:
        DataError: files that are missing or of another format.
    """
    file = folder.file("MSRVTT_data.json", "test_videodatainfo.json")
    data = read_json(file)
    captions: dict[str, list[str]] = {}
    for index, video in enumerate(get(data, "videos", list, str(file))):
        place = f"{file}, video {index}"
        if get(video, "split", str, place) == "test":
            captions[get(video, "video_id", str, place)] = []
    for index, sentence in enumerate(get(data, "sentences", list, str(file))):
        place = f"{file}, sentence {index}"
        name = get(sentence, "video_id", str, place)
        if name in captions:
            captions[name].append(get(sentence, "caption", str, place))
    found = [(folder.video(name), None, None, texts) for name, texts in captions.items() if texts]
    return retrieval(folder, found, file)
