"""Little folders in the published formats, with real videos in which brightness says what is shown.

Every video of a benchmark that is cut into segments shows several brightnesses one after the other,
so that a loader that mistakes times is found out by `Oracle`, who sees brightness only.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.data.decode import Frames
from training.data.encode import encode_clip

SIZE_HW = (32, 40)
RATE_HZ = 5
WIDTH = 32


def grey(level: int) -> npt.NDArray[np.uint8]:
    return np.full((*SIZE_HW, 3), 8 * level + 4, np.uint8)


def video(path: Path, *levels: int, seconds: int = 1) -> None:
    """Each level is shown for `seconds`, in order."""
    frames = [grey(level) for level in levels for _ in range(RATE_HZ * seconds)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_clip((i / RATE_HZ, f) for i, f in enumerate(frames)))


def image(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), grey(level))


def level_of(frame_HWC: Frames) -> int:
    return int(frame_HWC.mean()) // 8


@dataclass(frozen=True)
class Oracle:
    """Knows which words go with which brightness; must be right everywhere."""

    level_of_text: Mapping[str, int]
    level_of_change: Mapping[tuple[int, int], int]
    """Of the brightnesses before and after: that of the action between them."""
    text_of_question: Mapping[tuple[int, str], str]
    """Of brightness and question: the answer."""
    name: str = "oracle"
    frames: int = 4
    inverse_query: str = "what led there?"

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.eye(WIDTH, dtype=np.float32)[[self.level_of_text[text] for text in texts]]

    def embed_clips(
        self, clips: Sequence[Frames], queries: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        return np.eye(WIDTH, dtype=np.float32)[
            [self._level(clip, query) for clip, query in zip(clips, queries, strict=True)]
        ]

    def _level(self, clip_THWC: Frames, query: str) -> int:
        first, last = level_of(clip_THWC[0]), level_of(clip_THWC[-1])
        if query == self.inverse_query:
            return self.level_of_change[first, last]
        assert first == last, "a segment reaches into its neighbour"
        answer = self.text_of_question.get((first, query))
        return first if answer is None else self.level_of_text[answer]


@dataclass(frozen=True)
class Little:
    """A folder, who knows its answers, and how much there is of it."""

    oracle: Oracle
    items: int
    candidates: int
    """Labels, captions, or candidates of the first item."""


def _knowing(
    texts: Mapping[str, int],
    changes: Mapping[tuple[int, int], int] | None = None,
    answers: Mapping[tuple[int, str], str] | None = None,
) -> Oracle:
    return Oracle(texts, changes or {}, answers or {})


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _csv(path: Path, *rows: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as lines:
        csv.writer(lines).writerows(rows)


def ssv2(root: Path) -> Little:
    names = ["Opening something", "Putting something into something", "Tearing something"]
    _json(root / "labels.json", {name: str(row) for row, name in enumerate(names)})
    templates = ["Tearing [something]", "Putting [something] into [something]"]
    entries = [
        {"id": "74225", "label": "tearing paper", "template": templates[0], "placeholders": ["p"]},
        {"id": "9", "label": "putting", "template": templates[1], "placeholders": ["a", "b"]},
    ]
    _json(root / "validation.json", entries)
    video(root / "videos" / "74225.mp4", 7)
    video(root / "videos" / "9.mp4", 5)
    return Little(_knowing(dict(zip(names, (1, 5, 7), strict=True))), 2, 3)


def kinetics(root: Path) -> Little:
    header = ["label", "youtube_id", "time_start", "time_end", "split"]
    rows = [
        ["zumba", "a-1", 3, 13, "val"],
        ["abseiling", "b_2", 10, 20, "val"],
        ["zumba", "c", 0, 10, "val"],
    ]
    _csv(root / "val.csv", header, *rows)
    video(root / "zumba" / "a-1_000003_000013.mp4", 2)
    video(root / "abseiling" / "b_2_000010_000020.mp4", 4)
    video(root / "c.mp4", 2)
    return Little(_knowing({"zumba": 2, "abseiling": 4}), 3, 2)


EPIC_HEADER = (
    *("narration_id", "participant_id", "video_id", "narration_timestamp", "start_timestamp"),
    *("stop_timestamp", "start_frame", "stop_frame", "narration", "verb", "verb_class", "noun"),
    *("noun_class", "all_nouns", "all_noun_classes"),
)


def _epic(root: Path, words: dict[str, int]) -> Oracle:
    def row(number: int, start: str, stop: str, verb: int, noun: int) -> list[object]:
        times = ["00:00:00.560", start, stop, 1, 113]
        names = ["words", "verb", verb, "noun", noun, "['noun']", [noun]]
        return [f"P01_11_{number}", "P01", "P01_11", *times, *names]

    rows = [
        row(0, "00:00:00.00", "00:00:00.95", 0, 1),
        row(1, "00:00:01.00", "00:00:02.00", 1, 0),
        row(2, "00:00:02.00", "00:00:02.90", 1, 1),
    ]
    _csv(root / "EPIC_100_validation.csv", EPIC_HEADER, *rows)
    header = ["id", "key", "instances", "category"]
    verbs = [[0, "take", "['take']", "retrieve"], [1, "turn-on", "['turn-on']", "access"]]
    nouns = [[0, "board:chopping", "['board']", "prep"], [1, "tap", "['tap']", "appliances"]]
    _csv(root / "EPIC_100_verb_classes.csv", header, *verbs)
    _csv(root / "EPIC_100_noun_classes.csv", header, *nouns)
    return _knowing(words)


def epic_verb(root: Path) -> Little:
    video(root / "P01" / "videos" / "P01_11.MP4", 3, 6, 6)
    return Little(_epic(root, {"take": 3, "turn on": 6}), 3, 2)


def epic_noun(root: Path) -> Little:
    video(root / "P01" / "videos" / "P01_11.MP4", 3, 6, 3)
    return Little(_epic(root, {"tap": 3, "chopping board": 6}), 3, 2)


def epic_action(root: Path) -> Little:
    video(root / "P01" / "videos" / "P01_11.MP4", 3, 6, 9)
    words = {"take tap": 3, "turn on chopping board": 6, "turn on tap": 9}
    return Little(_epic(root, words), 3, 3)


def egoexo4d(root: Path) -> Little:
    mapping = [[0, 1567, "Stir", "cooking"], [1, 502, "Unbox", "health"], [2, 9, "Stir", "bike"]]
    header = ["label_id", "step_unique_id", "step_name", "scenario_name"]
    _csv(root / "label_mapping.csv", header, *mapping)
    segments = []
    for take, label, level in (("a_1", 1, 5), ("a_2", 2, 8)):
        names = [f"val/{take}/start0.85_end3.2_{camera}.mp4" for camera in ("aria02", "cam01")]
        video(root / "clips_448p" / names[0], level)
        video(root / "clips_448p" / names[1], 1)
        segments.append(
            {
                "segment_name_list": names,
                "ego_segment_name": names[0],
                "take_uid": take,
                "take_name": take,
                "start_time": 0.85,
                "end_time": 3.2,
                "step_unique_id": 7,
                "label_id": label,
                "step_name": mapping[label][2],
            }
        )
    _json(root / "keystep_segment_val.json", {"splits": "val", "segments": segments})
    return Little(_knowing({"Stir": 8, "Unbox": 5}), 2, 2)


def _coin(root: Path, tasks: bool) -> None:
    def entry(name: str, subset: str, *steps: tuple[str, float, float]) -> dict[str, object]:
        annotation = [
            {"id": str(row), "segment": [start, end], "label": label}
            for row, (label, start, end) in enumerate(steps)
        ]
        about = {"duration": 3.0, "class": name, "start": 0.0, "end": 3.0, "recipe_type": 1}
        return about | {"subset": subset, "annotation": annotation, "video_url": "none"}

    database = {
        "LtRSn-ntcLY": entry(
            "ReplaceCDDriveWithSSD", "testing", ("take out", 0.0, 1.0), ("insert", 1.0, 2)
        ),
        "__b": entry("MakeTea", "testing", ("pour", 1.0, 2.0)),
        "train": entry("MakeTea", "training", ("boil", 0.0, 1.0)),
    }
    _json(root / "COIN.json", {"database": database})
    video(root / "LtRSn-ntcLY.mp4", *((4, 4) if tasks else (4, 7)))
    video(root / "__b.mp4", *((9, 9) if tasks else (1, 9)))


def coin_step(root: Path) -> Little:
    _coin(root, tasks=False)
    return Little(_knowing({"take out": 4, "insert": 7, "pour": 9, "boil": 11}), 3, 4)


def coin_task(root: Path) -> Little:
    _coin(root, tasks=True)
    return Little(_knowing({"replace CD drive with SSD": 4, "make tea": 9}), 2, 2)


def _crosstask(root: Path) -> None:
    blocks = [
        ["16815", "Jack Up a Car", "https://address", "2", "get the things out,brake on"],
        ["23521", "Make Jello", "https://address", "1", "stir mixture"],
    ]
    text = "".join("\n".join(block) + "\n\n" for block in blocks)
    (root / "tasks_primary.txt").write_text(text)
    rows = [["16815", "v1", "u"], ["23521", "v2", "u"], ["99", "other", "u"]]
    _csv(root / "videos_val.csv", *rows)
    _csv(root / "annotations" / "16815_v1.csv", [2, 0.0, 1.0], [1, 1.0, 2.0])
    _csv(root / "annotations" / "23521_v2.csv", [1, 1.0, 2.0])


def crosstask_step(root: Path) -> Little:
    _crosstask(root)
    video(root / "v1.mp4", 3, 5)
    video(root / "v2.mp4", 1, 8)
    return Little(_knowing({"brake on": 3, "get the things out": 5, "stir mixture": 8}), 3, 3)


def crosstask_task(root: Path) -> Little:
    _crosstask(root)
    video(root / "v1.mp4", 3)
    video(root / "v2.mp4", 8)
    return Little(_knowing({"Jack Up a Car": 3, "Make Jello": 8}), 2, 2)


def msrvtt(root: Path) -> Little:
    rows = [
        ["ret0", "msr9770", "video9770", "a person is connecting something to system"],
        ["ret1", "msr9771", "video9771", "a little girl does gymnastics, twice"],
    ]
    _csv(root / "MSRVTT_JSFUSION_test.csv", ["key", "vid_key", "video_id", "sentence"], *rows)
    video(root / "videos" / "video9770.mp4", 2)
    video(root / "videos" / "video9771.mp4", 6)
    return Little(_knowing({str(rows[0][3]): 2, str(rows[1][3]): 6}), 2, 1)


def msrvtt_full(root: Path) -> Little:
    splits = {"video0": "train", "video1": "test", "video2": "test"}
    videos = [{"video_id": name, "split": split, "category": 9} for name, split in splits.items()]
    texts = {"a cat": 1, "a dog": 2, "some cat": 1, "a train": 0}
    sentences = [
        {"caption": text, "video_id": f"video{number}", "sen_id": row}
        for row, (text, number) in enumerate(texts.items())
    ]
    _json(root / "MSRVTT_data.json", {"videos": videos, "sentences": sentences})
    video(root / "video1.mp4", 1)
    video(root / "video2.mp4", 2)
    return Little(_knowing(texts), 2, 2)


def msvd(root: Path) -> Little:
    lines = ["# comment", "aa_33_46 A bird in a sink", "aa_33_46 A bird bathes", "b_1_2 A man runs"]
    (root / "AllVideoDescriptions.txt").write_text("\n".join([*lines, "c_3_4 A train"]))
    (root / "test_list.txt").write_text("aa_33_46\nb_1_2\n")
    video(root / "aa_33_46.mp4", 3)
    video(root / "b_1_2.mp4", 6)
    return Little(_knowing({"A bird in a sink": 3, "A bird bathes": 3, "A man runs": 6}), 2, 2)


def didemo(root: Path) -> Little:
    said = [("a@N0_1.avi", "the dog runs"), ("b@N0_2.mov", "rain"), ("a@N0_1.avi", "it stops ")]
    entries = [{"video": name, "description": text, "times": [[0, 0]]} for name, text in said]
    _json(root / "test_data.json", entries)
    video(root / "a@N0_1.mp4", 3)
    video(root / "b@N0_2.mp4", 6)
    return Little(_knowing({"the dog runs it stops": 3, "rain": 6}), 2, 1)


def activitynet(root: Path) -> Little:
    def entry(*sentences: str) -> dict[str, object]:
        return {"duration": 2.0, "timestamps": [[0, 1]], "sentences": list(sentences)}

    _json(root / "val_1.json", {"v_a": entry("He jumps.", " He lands."), "v_b": entry("Rain.")})
    video(root / "v_a.mp4", 3)
    video(root / "v_b.mp4", 6)
    return Little(_knowing({"He jumps. He lands.": 3, "Rain.": 6}), 2, 1)


def youcook2(root: Path) -> Little:
    def entry(subset: str, *steps: tuple[int, int, str]) -> dict[str, object]:
        annotations = [
            {"segment": [start, end], "id": row, "sentence": text}
            for row, (start, end, text) in enumerate(steps)
        ]
        return {"subset": subset, "recipe_type": "113", "annotations": annotations}

    database = {
        "GLd3aX16zBg": entry("validation", (0, 1, "spread butter"), (1, 2, "add cheese")),
        "train": entry("training", (0, 1, "nothing")),
    }
    _json(root / "youcookii_annotations_trainval.json", {"database": database})
    video(root / "GLd3aX16zBg.mp4", 4, 8)
    return Little(_knowing({"spread butter": 4, "add cheese": 8}), 2, 1)


def nextqa(root: Path) -> Little:
    choices = ["a0", "a1", "a2", "a3", "a4"]
    header = ["video", "frame_count", "width", "height", "question", "answer", "qid", "type"]
    words = ["run", "sit", "eat", "fall", "sing"]
    rows = [
        ["4010069381", 10, 40, 32, "what does the man do", 3, 0, "CW", *words],
        ["2", 10, 40, 32, "what does the man do", 0, 1, "TN", *words],
    ]
    _csv(root / "val.csv", [*header, *choices], *rows)
    video(root / "NExTVideo" / "1164" / "4010069381.mp4", 4)
    video(root / "2.mp4", 1)
    answers = {(4, "What does the man do?"): "fall", (1, "What does the man do?"): "run"}
    return Little(_knowing({word: i for i, word in enumerate(words)}, answers=answers), 2, 5)


def gqa(root: Path) -> Little:
    def entry(image: str, question: str, answer: str) -> dict[str, object]:
        return {"imageId": image, "question": question, "answer": answer, "isBalanced": True}

    entries = {"1": entry("n1", "Is it red?", "no"), "2": entry("n2", "What is it?", "fence")}
    _json(root / "testdev_balanced_questions.json", entries | {"3": entry("n1", "What?", "fence")})
    image(root / "images" / "n1.jpg", 2)
    image(root / "images" / "n2.jpg", 5)
    answers = {(2, "Is it red?"): "no", (5, "What is it?"): "fence", (2, "What?"): "fence"}
    return Little(_knowing({"no": 9, "fence": 10}, answers=answers), 3, 2)


def tallyqa(root: Path) -> Little:
    def entry(name: str, count: int, simple: bool) -> dict[str, object]:
        about = {"image": name, "answer": count, "question": "How many giraffes are there?"}
        return about | {"issimple": simple, "image_id": 1, "question_id": 2, "data_source": "x"}

    entries = [entry("VG_100K_2/92.png", 0, True), entry("VG_100K/93.png", 15, False)]
    _json(root / "test.json", entries)
    image(root / "VG_100K_2" / "92.png", 0)
    image(root / "VG_100K" / "93.png", 15)
    return Little(_knowing({str(count): count for count in range(16)}), 2, 16)


def pope(root: Path) -> Little:
    answers = {}
    for kind, label in (("random", "yes"), ("popular", "no"), ("adversarial", "no")):
        question = f"Is there a {kind} thing in the image?"
        name = f"COCO_val2014_{kind}"
        line = {"question_id": 1, "image": f"{name}.jpg", "text": question, "label": label}
        (root / f"coco_pope_{kind}.json").write_text(json.dumps(line) + "\n")
        image(root / "val2014" / f"{name}.png", len(answers))
        answers[len(answers), question] = label
    return Little(_knowing({"yes": 20, "no": 21}, answers=answers), 3, 2)


def worldprediction(root: Path) -> Little:
    def stretch(name: str, start: float, end: float, uid: str) -> dict[str, object]:
        times = {"segment_start_time": start, "segment_end_time": end}
        return {"segment_uid": f"segment|{uid}", "video": name, **times}

    clips = [stretch("c.mp4", n, n + 1, f"c_{n}") for n in range(4)]
    coin = {"states": stretch("s.mp4", 0.5, 1.5, "s_0"), "candidates": clips}
    coin |= {"ground_truth": "segment|c_2"}
    epic = {"states": stretch("P01/t.mp4", 0.0, 2.0, "t_0"), "candidates": clips}
    epic |= {"ground_truth": "segment|c_0"}
    # One clip may be a candidate of several items, in videos of another data set's folder too.
    _json(
        root / "WorldPrediction-WM.json",
        {"COIN": {"0": coin}, "EPIC-KITCHENS-100": {"0": epic}},
    )
    video(root / "COIN" / "s.mp4", 10, 11)
    video(root / "EPIC-KITCHENS-100" / "P01" / "t.mp4", 12, 13)
    video(root / "c.mp4", 1, 2, 3, 4)
    return Little(_knowing({}, {(10, 11): 3, (12, 13): 1}), 2, 4)


LITTLE: dict[str, Callable[[Path], Little]] = {
    "ssv2": ssv2,
    "kinetics": kinetics,
    "epic100_verb": epic_verb,
    "epic100_noun": epic_noun,
    "epic100_action": epic_action,
    "egoexo4d": egoexo4d,
    "coin_step": coin_step,
    "coin_task": coin_task,
    "crosstask_step": crosstask_step,
    "crosstask_task": crosstask_task,
    "msrvtt": msrvtt,
    "msrvtt_full": msrvtt_full,
    "msvd": msvd,
    "didemo": didemo,
    "activitynet": activitynet,
    "youcook2": youcook2,
    "nextqa": nextqa,
    "gqa": gqa,
    "tallyqa": tallyqa,
    "pope": pope,
    "worldprediction": worldprediction,
}
