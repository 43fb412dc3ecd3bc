"""The shipped recording as a benchmark: actions in COIN's format, captions in YouCook2's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
MODEL = ROOT / "models" / "tabletop"
RECORDING = ROOT / "samples" / "tabletop.mp4"


def actions() -> list[dict[str, Any]]:
    """The recording's actions whose outcome is clear, with times, label and caption."""
    segments = json.loads(RECORDING.with_suffix(".json").read_text())["segments"]
    return [s for s in segments if s["action"] != "idle" and not s["ambiguous"]]


def as_coin(root: Path) -> None:
    steps = [{"label": s["label"], "segment": [s["onset_s"], s["end_s"]]} for s in actions()]
    video = {"class": "Tabletop", "subset": "testing", "annotation": steps}
    (root / "COIN.json").write_text(json.dumps({"database": {RECORDING.stem: video}}))
    (root / RECORDING.name).symlink_to(RECORDING)


def as_youcook2(root: Path) -> None:
    steps = [{"segment": [s["onset_s"], s["end_s"]], "sentence": s["caption"]} for s in actions()]
    video = {"subset": "validation", "annotations": steps}
    text = json.dumps({"database": {RECORDING.stem: video}})
    (root / "youcookii_annotations_trainval.json").write_text(text)
    (root / RECORDING.name).symlink_to(RECORDING)
