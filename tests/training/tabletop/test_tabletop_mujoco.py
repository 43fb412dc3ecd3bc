"""MuJoCo shows the painter's scene: the same things at the same places, in the same colours."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.tabletop import painter
from training.tabletop.cache import FrameCache, build
from training.tabletop.looks import Camera, Look
from training.tabletop.names import ALL_OBJECTS, COLOURS, SHAPES, ObjectName
from training.tabletop.painter import FURNITURE_ID, GRIPPER_ID
from training.tabletop.preview import crop_of, sheet
from training.tabletop.render import DenseLabels, PainterRenderer, renderer_named
from training.tabletop.shapes import COLOUR_RGB
from training.tabletop.state import HOVER_Z, GripperState, ObjectState, SceneState
from training.tabletop.world import Episode

try:
    MUJOCO = renderer_named("mujoco")
    from training.tabletop import mujoco_render
except ImportError as missing:
    pytest.skip(str(missing), allow_module_level=True)

PAINTER = PainterRenderer()
CAMERA, LOOK = Camera(), Look(texture="plain", shade=0.0)
SIZE = (109, 109)
ASIDE = GripperState(20.0, 42.0, HOVER_Z, 0.3)
CLOSE_PX = 3.0
"""Of the 96 px crop: the shapes are the same, their outlines nearly."""


def thing(colour: str, shape: str, x: float, y: float) -> ObjectState:
    return ObjectState(ObjectName(colour, shape), x, y)


def scene(*objects: ObjectState, drawer: float = 0.0, gripper: GripperState = ASIDE) -> SceneState:
    return SceneState(objects, gripper, drawer, home=(20.0, 42.0))


def seen(state: SceneState) -> np.ndarray:
    return MUJOCO.render(state, SIZE, CAMERA, LOOK).astype(int)


def labels(state: SceneState) -> DenseLabels:
    return MUJOCO.dense_labels(state, state, CAMERA, 96, 24)


def both_ids(state: SceneState, camera: Camera = CAMERA) -> tuple[np.ndarray, np.ndarray]:
    return painter.flat_ids(state, camera, 96), mujoco_render.flat_ids(state, camera, 96)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def distance_px(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(np.argwhere(a).mean(axis=0) - np.argwhere(b).mean(axis=0)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("at", [(20.0, 42.0), (50.0, 60.0), (80.0, 76.0)])
def test_each_shape_stands_where_the_painter_puts_it(shape: str, at: tuple[float, float]) -> None:
    painted, drawn = both_ids(scene(thing("red", shape, *at), gripper=replace(ASIDE, x=90.0)))
    assert distance_px(painted == 1, drawn == 1) < CLOSE_PX / 2
    assert overlap(painted == 1, drawn == 1) > 0.8


@pytest.mark.parametrize(("shape", "least"), [("cylinder", 0.8), ("cone", 0.55)])
def test_what_lies_lies_where_the_painter_puts_it(shape: str, least: float) -> None:
    lying = replace(thing("red", shape, 50.0, 60.0), tilt=1.0)
    painted, drawn = both_ids(scene(lying))
    assert distance_px(painted == 1, drawn == 1) < CLOSE_PX
    assert overlap(painted == 1, drawn == 1) > least
    upright = mujoco_render.flat_ids(scene(replace(lying, tilt=0.0)), CAMERA, 96)
    assert overlap(upright == 1, drawn == 1) < 0.85


@pytest.mark.parametrize("split", ["train", "heldout_camera"])
def test_streams_show_everything_at_the_same_place(split: str) -> None:
    """Gripper and objects of whole episodes, under each split's cameras. For a moment of a grip
    the painter hides parts of an object that are in sight: there outlines differ more."""
    apart = []
    for seed in range(4_000_000, 4_000_004):
        episode = Episode.generate(seed, split)
        for t in np.linspace(0.1, episode.duration_s, 12):
            state = episode.state(float(t))
            painted, drawn = both_ids(state, episode.camera)
            for number in (GRIPPER_ID, *range(1, 1 + len(state.objects))):
                a, b = painted == number, drawn == number
                if min(a.sum(), b.sum()) > 120:
                    apart.append(distance_px(a, b))
                assert not (a.sum() > 60 and b.sum() == 0), (seed, float(t), number)
                assert not (b.sum() > 60 and a.sum() == 0), (seed, float(t), number)
    assert len(apart) > 150
    assert np.mean(apart) < CLOSE_PX / 2
    assert np.quantile(apart, 0.98) < CLOSE_PX
    assert max(apart) < 2 * CLOSE_PX


@pytest.mark.parametrize("name", ALL_OBJECTS)
def test_colours_are_the_painters(name: ObjectName) -> None:
    state = scene(ObjectState(name, 45.0, 66.0))
    mask = mujoco_render.flat_ids(state, CAMERA, 96) == 1
    colour = np.median(crop_of(MUJOCO.render(state, SIZE, CAMERA, LOOK))[mask], axis=0)
    assert min(COLOURS, key=lambda c: _hue_distance(colour, COLOUR_RGB[c])) == name.colour


def _hue_distance(a: np.ndarray, b: tuple[float, float, float]) -> float:
    """Distance of two colours that weighs hue over brightness."""
    x, y = a / 255, np.array(b) / 255
    return float(np.abs((x - x.mean()) - (y - y.mean())).sum() + 0.4 * abs(x.mean() - y.mean()))


@pytest.mark.parametrize("split", ["train", "heldout_background"])
def test_furniture_is_coloured_and_lit_as_painted(split: str) -> None:
    away = scene(gripper=GripperState(45.0, 40.0, HOVER_Z, 0.3))
    for seed in range(4_000_000, 4_000_006):
        look = Episode.generate(seed, split).look
        painted, drawn = (r.render(away, (218, 218), CAMERA, look) for r in (PAINTER, MUJOCO))
        for rows, columns in ((slice(140, 165), slice(40, 130)), (slice(20, 50), slice(2, 14))):
            a, b = painted[rows, columns].mean((0, 1)), drawn[rows, columns].mean((0, 1))
            assert np.abs(b / a - 1).max() < 0.15, (seed, a, b)


@pytest.mark.parametrize("texture", ["wood", "tiles", "stripes"])
def test_the_table_has_the_painters_texture(texture: str) -> None:
    """In the same place and the right way round."""
    look = Look(texture=texture, texture_seed=5, shade=0.0)
    far = scene(gripper=GripperState(45.0, 36.0, HOVER_Z, 0.3))
    a, b = (
        r.render(far, (436, 436), CAMERA, look)[280:350, 80:280].mean(axis=2).ravel()
        for r in (PAINTER, MUJOCO)
    )
    assert np.corrcoef(a, b)[0, 1] > 0.6


def test_nearer_objects_hide_farther_ones() -> None:
    far, near = thing("red", "cube", 45.0, 60.0), thing("blue", "cube", 45.0, 70.0)
    for objects in ((far, near), (near, far)):
        found = labels(scene(*objects))
        blue = (found.colour_GG == 1 + COLOURS.index("blue")).sum()
        assert blue == (labels(scene(near)).colour_GG > 0).sum()
        assert 0 < (found.colour_GG == 1).sum() < (labels(scene(far)).colour_GG > 0).sum()


def test_a_stack_is_seen_as_one_on_the_other() -> None:
    base = thing("red", "cube", 45.0, 60.0)
    top = replace(thing("blue", "cone", 45.0, 60.0), z=base.top, place="object", on=0)
    painted, drawn = both_ids(scene(base, top))
    for number in (1, 2):
        assert distance_px(painted == number, drawn == number) < CLOSE_PX
    rows = [np.argwhere(drawn == number)[:, 0] for number in (1, 2)]
    assert rows[1].mean() < rows[0].mean() - 8
    joined = np.flatnonzero((drawn[:, 40:50] > 0).any(axis=1))
    assert np.array_equal(joined, np.arange(joined[0], joined[-1] + 1)), "a gap between the two"


def test_drawer_hides_its_content_until_it_opens() -> None:
    content = replace(thing("red", "ball", 77.0, 41.0), z=2.0, place="drawer")
    shut, empty = scene(content), scene()
    assert np.array_equal(seen(shut), seen(empty))
    assert not labels(shut).colour_GG.any()
    opened = scene(replace(content, y=61.0), drawer=1.0)
    painted, drawn = both_ids(opened)
    assert distance_px(painted == 1, drawn == 1) < CLOSE_PX
    for amount in (0.4, 1.0):
        painted, drawn = both_ids(scene(drawer=amount))
        assert overlap(painted == FURNITURE_ID, drawn == FURNITURE_ID) > 0.7
    assert np.abs(seen(scene(drawer=1.0)) - seen(empty)).max() > 60


def test_what_is_held_hangs_between_the_fingers() -> None:
    cube = thing("red", "cube", 45.0, 60.0)
    gripper = GripperState(45.0, 60.0, HOVER_Z, cube.grip_open)
    held = replace(cube, place="held", z=HOVER_Z - cube.grip_z)
    painted, drawn = both_ids(scene(held, gripper=gripper))
    assert distance_px(painted == 1, drawn == 1) < CLOSE_PX
    assert overlap(painted == GRIPPER_ID, drawn == GRIPPER_ID) > 0.6
    middle = int(np.argwhere(drawn == 1)[:, 0].min()) + 2
    columns = np.flatnonzero(drawn[middle] == 1)
    assert (drawn[middle, : columns[0]] == GRIPPER_ID).any()
    assert (drawn[middle, columns[-1] + 1 :] == GRIPPER_ID).any()
    assert labels(scene(held, gripper=gripper)).held_GG.any()


def test_what_is_gone_is_not_seen() -> None:
    gone = replace(thing("red", "ball", 45.0, 60.0), place="gone")
    assert np.array_equal(seen(scene(gone)), seen(scene()))


def test_things_throw_shadows_on_the_table() -> None:
    """A lifted ball darkens the table where nothing of it is seen."""
    ball = replace(thing("red", "ball", 45.0, 66.0), z=22.0, place="held")
    with_ball, without = seen(scene(ball)), seen(scene())
    nothing = np.zeros(SIZE, bool)
    nothing[6:102, 6:102] = mujoco_render.flat_ids(scene(ball), CAMERA, 96) == 0
    darker = (with_ball.sum(axis=2) < 0.8 * without.sum(axis=2)) & nothing
    assert darker.sum() > 60


def test_a_picture_depends_on_nothing_drawn_before() -> None:
    episodes = [Episode.generate(seed, renderer="mujoco") for seed in (4_000_001, 4_000_002)]
    first = episodes[0].render(2.0, SIZE)
    episodes[1].render(3.0, (240, 320))
    episodes[1].dense_labels(3.0)
    assert np.array_equal(first, episodes[0].render(2.0, SIZE))
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(episodes[0].render(2.0, SIZE)))
    thread.start()
    thread.join()
    assert np.array_equal(first, elsewhere[0])


def test_only_the_pictures_of_an_episode_differ() -> None:
    painted, drawn = (
        Episode.generate(4_000_005, "test", renderer=name) for name in ("painter", "mujoco")
    )
    assert (painted.camera, painted.look) == (drawn.camera, drawn.look)
    for t in np.linspace(0, painted.duration_s, 9):
        assert painted.state(float(t)) == drawn.state(float(t))
    a, b = (e.dense_labels(painted.duration_s / 2) for e in (painted, drawn))
    assert a.gripper_xy == b.gripper_xy
    assert (a.colour_GG == b.colour_GG).mean() > 0.93


@pytest.mark.parametrize("size", [(109, 109), (240, 320), (480, 640), (200, 120)])
def test_any_size_is_rendered(size: tuple[int, int]) -> None:
    image = MUJOCO.render(scene(), size, CAMERA, LOOK)
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="LARGEST_HW"):
        MUJOCO.render(scene(), (2000, 3000), CAMERA, LOOK)
    crowd = [ObjectState(name, 20.0 + 7 * i, 60.0) for i, name in enumerate(ALL_OBJECTS[:9])]
    with pytest.raises(ValueError, match="SLOTS"):
        seen(scene(*crowd))


def test_cached_streams_keep_who_drew_them(tmp_path: Path) -> None:
    build(tmp_path, 4_000_000, episodes=1, workers=1, renderer="mujoco")
    cache = FrameCache(tmp_path)
    (cached,) = cache.episodes
    again = cached.episode()
    assert isinstance(again.renderer, type(MUJOCO))
    arrays = cache.shards[0].arrays
    at = cached.count // 2
    t = cached.first_s + at / 4.0
    assert np.array_equal(arrays["colour"][at], again.dense_labels(t).colour_GG)
    shown = np.moveaxis(arrays["frames"][at], 0, -1).astype(int)
    clean = {n: crop_of(Episode.generate(4_000_000, renderer=n).render(t, SIZE)) for n in NAMES}
    error = {name: np.abs(shown - image).mean() for name, image in clean.items()}
    assert error["mujoco"] < error["painter"]


NAMES = ("painter", "mujoco")


def test_contact_sheet_shows_both(tmp_path: Path) -> None:
    image = sheet(
        range(4_000_000, 4_000_003),
        "train",
        ["go_home"],
        rows=1,
        zoom=1,
        size_hw=None,
        renderers=NAMES,
    )
    assert image.shape == (2 * 96 + 22, 8 * 96, 3)
    assert 3 < np.abs(image[:96].astype(int) - image[96:192]).mean() < 40
