"""`vljepa search` on a record that a memory wrote, and what it says where it cannot."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.cli.main import main
from vljepa_ros.config import MemoryConfig
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.engine import Engine
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.types import EventReason, Pose, SemanticEvent, SemanticState, Step
from vljepa_ros.world.memory import Memory
from vljepa_ros.world.record import Record

CAPTIONS = ("the robot opens the drawer", "the robot drops the cup", "nothing happens")
FIRST_S = 1_700_000_000
POSE = Pose("map", (1.5, -2.25, 0.0), (0.0, 0.0, 0.0, 1.0))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    config = presets.tiny()
    checkpoint.save(VLJepa(config), train_tokenizer(CAPTIONS, 300), folder, {})
    return folder


@pytest.fixture(scope="module")
def store(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute between two events; each embedding is that of its caption."""
    path = tmp_path_factory.mktemp("store") / "memory.db"
    engine = Engine.load(model, device="cpu")
    memory = Memory(MemoryConfig(path=str(path)), engine.space_id, engine.embedding_width)
    for n, caption in enumerate(CAPTIONS):
        embedding_E = engine.encode_texts([caption])[0]
        stamp_ns = (FIRST_S + 60 * n) * 10**9
        camera = "left" if n % 2 else "right"
        state = SemanticState(
            stamp_ns, "", camera, 0, "What?", embedding_E, (), n + 1, 0, True, 0.0, 0.0
        )
        event = SemanticEvent(
            stamp_ns, "", camera, n + 1, n, EventReason.CHANGE, "What?", caption, 1.0, (),
            embedding_E, 0.0,
        )  # fmt: skip
        memory.note(Step(state, event), POSE if n == 1 else None)
    memory.close()
    return path


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_best_comes_first(store: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(store), CAPTIONS[1], "--model", str(model), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(found) == 3
    assert found[0]["caption"] == CAPTIONS[1] and found[0]["camera"] == "left"
    assert found[0]["similarity"] == pytest.approx(1.0, abs=1e-3)
    assert found[0]["stamp_ns"] == (FIRST_S + 60) * 10**9
    assert found[0]["pose"] == json.loads(json.dumps(dataclasses.asdict(POSE)))
    assert found[1]["pose"] is None


def test_lines_for_people_camera_and_time(
    store: Path, model: Path, capsys: pytest.CaptureFixture[str], utc: None
) -> None:
    search = ["search", str(store), CAPTIONS[0], "--model", str(model)]
    assert main([*search, "--camera", "right", "-k", "1"]) == 0
    line = capsys.readouterr().out
    assert "right #1  the robot opens the drawer\n" in line and " 1.00 " in line
    assert main(["search", str(store), CAPTIONS[1], "--model", str(model), "-k", "1"]) == 0
    assert capsys.readouterr().out.endswith("drops the cup  at 1.50 -2.25 0.00 m in map\n")
    since = np.datetime64(FIRST_S + 59, "s").astype("datetime64[s]").item().isoformat()
    assert main([*search, "--since", f"{since}+00:00"]) == 0
    assert "#1 " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"store": "none.db"}, "none.db does not exist; name the file of parameter memory.path"),
        ({"store": "words.db"}, "words.db is no bag"),
        ({"store": "other.db"}, "other.db is a database of something else; name another file"),
        ({"store": "new.db"}, "format 99, this one knows 2); update vljepa_ros\n"),
        ({"store": "bare.db"}, "bare.db holds no entries yet"),
        ({"text": ""}, "text"),
        ({"text": "\0"}, "text"),
        ({"model": "nowhere"}, "nowhere"),
        ({"k": "0"}, "-k must be 1"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    store: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.db").write_text("words")
    with closing(sqlite3.connect("other.db")) as database:
        database.execute("CREATE TABLE a(b)")
    Record(Path("bare.db")).close()
    Record(Path("new.db")).close()
    with closing(sqlite3.connect("new.db")) as database:
        database.execute("PRAGMA user_version = 99")
    given = {"store": str(store), "text": "a cup", "model": str(model), "k": "3"} | change
    arguments = ["search", given["store"], given["text"], "--model", given["model"]]
    assert main([*arguments, "-k", given["k"]]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.startswith("vljepa search: ")
    assert not captured.out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--camera", "top"], "knows no camera top; --camera one of left, right"),
        (
            ["--since", "2033-01-01"],
            "begins at 2023-11-14 22:13:20.000 and ends at 2023-11-14 22:1",
        ),
        (["--camera", "left", "--until", "2003-01-01"], "nothing of camera left was noted"),
        (["--since", "2023-12-02", "--until", "2023-12-01"], "--until lies before --since"),
    ],
)
def test_where_nothing_was_seen_it_says_what_there_is(
    store: Path,
    model: Path,
    more: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    utc: None,
) -> None:
    assert main(["search", str(store), CAPTIONS[0], "--model", str(model), *more]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not captured.out


@pytest.mark.parametrize("text", ["wann fällt der Becher?", "机器人打开抽屉", "робот роняет чашку"])
def test_a_text_in_another_language_is_searched_for_and_told(
    text: str, store: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(store), text, "--model", str(model)]) == 0
    captured = capsys.readouterr()
    assert "use the language and words of its captions" in captured.err and text in captured.err
    assert len(captured.out.splitlines()) == 3


def test_the_models_own_words_are_not_told(
    store: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(store), "the robot drops the cup", "--model", str(model)]) == 0
    assert not capsys.readouterr().err


def test_another_model_finds_nothing_and_says_so(
    store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    checkpoint.save(VLJepa(presets.tiny()), train_tokenizer(CAPTIONS, 300), tmp_path, {})
    assert main(["search", str(store), "a cup", "--model", str(tmp_path)]) == 1
    assert "all 3 entries" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--since", "yesterday"], ["--camera"], []])
def test_wrong_options(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["search", "a.db", "text", *wrong] if wrong else []
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2 and "usage: vljepa" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_runs(store: Path, model: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "vljepa"
    ran = subprocess.run(
        [sys.executable, str(script), "search", str(store), "a cup", "--model", str(model)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert len(ran.stdout.splitlines()) == 3
