"""Pictures show what is true; labels lie where the picture shows them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from training.tabletop.looks import Camera, Look
from training.tabletop.names import ALL_OBJECTS, COLOURS, SHAPES, ObjectName
from training.tabletop.preview import crop_of, sheet
from training.tabletop.recording import truth_of, write_video
from training.tabletop.render import (
    STANCES,
    DenseLabels,
    PainterRenderer,
    Renderer,
    degrade,
    renderer_named,
    sensor_noise,
)
from training.tabletop.shapes import COLOUR_RGB, template
from training.tabletop.state import HOVER_Z, GripperState, ObjectState, SceneState
from training.tabletop.world import Episode

RENDERER: Renderer = PainterRenderer()
CAMERA, LOOK = Camera(), Look(texture="plain", shade=0.0)
SIZE = (109, 109)


def scene(*objects: ObjectState, drawer: float = 0.0) -> SceneState:
    gripper = GripperState(20.0, 42.0, HOVER_Z, 0.3)
    return SceneState(objects, gripper, drawer, home=(20.0, 42.0))


def seen(state: SceneState, camera: Camera = CAMERA) -> np.ndarray:
    return RENDERER.render(state, SIZE, camera, LOOK).astype(int)


def labels(state: SceneState, camera: Camera = CAMERA) -> DenseLabels:
    return RENDERER.dense_labels(state, state, camera, 96, 24)


@pytest.mark.parametrize("size", [(109, 109), (240, 320), (480, 640), (200, 120)])
def test_any_size_is_rendered(size: tuple[int, int]) -> None:
    image = RENDERER.render(scene(), size, CAMERA, LOOK)
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("name", ALL_OBJECTS)
def test_labels_lie_on_pixels_of_that_colour(name: ObjectName) -> None:
    state = scene(ObjectState(name, 45.0, 66.0))
    crop = crop_of(RENDERER.render(state, SIZE, CAMERA, LOOK))
    found = labels(state)
    cells = np.argwhere(found.colour_GG == 1 + COLOURS.index(name.colour))
    assert len(cells) >= 9
    assert np.array_equal(found.colour_GG > 0, found.shape_GG == 1 + SHAPES.index(name.shape))
    middle = crop[int(cells[:, 0].mean() * 4 + 2), int(cells[:, 1].mean() * 4 + 2)].astype(float)
    nearest = min(COLOURS, key=lambda c: _hue_distance(middle, COLOUR_RGB[c]))
    assert nearest == name.colour


def _hue_distance(a: np.ndarray, b: tuple[float, float, float]) -> float:
    """Distance of two colours that weighs hue over brightness."""
    x, y = a / 255, np.array(b) / 255
    return float(np.abs((x - x.mean()) - (y - y.mean())).sum() + 0.4 * abs(x.mean() - y.mean()))


def test_objects_are_wide_enough_for_the_model_and_differ_in_outline() -> None:
    """Every shape is at least 16 px wide in the 96 px crop of the farthest training camera."""
    outlines = []
    for shape in SHAPES:
        assert template(shape, False).width * 0.95 >= 16
        state = scene(ObjectState(ObjectName("red", shape), 45.0, 66.0))
        mask = RENDERER.dense_labels(state, state, CAMERA, 96, 96).colour_GG > 0
        assert np.ptp(np.flatnonzero(mask.any(axis=0))) + 1 >= 16
        outlines.append(mask)
    for i, a in enumerate(outlines):
        for b in outlines[:i]:
            assert (a ^ b).sum() > 20


def test_the_crop_of_every_size_is_the_same_scene() -> None:
    """The model's crop of a 320x240 picture and of a 109x109 one show the same."""
    state = scene(ObjectState(ObjectName("red", "cube"), 45.0, 66.0), drawer=1.0)
    small = crop_of(RENDERER.render(state, SIZE, CAMERA, LOOK)).astype(int)
    large = RENDERER.render(state, (240, 320), CAMERA, LOOK)
    resized = cv2.resize(large, (145, 109), interpolation=cv2.INTER_AREA)[6:102, 24:120].astype(int)
    assert np.abs(small - resized).mean() < 6


def test_drawer_hides_its_content_until_it_opens() -> None:
    content = ObjectState(ObjectName("red", "ball"), 77.0, 41.0, 2.0, "drawer")
    shut, empty = scene(content), scene()
    assert np.array_equal(seen(shut), seen(empty))
    assert not labels(shut).colour_GG.any()
    opened = scene(replace(content, y=61.0), drawer=1.0)
    assert (labels(opened).colour_GG == 1).sum() >= 8
    assert np.abs(seen(opened) - seen(scene(drawer=1.0))).max() > 60
    assert np.abs(seen(scene(drawer=1.0)) - seen(empty)).max() > 60


def test_what_is_gone_is_not_seen() -> None:
    state = scene(ObjectState(ObjectName("red", "ball"), 45.0, 60.0, place="gone"))
    assert np.array_equal(seen(state), seen(scene()))


def test_nearer_objects_hide_farther_ones() -> None:
    far, near = (ObjectState(ObjectName("red", "cube"), 45.0, y) for y in (60.0, 70.0))
    near = replace(near, name=ObjectName("blue", "cube"))
    for objects in ((far, near), (near, far)):
        found = labels(scene(*objects))
        blue = (found.colour_GG == 1 + COLOURS.index("blue")).sum()
        assert blue == (labels(scene(near)).colour_GG > 0).sum()
        assert (found.colour_GG == 1).sum() < (labels(scene(far)).colour_GG > 0).sum()


def test_lifted_and_lying_objects_look_different() -> None:
    cone = ObjectState(ObjectName("red", "cone"), 45.0, 60.0)
    for other in (replace(cone, z=20.0), replace(cone, tilt=1.0), replace(cone, x=45.25)):
        assert not np.array_equal(seen(scene(cone)), seen(scene(other)))


def test_dense_labels_tell_how_things_stand() -> None:
    cube = ObjectState(ObjectName("red", "cube"), 45.0, 60.0)
    on_top = ObjectState(ObjectName("blue", "cone"), 45.0, 60.0, cube.top, "object", 0)
    lying = ObjectState(ObjectName("green", "cone"), 75.0, 75.0, tilt=1.0)
    found = labels(scene(cube, on_top, lying))
    for colour, stance in (("red", "upright"), ("blue", "upright on another"), ("green", "lying")):
        cells = found.stance_GG[found.colour_GG == 1 + COLOURS.index(colour)]
        assert cells.size and (cells == 1 + STANCES.index(stance)).all()
    assert np.array_equal(found.stance_GG > 0, found.colour_GG > 0)


def test_dense_labels_tell_pose_motion_and_grip() -> None:
    held = ObjectState(ObjectName("red", "cube"), 20.0, 42.0, HOVER_Z - 5, "held")
    state = scene(held, ObjectState(ObjectName("blue", "ball"), 60.0, 70.0))
    earlier = replace(
        state,
        objects=(replace(held, x=17.0), state.objects[1]),
        gripper=replace(state.gripper, x=17.0),
    )
    found = RENDERER.dense_labels(state, earlier, CAMERA, 96, 24)
    red, blue = found.colour_GG == 1, found.colour_GG == 3
    assert found.held_GG[red].all()
    assert not found.held_GG[blue].any()
    assert found.moving_GG[red].all()
    assert not found.moving_GG[blue].any()
    matrix = CAMERA.matrix()
    tip = matrix @ np.array([20.0, 42.0 - HOVER_Z, 1.0]) / 96
    assert found.gripper_xy == pytest.approx(tuple(tip))
    assert found.gripper_velocity == pytest.approx((3 / 96, 0.0))
    assert (found.gripper_z, found.gripper_open, found.drawer_open) == (1.0, 0.3, 0.0)


@pytest.mark.parametrize("split", ["train", "heldout_camera"])
def test_everything_that_matters_lies_within_the_crop(split: str) -> None:
    for seed in range(4_000_000, 4_000_030):
        episode = Episode.generate(seed, split)
        matrix = episode.camera.matrix()
        for segment in episode.segments:
            state = segment.motion.start
            tip = matrix @ np.array([state.gripper.x, state.gripper.y - state.gripper.z, 1.0])
            assert (tip > 1).all()
            assert (tip < 95).all()
            for i in state.visible():
                o = state.objects[i]
                middle = matrix @ np.array([o.x, o.y - o.z - 7, 1.0])
                assert (middle > 5).all()
                assert (middle < 91).all()


def test_frames_stack_pictures_and_noise_follows_its_seed() -> None:
    episode = Episode.generate(4_000_001)
    clean = episode.frames([1.0, 1.0, 5.0], SIZE)
    assert clean.shape == (3, *SIZE, 3)
    assert np.array_equal(clean[0], clean[1])
    noisy = [episode.frames([1.0, 1.0], SIZE, np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(*noisy)
    assert not np.array_equal(noisy[0][0], noisy[0][1])
    assert np.abs(noisy[0].astype(int) - clean[:2]).mean() < 3
    assert episode.frames([], SIZE).shape == (0, *SIZE, 3)


# Mean grey of 4 x 4 parts of a picture, as painted before there was a second renderer.
PAINTED = (
    (183.5, 147.4, 174.9, 177.7),
    (184.0, 150.2, 142.3, 165.5),
    (178.6, 103.1, 84.1, 153.8),
    (85.5, 92.3, 98.4, 83.6),
)


def test_who_draws_by_default_is_the_painter_and_draws_as_ever() -> None:
    """Same seeds, same frames: trained models and published scores hang on it."""
    episode = Episode.generate(4_000_001)
    assert isinstance(episode.renderer, PainterRenderer)
    image = episode.render(3.0, (240, 320))
    parts = image.astype(float).mean(axis=2).reshape(4, 60, 4, 80).mean(axis=(1, 3))
    assert np.abs(parts - np.array(PAINTED)).max() < 0.6
    noise = np.random.default_rng(1)
    sigma = float(noise.uniform(0.5, 2.5))
    by_hand = sensor_noise(episode.render(3.0, SIZE)[None], noise, sigma)
    assert np.array_equal(episode.frames([3.0], SIZE, np.random.default_rng(1)), by_hand)


def test_a_renderer_that_is_not_there_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match="painter, mujoco"):
        renderer_named("crayon")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "mujoco", None)
    monkeypatch.delitem(sys.modules, "training.tabletop.mujoco_render", raising=False)
    for part in ("light", "model", "poses"):
        monkeypatch.delitem(sys.modules, f"training.tabletop.mujoco_{part}", raising=False)
    with pytest.raises(ImportError, match=r"requirements/optional/mujoco\.txt"):
        Episode.generate(4_000_000, renderer="mujoco")


def test_degraded_frames_stay_recognisable_and_differ() -> None:
    frames = Episode.generate(4_000_002).frames([1.0, 2.0], SIZE)
    for seed in range(8):
        worse = degrade(frames, np.random.default_rng(seed))
        assert worse.shape == frames.shape
        assert worse.dtype == np.uint8
        error = np.abs(worse.astype(int) - frames).mean()
        assert 0.2 < error < 25
        assert np.array_equal(worse, degrade(frames, np.random.default_rng(seed)))


def test_recording_holds_the_stream_and_its_truth(tmp_path: Path) -> None:
    episode = Episode.generate(4_000_003, "test", idle_fraction=0.3, max_actions=2)
    video = tmp_path / "stream.mp4"
    count = write_video(episode, video, (120, 160), 10.0)
    with av.open(str(video)) as container:
        frames = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert len(frames) == count == int(episode.duration_s * 10)
    assert [t for t, _ in frames] == pytest.approx([i / 10 for i in range(count)])
    for t, image in frames[::7]:
        assert np.abs(image.astype(int) - episode.render(t, (120, 160))).mean() < 8
    truth = json.loads(json.dumps(truth_of(episode, 10.0, count)))
    assert [s["onset_s"] for s in truth["segments"]] == [
        round(s.onset_s, 3) for s in episode.segments
    ]
    assert truth["segments"][0]["caption"] == "nothing moves"
    with pytest.raises(ValueError, match="even"):
        write_video(episode, video, (121, 160), 10.0)


def test_contact_sheet_has_a_row_for_each_outcome() -> None:
    image = sheet(range(4_000_000, 4_000_003), "train", ["go_home"], rows=2, zoom=1, size_hw=None)
    assert image.shape[1] == 8 * 96
    assert image.shape[0] % (96 + 22) == 0
