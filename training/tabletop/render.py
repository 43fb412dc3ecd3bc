"""The renderer's interface, who draws behind it, and what a camera does to pictures."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import cv2
import numpy as np
import numpy.typing as npt

from training.tabletop.looks import CROP_PX, Camera, Look
from training.tabletop.names import COLOURS, SHAPES
from training.tabletop.painter import flat_ids, painter
from training.tabletop.state import HOVER_Z, SceneState

ImageHWC = npt.NDArray[np.uint8]
LabelsGG = npt.NDArray[np.int64]
STANCES = ("upright", "lying", "upright on another", "lying on another")
MOVED_PX = 0.4
"""An object that moved further than this since the earlier state is moving."""


@dataclass(frozen=True, eq=False)
class DenseLabels:
    """What each of G x G cells of the model's crop shows, and the pose of the robot.

    Positions are in shares of the crop, 0..1 from its upper left corner.
    """

    colour_GG: LabelsGG
    """0 none, else 1 + index in COLOURS."""
    shape_GG: LabelsGG
    """0 none, else 1 + index in SHAPES."""
    stance_GG: LabelsGG
    """0 none, else 1 + index in STANCES."""
    moving_GG: LabelsGG
    held_GG: LabelsGG
    gripper_xy: tuple[float, float]
    """The finger tips in the picture."""
    gripper_z: float
    """Height above the table; 1 = travelling height."""
    gripper_open: float
    drawer_open: float
    gripper_velocity: tuple[float, float]
    """Change of `gripper_xy` since the earlier state."""


class Renderer(Protocol):
    """Anything that shows a scene: the painter here, or MuJoCo's camera (mujoco_render.py)."""

    def render(
        self, state: SceneState, size_hw: tuple[int, int], camera: Camera, look: Look
    ) -> ImageHWC:
        """RGB picture (H, W, 3) uint8. The model's crop is the centre, 96/109 of the short side."""
        ...

    def dense_labels(
        self, state: SceneState, earlier: SceneState, camera: Camera, crop_px: int, grid: int
    ) -> DenseLabels:
        """Labels of `grid` x `grid` cells of the crop; `earlier` tells what moves."""
        ...


class PainterRenderer:
    """`Renderer` by the 2.5D painter."""

    def render(
        self, state: SceneState, size_hw: tuple[int, int], camera: Camera, look: Look
    ) -> ImageHWC:
        return painter(size_hw, camera, look).paint(state)

    def dense_labels(
        self, state: SceneState, earlier: SceneState, camera: Camera, crop_px: int, grid: int
    ) -> DenseLabels:
        return labels_of_ids(flat_ids(state, camera, crop_px), state, earlier, camera, grid)


def labels_of_ids(
    ids: npt.NDArray[np.uint8],
    state: SceneState,
    earlier: SceneState,
    camera: Camera,
    grid: int,
) -> DenseLabels:
    """Labels from what each pixel (side, side) of the crop shows, numbered as by `flat_ids`."""
    crop_px = len(ids)
    cells = cv2.resize(ids, (grid, grid), interpolation=cv2.INTER_NEAREST)
    if crop_px % grid == 0:
        middle = crop_px // grid // 2
        cells = ids[middle :: crop_px // grid, middle :: crop_px // grid]
    colour, shape, stance, moving, held = _tables(state, earlier)
    here, before = _tip(state, camera), _tip(earlier, camera)
    g = state.gripper
    return DenseLabels(
        colour_GG=colour[cells],
        shape_GG=shape[cells],
        stance_GG=stance[cells],
        moving_GG=moving[cells],
        held_GG=held[cells],
        gripper_xy=here,
        gripper_z=g.z / HOVER_Z,
        gripper_open=g.open,
        drawer_open=state.drawer,
        gripper_velocity=(here[0] - before[0], here[1] - before[1]),
    )


RendererName = Literal["painter", "mujoco"]


def renderer_named(name: RendererName) -> Renderer:
    """The renderer of a name; MuJoCo is loaded here and nowhere else.

    Raises:
        ValueError: no such renderer.
        ImportError: MuJoCo, or the OpenGL that it draws with, is not installed.
    """
    if name == "painter":
        return PainterRenderer()
    if name != "mujoco":
        raise ValueError(f"no renderer {name!r}; use one of {', '.join(get_args(RendererName))}")
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "osmesa")
    try:
        from training.tabletop.mujoco_render import MujocoRenderer
    except (ImportError, AttributeError) as error:  # PyOpenGL without its library: AttributeError
        raise ImportError(
            "the mujoco renderer needs MuJoCo and OpenGL without a display: pip install -r "
            "requirements/optional/mujoco.txt, and apt install libosmesa6 (or set MUJOCO_GL=egl "
            f"on a machine with a graphics card). MUJOCO_GL is {os.getenv('MUJOCO_GL')!r}: {error}"
        ) from error
    return MujocoRenderer()


def _tables(state: SceneState, earlier: SceneState) -> tuple[LabelsGG, ...]:
    """Colour, shape, stance, moving and held of every flat id."""
    colour, shape, stance, moving, held = (np.zeros(256, np.int64) for _ in range(5))
    for i, (o, was) in enumerate(zip(state.objects, earlier.objects, strict=True), start=1):
        colour[i] = 1 + COLOURS.index(o.name.colour)
        shape[i] = 1 + SHAPES.index(o.name.shape)
        stance[i] = 1 + o.lying + 2 * (o.place == "object")
        moving[i] = (
            abs(o.x - was.x) + abs(o.y - was.y) + abs(o.z - was.z) + 10 * abs(o.tilt - was.tilt)
            > MOVED_PX
        )
        held[i] = o.place == "held"
    return colour, shape, stance, moving, held


def _tip(state: SceneState, camera: Camera) -> tuple[float, float]:
    g = state.gripper
    x, y = camera.matrix() @ np.array([g.x, g.y - g.z, 1.0]) / CROP_PX
    return (float(x), float(y))


SLIGHT_NOISE = (0.5, 2.5)
"""Grey levels of a good camera's noise."""


def sensor_noise(
    frames_THWC: npt.NDArray[np.uint8], rng: np.random.Generator, sigma: float
) -> npt.NDArray[np.uint8]:
    """Independent noise of `sigma` grey levels on every pixel."""
    noise = np.empty(frames_THWC.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(1 << 30)))
    flat = noise.reshape(-1, 1)
    cv2.randn(flat, 0, sigma)
    noisy = np.clip(frames_THWC.astype(np.int16) + noise, 0, 255)
    result: npt.NDArray[np.uint8] = noisy.astype(np.uint8)
    return result


def degrade(frames_THWC: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A worse camera: sensor noise, flicker, slight blur and JPEG, each with its own strength."""
    sigma = float(rng.uniform(0.5, 7.0))
    flicker = float(rng.uniform(0.0, 0.05)) * (rng.random() < 0.5)
    quality = int(rng.integers(35, 95)) if rng.random() < 0.6 else 0
    blur = float(rng.uniform(0.3, 0.8)) if rng.random() < 0.35 else 0.0
    frames = []
    for frame in frames_THWC:
        gain = 1 + flicker * float(rng.standard_normal())
        worse = np.clip(frame * gain, 0, 255).astype(np.uint8) if flicker else frame
        if blur:
            worse = cv2.GaussianBlur(worse, (0, 0), blur * max(1.0, min(frame.shape[:2]) / 109))
        worse = sensor_noise(worse, rng, sigma)
        if quality:
            worse = _jpeg(worse, quality)
        frames.append(worse)
    return np.stack(frames) if frames else frames_THWC


def _jpeg(image_HWC: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    done, data = cv2.imencode(".jpg", image_HWC, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV cannot write JPEG; install opencv-python-headless")
    decoded: npt.NDArray[np.uint8] = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return decoded
