"""lmms-eval finds the model by this package's entry point and scores it on tasks made of clips."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabletop_clips import MODEL, RECORDING, ROOT, actions

from training.data.decode import Frames, spread_frames
from training.data.encode import encode_clip
from vljepa_ros.model.engine import Engine

pytest.importorskip("lmms_eval", reason="needs lmms-eval: pip install '.[lmms]'")

FRAMES, RATE_HZ = 8, 4
COMMON = """
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
doc_to_visual: !function look.visual
metadata: {{version: 1}}
"""
TASKS = {
    "clips_letters": r"""
task: clips_letters
output_type: generate_until
doc_to_text: "Watch the clip.\nWhat is happening?\n{{listed}}\nAnswer with the option's letter."
doc_to_target: "{{letter}}"
generation_kwargs: {until: ["\n"]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
    "clips_choices": """
task: clips_choices
output_type: multiple_choice
doc_to_text: "What is happening?"
doc_to_target: answer
doc_to_choice: choices
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
""",
    "clips_words": r"""
task: clips_words
output_type: generate_until
doc_to_text: "What is happening?"
doc_to_target: "{{caption}}"
generation_kwargs: {until: ["\n"]}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
}


def clips() -> list[tuple[dict[str, Any], list[Frames]]]:
    """Each action of the recording with its frames (H, W, 3)."""
    return [
        (action, spread_frames(RECORDING, FRAMES, action["onset_s"], action["end_s"]))
        for action in actions()
    ]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder of tasks in lmms-eval's own form, with clips of as many frames as the model sees."""
    labels = sorted({action["label"] for action in actions()})
    rows = []
    for number, (action, frames) in enumerate(clips()):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(encode_clip((i / RATE_HZ, f) for i, f in enumerate(frames)))
        answer = labels.index(action["label"])
        listed = "\n".join(f"{chr(65 + row)}. {label}" for row, label in enumerate(labels))
        about = {"video": str(path), "caption": action["caption"], "listed": listed}
        rows.append(about | {"choices": labels, "answer": answer, "letter": chr(65 + answer)})
    data = tmp_path / "clips.json"
    data.write_text(json.dumps(rows))
    (tmp_path / "look.py").write_text("def visual(doc):\n    return [doc['video']]\n")
    for name, text in TASKS.items():
        (tmp_path / f"{name}.yaml").write_text(text + COMMON.format(data=data))
    return tmp_path


@pytest.fixture
def registered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry points of setup.py, as an installed package's."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    call = next(n for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg == "entry_points")
    points = ast.literal_eval(call.value)
    folder = tmp_path_factory.mktemp("site")
    about = folder / "vljepa_ros-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: vljepa-ros\nVersion: 0\n")
    lines = [f"[{group}]\n" + "\n".join(names) for group, names in points.items()]
    (about / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(folder)
    from lmms_eval.models import MODEL_REGISTRY_V2

    MODEL_REGISTRY_V2.load_entrypoint_manifests(overwrite=True)


def nearest_labels() -> list[bool]:
    """Whether the label nearest to the prediction is right, by the bare engine."""
    engine = Engine.load(MODEL, "cpu")
    labels = sorted({action["label"] for action in actions()})
    found = []
    for action, frames in clips():
        clip = np.stack([engine.prepare(frame) for frame in frames])[None]
        predicted = engine.predict(engine.encode_clips(clip), ["What is happening?"])
        best = int(np.argmax(engine.encode_texts(labels) @ predicted[0]))
        found.append(labels[best] == action["label"])
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("registered")
def test_lmms_eval_scores_the_model(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = pytest.importorskip("lmms_eval.evaluator")
    manager = pytest.importorskip("lmms_eval.tasks")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tasks / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = evaluator.simple_evaluate(
        model="vljepa",
        model_args=f"model_path={MODEL}",
        tasks=list(TASKS),
        task_manager=manager.TaskManager(include_path=str(tasks), include_defaults=False),
        device="cpu",
        batch_size=1,
        bootstrap_iters=0,
    )
    expected = float(np.mean(nearest_labels()))
    results = found["results"]
    assert results["clips_choices"]["acc,none"] == pytest.approx(expected)
    assert results["clips_letters"]["exact_match,none"] == pytest.approx(expected)
    assert expected > 2 / len({action["label"] for action in actions()})
    said = [sample["resps"][0][0] for sample in found["samples"]["clips_words"]]
    assert len(set(said)) > 1
    assert results["clips_words"]["exact_match,none"] > 0


def test_options_are_read_from_a_prompt() -> None:
    from vljepa_ros.lmms_plugin import options, question

    prompt = "Look.\n Why? \nA. it fell\n(B) it was pushed\nC: neither\nAnswer by the letter."
    assert options(prompt) == {"A": "it fell", "B": "it was pushed", "C": "neither"}
    assert question(prompt) == "Why?"
    assert options("A. Smith opens a door.\nWhy?") == {}
    assert options("B. first\nA. second") == {}
    assert question(" What is\nhappening? ") == "What is\nhappening?"
