"""The lifecycle node `perception`: images of one or more cameras become semantic states and events.

configure loads and warms up the model, activate listens, deactivate keeps the weights, cleanup
frees them. Callbacks only store and await; the worker's thread runs the model and publishes.
States and events, heartbeats too, come from images: while a camera is silent there are none, and
diagnostics say so.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration

from vljepa_ros import msg, srv
from vljepa_ros.config import ConfigError, PerceptionConfig, WorldStateConfig
from vljepa_ros.ros import conversions
from vljepa_ros.ros.camera_input import CameraInput
from vljepa_ros.ros.cameras import cameras_of
from vljepa_ros.ros.debug_image import DebugImages
from vljepa_ros.ros.health import CameraMeter, Health, Level, memory_mb
from vljepa_ros.ros.interface import (
    DEBUG_IMAGE,
    DIAGNOSTICS,
    EVENT,
    GET_STATE,
    IMAGE,
    INFO,
    SET_QUERY,
    STATE,
)
from vljepa_ros.ros.lifecycle import ReportingLifecycleNode
from vljepa_ros.ros.parameters import Parameters
from vljepa_ros.ros.process import Finish, Runnable, run
from vljepa_ros.ros.requests import RequestError, ask, error_status, known_camera
from vljepa_ros.ros.second_participant import SecondParticipant
from vljepa_ros.ros.transforms import Transforms
from vljepa_ros.ros.world_state_node import WorldStateNode

if TYPE_CHECKING:
    from vljepa_ros.ros.perception import Perception

DIAGNOSTICS_PERIOD_S = 1.0


class PerceptionNode(ReportingLifecycleNode):
    """See the interface in docs; every method but `_publish` runs on the executor's thread."""

    def __init__(self, finish: Finish) -> None:
        """
        Raises:
            ConfigError: a parameter that is unknown or cannot be used.
        """
        super().__init__("perception")
        del finish  # ends by signals only
        self._perception: Perception | None = None
        self._inputs: dict[str, CameraInput] = {}
        self._publishers_of: dict[str, tuple[Any, Any]] = {}
        self._debug_images: dict[str, DebugImages] = {}
        self._active = False
        self._clock_jumps = 0
        self._settings = Parameters(
            self,
            PerceptionConfig,
            locked=lambda: self._perception is not None,
            changed=self._on_parameters,
            check=cameras_of,
            beside=(WorldStateConfig,),
        )
        self._meters: dict[str, CameraMeter] = {}
        self._last_state_ids: dict[str, int] = {}
        self._info_publisher = self.create_publisher(INFO.type, INFO.name, INFO.qos)
        self._diagnostics_publisher = self.create_publisher(
            DIAGNOSTICS.type, DIAGNOSTICS.name, DIAGNOSTICS.qos
        )
        # A steady clock: diagnostics matter most when simulated time stands still.
        self.create_timer(
            DIAGNOSTICS_PERIOD_S, self._on_second, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_time_jump,
        )
        self._serve()

    @property
    def node(self) -> PerceptionNode:
        """Itself, for `process.run`."""
        return self

    @property
    def config(self) -> PerceptionConfig:
        return self._settings.config

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in cameras_of(self.config))

    def start(self) -> None:
        """Bring itself to active, unless a lifecycle manager is to do so."""
        if not self.config.autostart:
            self.get_logger().info("unconfigured; waiting for a lifecycle manager (autostart off)")
            return
        self.bring_up()

    def close(self) -> None:
        """From any state, at the end of the process."""
        self._state_service.close()
        self.release()

    # --- lifecycle -----------------------------------------------------------------------------

    def configure(self) -> None:
        """Load the model, warm it up, say what its embeddings are."""
        try:
            from vljepa_ros.ros.perception import Perception
        except ImportError as error:
            raise ConfigError(
                f"{error}; the model needs torch and transformers in the Python that runs this "
                "node: python3 -m pip install torch transformers"
            ) from error
        self._meters = {camera: CameraMeter() for camera in self.cameras}
        self._perception = Perception(
            self.config,
            {camera: self._last_state_ids.get(camera, 0) for camera in self.cameras},
            publish=self._publish,
            show=lambda camera, draw: self._debug_images[camera].show(draw),
            listen=functools.partial(Transforms, self),
            clock=self.get_clock(),
            log=self.get_logger(),
        )
        for camera in cameras_of(self.config):
            self._publishers_of[camera.name] = (
                self.create_lifecycle_publisher(STATE.type, STATE.of(camera), STATE.qos),
                self.create_lifecycle_publisher(EVENT.type, EVENT.of(camera), EVENT.qos),
            )
            self._debug_images[camera.name] = DebugImages(self, DEBUG_IMAGE.of(camera))
        self._info_publisher.publish(self._perception.info())
        engine = self._perception.engine
        self.get_logger().info(
            f"model {engine.config.name} ({engine.sha256[:12]}) on {engine.device}, {engine.dtype}"
        )

    def activate(self) -> None:
        """Listen to the cameras."""
        perception = self._loaded()
        self._meters = {camera: CameraMeter() for camera in self.cameras}
        perception.restart(self._meters)
        for camera in cameras_of(self.config):
            self._inputs[camera.name] = CameraInput(
                self,
                topic=IMAGE.of(camera),
                transport=self.config.image_transport,
                reliability=self.config.reliability,
                meter=self._meters[camera.name],
                take=functools.partial(perception.offer, camera.name),
            )
        self._active = True

    def _loaded(self) -> Perception:
        if self._perception is None:
            raise ConfigError("no model is loaded; configure the node first")
        return self._perception

    def deactivate(self) -> None:
        """Listen no more; the step under way is still published."""
        self._active = False
        for camera_input in self._inputs.values():
            camera_input.close()
        self._inputs.clear()
        if self._perception is not None:
            self._perception.drain()

    def cleanup(self) -> None:
        """Free the model; the ids of states go on after the next configure."""
        if self._perception is not None:
            self._last_state_ids |= self._perception.state_ids()
            self._perception.close()
            self._perception = None
        for publishers in self._publishers_of.values():
            for publisher in publishers:
                self.destroy_lifecycle_publisher(publisher)
        self._publishers_of.clear()
        for debug_images in self._debug_images.values():
            debug_images.close()
        self._debug_images.clear()

    # --- what the worker's thread calls --------------------------------------------------------

    def _publish(
        self, camera: str, state: msg.SemanticState, event: msg.SemanticEvent | None
    ) -> None:
        states, events = self._publishers_of[camera]
        states.publish(state)
        if event is not None:
            events.publish(event)

    # --- services ------------------------------------------------------------------------------

    def _serve(self) -> None:
        self.create_service(
            SET_QUERY.type,
            SET_QUERY.name,
            self._on_set_query,
            qos_profile=SET_QUERY.qos,
            # A callback that awaits holds up all others of a group that is not reentrant.
            callback_group=ReentrantCallbackGroup(),
        )
        self._state_service = SecondParticipant(
            self, GET_STATE.type, GET_STATE.name, self._on_get_state
        )

    async def _on_set_query(
        self, request: srv.SetQuery.Request, response: srv.SetQuery.Response
    ) -> srv.SetQuery.Response:
        try:
            perception = self.ready()
            cameras = (
                (known_camera(request.camera, self.cameras),) if request.camera else self.cameras
            )
            work = functools.partial(
                perception.set_query, cameras, request.query, list(request.labels)
            )
            await ask(perception.worker, self.executor, work)
            response.status = conversions.status_message()
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            response.status = error_status(error, self.get_logger())
        return response

    async def _on_get_state(
        self, request: srv.GetState.Request, response: srv.GetState.Response
    ) -> srv.GetState.Response:
        try:
            perception = self.ready()
            work = functools.partial(
                perception.describe, known_camera(request.camera, self.cameras)
            )
            response.state, response.caption = await ask(
                perception.worker, self._state_service.executor, work
            )
            response.status = conversions.status_message()
        except Exception as error:  # noqa: BLE001 - every request gets an answer
            response.status = error_status(error, self.get_logger())
        return response

    def ready(self) -> Perception:
        """The model at work.

        Raises:
            RequestError: NOT_ACTIVE.
        """
        perception = self._perception  # other threads ask too
        if perception is None or not self._active:
            raise RequestError(
                msg.Status.NOT_ACTIVE,
                "the node perception is not active; configure and activate it first",
            )
        return perception

    # --- once a second, and when things change -------------------------------------------------

    def _on_second(self) -> None:
        for camera_input in self._inputs.values():
            camera_input.look()
        if self._perception is not None:
            self._perception.look_for_poses()
        healths = {f"{self.get_fully_qualified_name()}: model": self._health()}
        for camera, camera_input in self._inputs.items():
            healths[f"{self.get_fully_qualified_name()}: {camera}"] = self._meters[camera].health(
                topic=camera_input.topic,
                publishers=camera_input.publishers,
                stale_after_s=self.config.stale_after_s,
                warning=camera_input.warning,
            )
        device = self._perception.engine.device if self._perception else ""
        self._diagnostics_publisher.publish(
            conversions.diagnostics_message(
                healths, hardware_id=device, now_ns=self.get_clock().now().nanoseconds
            )
        )

    def _health(self) -> Health:
        values = {
            "memory [MB]": f"{memory_mb():.1f}",
            "clock jumps": str(self._clock_jumps),
            "last error": self.failure,
        }
        if self._perception is not None:
            engine = self._perception.engine
            values |= {
                "device": f"{engine.device}, {engine.dtype}",
                "device memory [MB]": f"{self._perception.device_memory_mb():.1f}",
                "model": engine.config.name,
                "model_sha256": engine.sha256,
                "space_id": engine.space_id,
                "entries remembered": str(len(self._perception.memory)),
                "entries lost": str(self._perception.memory.lost),
            }
            places = self._perception.places
            if places is not None:
                values |= {
                    "entries with a pose": str(places.known),
                    "entries without a pose": str(places.missed),
                }
        if self.failure:
            return Health(Level.ERROR, self.failure, values)
        configured = "inactive" if self._perception else "unconfigured"
        return Health(Level.OK, "active" if self._active else configured, values)

    def _on_parameters(self, config: PerceptionConfig) -> None:
        if self._perception is not None:
            self._perception.reconfigure(config)

    def _on_time_jump(self, jump: Any) -> None:
        self._clock_jumps += 1
        seconds = jump.delta.nanoseconds / 1e9
        self.get_logger().warning(f"ROS time jumped by {seconds:.3f} s; the past is forgotten")
        if self._perception is not None:
            self._perception.reset()


def create(finish: Finish) -> list[Runnable]:
    """The nodes of the process: `perception`, and `world_state`, which shares its model.

    Raises:
        ConfigError: a parameter that is unknown or cannot be used.
    """
    perception = PerceptionNode(finish)
    try:
        use_sim_time = bool(perception.get_parameter("use_sim_time").value)
        return [perception, WorldStateNode(perception.ready, use_sim_time=use_sim_time)]
    except ConfigError:
        perception.close()
        raise


def main(args: Sequence[str] | None = None) -> int:
    """Run the nodes; returns the exit code of the process."""
    return run(create, args)


if __name__ == "__main__":
    raise SystemExit(main())
