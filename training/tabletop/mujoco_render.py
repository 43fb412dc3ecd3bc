"""`Renderer` by MuJoCo: the same scene as solid bodies with light and cast shadows (decision 0063).

Needs `pip install -r requirements/optional/mujoco.txt` and OpenGL without a display, by default
OSMesa (`apt install libosmesa6`); `MUJOCO_GL=egl` takes a graphics card instead.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache

import cv2
import mujoco
import numpy as np
import numpy.typing as npt

from training.tabletop.canvas import picture_matrix
from training.tabletop.looks import Camera, Look
from training.tabletop.mujoco_light import UP_LIGHT, dress
from training.tabletop.mujoco_model import COS, LARGEST_HW, SIN, SLOTS, Vector, build
from training.tabletop.mujoco_poses import Poser
from training.tabletop.names import SHAPES
from training.tabletop.painter import FURNITURE_ID, GRIPPER_ID
from training.tabletop.render import DenseLabels, ImageHWC, labels_of_ids
from training.tabletop.state import SceneState

OVERSAMPLING = 2
"""Pixels along each edge that are averaged into one."""
CAMERA_DISTANCE = 400.0
DRAWER = ("drawer front", "drawer floor", "drawer left", "drawer right", "drawer hole", "handle")
GRIPPER = ("palm", "wrist", "arm", "finger left", "finger right", "pad left", "pad right")
IdsHW = npt.NDArray[np.uint8]


class MujocoRenderer:
    """`Renderer` by MuJoCo's camera. Nothing is simulated: states are drawn as they are given.

    It holds nothing, so that it may be copied into other processes and used from any thread; each
    of them has its own model and OpenGL context.
    """

    def render(
        self, state: SceneState, size_hw: tuple[int, int], camera: Camera, look: Look
    ) -> ImageHWC:
        """RGB picture (H, W, 3) uint8.

        Raises:
            ValueError: a picture or a scene larger than the model is made for.
        """
        return _my_stage().picture(state, size_hw, camera, look)

    def dense_labels(
        self, state: SceneState, earlier: SceneState, camera: Camera, crop_px: int, grid: int
    ) -> DenseLabels:
        return labels_of_ids(flat_ids(state, camera, crop_px), state, earlier, camera, grid)


def flat_ids(state: SceneState, camera: Camera, side_px: int) -> IdsHW:
    """What each pixel of the model's crop shows, (side, side), numbered as by the painter's."""
    return _my_stage().ids(state, camera, side_px)


def _my_stage() -> Stage:
    return _stage(os.getpid(), threading.get_ident())


@lru_cache(maxsize=4)
def _stage(process: int, thread: int) -> Stage:
    """OpenGL contexts belong to a thread, and none lives on in a forked process."""
    return Stage()


class Stage:
    """The model, its OpenGL context and the look that it wears."""

    def __init__(self) -> None:
        self._model = build()
        self._data = mujoco.MjData(self._model)
        self._poser = Poser(self._model, self._data, UP_LIGHT)
        self._gl = mujoco.GLContext(64, 64)  # pictures are drawn into the model's own buffer
        self._gl.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(self._model, maxgeom=self._model.ngeom + 10)
        self._options = mujoco.MjvOption()
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = self._model.camera("camera").id
        self._look: Look | None = None
        self._number = np.zeros(self._model.ngeom, np.uint8)
        for name, number in _numbers().items():
            self._number[self._model.geom(name).id] = number

    def picture(
        self, state: SceneState, size_hw: tuple[int, int], camera: Camera, look: Look
    ) -> ImageHWC:
        """See `MujocoRenderer.render`."""
        height, width = size_hw
        large_hw = (height * OVERSAMPLING, width * OVERSAMPLING)
        self._gl.make_current()
        if look != self._look:
            dress(self._model, look)
            mujoco.mjr_uploadTexture(self._model, self._context, self._model.texture("table").id)
            self._look = look
        large = self._draw(state, large_hw, picture_matrix(camera, large_hw), segments=False)
        small: ImageHWC = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
        return small

    def ids(self, state: SceneState, camera: Camera, side_px: int) -> IdsHW:
        """See `flat_ids`."""
        matrix = camera.matrix() * (side_px / 96.0)
        matrix[:, 2] -= 0.5
        self._gl.make_current()
        seen = self._draw(state, (side_px, side_px), matrix, segments=True).astype(np.int64)
        number = np.zeros(self._scene.ngeom + 1, np.uint8)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            number[geom.segid + 1] = self._number[geom.objid]
        ids: IdsHW = number[seen[..., 0] + (seen[..., 1] << 8) + (seen[..., 2] << 16)]
        return ids

    def _draw(
        self,
        state: SceneState,
        size_hw: tuple[int, int],
        matrix: npt.NDArray[np.float64],
        *,
        segments: bool,
    ) -> npt.NDArray[np.uint8]:
        height, width = size_hw
        if height > LARGEST_HW[0] or width > LARGEST_HW[1]:
            raise ValueError(
                f"a picture of {width}x{height} pixels, as MuJoCo draws it, is larger than "
                f"{LARGEST_HW[1]}x{LARGEST_HW[0]}: ask for a smaller one, or raise LARGEST_HW in "
                "training/tabletop/mujoco_model.py"
            )
        self._poser.pose(state)
        self._aim(size_hw, matrix)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            self._model, self._data, self._options, None, self._view, everything, self._scene
        )
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = segments
        flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = segments
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = not segments
        rectangle = mujoco.MjrRect(0, 0, width, height)
        image = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_render(rectangle, self._scene, self._context)
        mujoco.mjr_readPixels(image, None, rectangle, self._context)
        return image[::-1]

    def _aim(self, size_hw: tuple[int, int], matrix: npt.NDArray[np.float64]) -> None:
        """Let the camera show the picture plane as `matrix` (2, 3) puts it into pixels."""
        height, width = size_hw
        back = np.linalg.inv(matrix[:, :2])
        middle = back @ (np.array([width / 2 - 0.5, height / 2 - 0.5]) - matrix[:, 2])
        forward = np.array((0.0, COS, -SIN))
        right, down = (_in_plane(back[:, k] / np.hypot(*back[:, k])) for k in (0, 1))
        camera = self._model.camera("camera")
        camera.pos[:] = _in_plane(middle) - CAMERA_DISTANCE * forward
        mujoco.mju_mat2Quat(camera.quat, np.stack([right, -down, -forward], axis=1).flatten())
        camera.fovy[0] = height / np.hypot(*matrix[:, 0])


def _in_plane(at: Vector) -> Vector:
    """A point of the picture plane, (x, y - z), in MuJoCo's space."""
    return np.array((at[0], -at[1] * SIN, -at[1] * COS))


def _numbers() -> dict[str, int]:
    """The number that labels have for each geom that is not background."""
    objects = {f"object {i} {shape}": i + 1 for i in range(SLOTS) for shape in SHAPES}
    return objects | dict.fromkeys(GRIPPER, GRIPPER_ID) | dict.fromkeys(DRAWER, FURNITURE_ID)
