"""The page of a recording: complete in itself, true to the recording, whatever texts are in it."""

from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_harness import film, jpeg, picture, read_bag, stamp_of, text, write_bag

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings.charts import COLUMNS, WIDTH, Curve, Mark, chart, thinned
from vljepa_ros.recordings.errors import RecordingError
from vljepa_ros.recordings.replay import ReplayOptions, replay
from vljepa_ros.recordings.report import html, write_report
from vljepa_ros.recordings.story import Seen, Story, Told, Track, read_story

CONFIG = PerceptionConfig(
    camera="eye",
    labels=("a cube", "a cup"),
    selective=SelectiveConfig(distance_threshold=0.01, noise_factor=0.0, patience_s=0.0),
)
HOSTILE = '</p><script src="http://x/">"&\''


@pytest.fixture(scope="module")
def recording(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    output = folder / "out.mcap"
    replay(write_bag(folder / "bag", film(12)), output, engine, CONFIG)
    return output


class Page(HTMLParser):
    """Checks that tags are closed in order, and gathers what a test asks about."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def story_of(*tolds: Told, states: int = 3) -> Story:
    seen = [Seen(stamp_of(n), 1, 0.5, 0.9, 7_000_000) for n in range(states)]
    return Story(Path("a.mcap"), "/node", {HOSTILE: Track(seen, list(tolds))}, {})


TOLD = Told(stamp_of(0), 1, "first", "a cup", 0.5, 0.0, ())


def test_the_story_is_that_of_the_recording(recording: Path) -> None:
    story = read_story(recording)
    written = read_bag(recording)
    assert story.node == "/vljepa/perception" and list(story.tracks) == ["eye"]
    track = story.tracks["eye"]
    assert [s.state_id for s in track.states] == [s.state_id for s in written.states()]
    assert [s.change_score for s in track.states] == [s.change_score for s in written.states()]
    assert {s.latency_ns for s in track.states} == {7_000_000}
    assert [t.caption for t in track.events] == [e.caption for e in written.events()]
    assert track.events[0].reason == "first" and len(track.events) >= 3
    assert [label for label, _ in track.events[0].labels] == ["a cube", "a cup"]


def test_each_event_shows_what_the_camera_saw(recording: Path) -> None:
    story = read_story(recording)
    page = Page(html(story))
    pictures = [image["src"] or "" for image in page.of("img")]
    events = story.tracks["eye"].events
    assert len(pictures) == len(events)
    for told, source in zip(events, pictures, strict=True):
        kind, _, encoded = source.partition(",")
        assert kind == "data:image/jpeg;base64"
        pixels = np.frombuffer(base64.b64decode(encoded), np.uint8)
        rgb_HWC = cv2.cvtColor(cv2.imdecode(pixels, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        number = round((told.stamp_ns - stamp_of(0)) / 1e8)
        apart = np.abs(rgb_HWC.astype(int) - picture(number // 4)).mean()
        assert apart < 12 < np.abs(rgb_HWC.astype(int) - picture(7)).mean()


def test_the_page_needs_nothing_else(recording: Path) -> None:
    written = html(read_story(recording))
    page = Page(written)
    assert not page.of("script") and not page.of("link")
    assert "url(" not in written and "@import" not in written
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    ids = {article["id"] for article in page.of("article")}
    assert ids == {(link["href"] or "")[1:] for link in page.of("a")}


def test_texts_are_texts_and_never_tags() -> None:
    told = dataclasses.replace(TOLD, caption=HOSTILE, labels=((HOSTILE, 1.0),))
    page = Page(html(story_of(told)))
    assert not page.of("script")
    assert page.texts.count(HOSTILE) == 2  # its caption, and the title of its mark
    assert any(HOSTILE in said and said != HOSTILE for said in page.texts)  # its label


def test_events_without_states_pictures_or_caption() -> None:
    page = Page(html(story_of(dataclasses.replace(TOLD, caption=""), states=0)))
    assert not page.of("img") and not page.of("svg") and "(no caption)" in page.texts
    assert len(Page(html(story_of(TOLD, states=1))).of("svg")) == 2


def test_pictures_are_limited_and_may_be_missing(
    recording: Path, engine: Engine, tmp_path: Path
) -> None:
    assert len(read_story(recording, pictures=1).jpegs) == 1
    bare = tmp_path / "bare.mcap"
    options = ReplayOptions(originals=False)
    replay(write_bag(tmp_path / "bag", film()), bare, engine, CONFIG, options)
    assert not read_story(bare).jpegs


def test_pictures_of_compressed_images(engine: Engine, tmp_path: Path) -> None:
    shots = [jpeg(picture(n // 4, 480, 640), stamp_of(n)) for n in range(5)]
    replay(write_bag(tmp_path / "bag", shots), tmp_path / "out.mcap", engine, CONFIG)
    story = read_story(tmp_path / "out.mcap")
    assert len(story.jpegs) == len(story.tracks["eye"].events) >= 2
    sizes = [cv2.imdecode(np.frombuffer(j, np.uint8), 1).shape for j in story.jpegs.values()]
    assert set(sizes) == {(240, 320, 3)}


def test_what_cannot_be_told(recording: Path, engine: Engine, tmp_path: Path) -> None:
    twice = tmp_path / "twice.mcap"
    replay(recording, twice, engine, CONFIG, ReplayOptions(node="/again"))
    silent = write_bag(tmp_path / "silent", [text("a", stamp_of(0))])
    for arguments, said in (
        ({"source": tmp_path / "none"}, "does not exist"),
        ({"source": silent}, "vljepa replay"),
        ({"source": twice}, "choose with --node: /again, /vljepa/perception"),
        ({"source": twice, "node": "/none"}, "nodes: /again"),
        ({"source": recording, "topic": "/none"}, "no image topic /none"),
    ):
        with pytest.raises(RecordingError, match=re.escape(said)):
            read_story(**arguments)
    assert read_story(twice, node="/again").node == "/again"


def test_a_page_that_is_there_is_replaced_by_force_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    write_report(story_of(TOLD), path)
    with pytest.raises(RecordingError, match="--force"):
        write_report(story_of(), path)
    write_report(story_of(), path, force=True)
    assert "a cup" not in path.read_text()
    with pytest.raises(RecordingError, match="cannot be written"):
        write_report(story_of(), path / "page.html")
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


# --- curves ------------------------------------------------------------------------------------


def test_a_long_curve_is_thinned_and_keeps_its_peaks() -> None:
    values = np.zeros(100_000)
    values[[17, 50_000, 99_998]] = 1.0
    times_s, kept = thinned(np.arange(100_000.0), values)
    assert len(kept) == COLUMNS and kept.sum() == 3 and (np.diff(times_s) > 0).all()
    assert times_s[kept == 1.0].tolist() == [17.0, 50_000.0, 99_998.0]


def test_a_curve_lies_where_its_values_are() -> None:
    drawn = chart(
        np.array([0.0, 5.0, 10.0]),
        [Curve(np.array([0.0, 0.5, 2.0]), "score")],
        unit="",
        top=1.0,
        marks=[Mark(10.0, "here", "what")],
        bands=[(0.0, 5.0, 1)],
    )
    assert 'points="40.0,140.0 520.0,70.0 1000.0,0.0"' in drawn
    assert 'x1="1000.0"' in drawn and '<rect class="band1" x="40.0" y="0" width="480.0"' in drawn


def test_marks_that_fall_together_are_one() -> None:
    times_s = np.linspace(0.0, 1.0, 10)
    marks = [Mark(t, "a", "b") for t in np.linspace(0.0, 1.0, 50_000)]
    drawn = chart(times_s, [Curve(times_s, "c")], unit="", top=1.0, marks=marks)
    assert 100 < drawn.count("<title>") <= WIDTH


def test_stamps_that_jump_back_keep_the_axis_in_order() -> None:
    states = [Seen(stamp_of(n), 1, 0.5, 0.9, 0) for n in (0, 1, 2, -50, -49)]
    told = dataclasses.replace(TOLD, stamp_ns=stamp_of(-49))
    page = Page(html(Story(Path("a"), "/n", {"c": Track(states, [told])}, {})))
    assert any("0.30 s" in said for said in page.texts)
