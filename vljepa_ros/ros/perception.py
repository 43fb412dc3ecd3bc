"""The loaded model at work: what the node `perception` has between configure and cleanup.

Imports torch, so the node imports this file only when it configures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from rclpy.clock import Clock
from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import Image

from vljepa_ros import msg
from vljepa_ros.config import ConfigError, PerceptionConfig
from vljepa_ros.images import Fault, FrameError
from vljepa_ros.message_fields import info_fields
from vljepa_ros.model.checkpoint import CheckpointError
from vljepa_ros.model.engine import Engine, EngineError
from vljepa_ros.model.preprocessing import ImageError
from vljepa_ros.model.text import TextError
from vljepa_ros.ros import conversions
from vljepa_ros.ros.camera_input import ImageMessage
from vljepa_ros.ros.debug_image import debug_message
from vljepa_ros.ros.health import RECENT_S, CameraMeter
from vljepa_ros.ros.places import Places, Source, check_frames
from vljepa_ros.ros.requests import RequestError, Work
from vljepa_ros.ros.worker import Worker
from vljepa_ros.ros.world_requests import WorldRequests
from vljepa_ros.stream.clip_buffer import Added
from vljepa_ros.stream.perceiver import Perceiver, perceive
from vljepa_ros.types import Frame, Step
from vljepa_ros.world.history import History, Moment
from vljepa_ros.world.memory import Memory
from vljepa_ros.world.record import MemoryStoreError

P = TypeVar("P")
R = TypeVar("R")

MAX_LABELS = 1000
FUTURE_NS = 1_000_000_000
"""A stamp so far ahead of ROS time is no matter of latency: two clocks disagree."""

Publish = Callable[[str, msg.SemanticState, "msg.SemanticEvent | None"], None]
Show = Callable[[str, Callable[[], Image]], None]

_IGNORED = {
    Added.UNSTAMPED: "image without a stamp (0): the camera driver must stamp its images",
    Added.REPEATED: "image with the stamp of the one before: the camera sent it twice",
    Added.LATE: "image older than the one before: it came too late to matter",
}


@dataclass
class _Stream:
    """One camera's way from image to state. Belongs to the worker's thread."""

    perceiver: Perceiver
    meter: CameraMeter = field(default_factory=CameraMeter)
    newest: msg.SemanticState | None = None
    frame: Frame | None = None
    """The newest that was perceived."""
    caption: str = ""
    """Of the last event."""
    image_format: str = ""
    said_s: dict[str, float] = field(default_factory=dict)


def _memory(config: PerceptionConfig, engine: Engine) -> Memory:
    try:
        return Memory(config.memory, engine.space_id, engine.embedding_width)
    except MemoryStoreError as error:
        raise ConfigError(str(error)) from error


class Perception:
    """Engine, worker, one perceiver for each camera, and the states that were seen."""

    def __init__(
        self,
        config: PerceptionConfig,
        last_state_ids: Mapping[str, int],
        *,
        publish: Publish,
        show: Show = lambda camera, draw: None,
        listen: Callable[[str], Source] | None = None,
        clock: Clock,
        log: RcutilsLogger,
    ) -> None:
        """Load the model and warm it up, on the thread that will run it.

        Args:
            last_state_ids: for each camera, the id its states count on from.
            publish: called on the worker's thread with every state, and its event if any.
            show: called after that with what draws the debug image of the state.
            listen: gives poses in a fixed frame; needed where `memory.pose_frame` names one.

        Raises:
            ConfigError: the model, device, query or labels cannot be used, or poses not be had.
        """
        check_frames(config.memory)
        self._publish = publish
        self._show = show
        self._clock = clock
        self._log = log
        try:
            self.engine = Engine.load(
                config.model_path,
                device=config.device,
                dtype=config.dtype,
                threads=config.threads,
                expected_sha256=config.model_sha256,
            )
            self._streams = {
                camera: _Stream(Perceiver(self.engine, config, camera, last_state_id=last_id))
                for camera, last_id in last_state_ids.items()
            }
        except (CheckpointError, EngineError, TextError, OSError) as error:
            raise ConfigError(str(error)) from error
        self._activation: object | None = None
        """Another one for each activation; None while inactive."""
        self._history = History(last_state_ids, config.history_states)
        self.memory = _memory(config, self.engine)
        self.world = WorldRequests(
            self.engine,
            self._history,
            self.memory,
            self.action_types,
            lambda: clock.now().nanoseconds,
        )
        self.worker: Worker[ImageMessage] = Worker(self._step, self._failed)
        self.worker.limit_rate(config.rate_hz)
        self.worker.start()
        self.places: Places | None = None
        try:
            if config.memory.pose_frame and listen is not None:
                source = listen(config.memory.pose_frame)
                self.places = Places(self.memory, source, config.memory.pose_of, self._unplaced)
            self.worker.call(self.engine.warm_up)
        except Exception:
            self.close()
            raise

    # --- from the executor's thread ------------------------------------------------------------

    def restart(self, meters: Mapping[str, CameraMeter]) -> None:
        """Begin anew, as after activation: no past, counts from 0, the ids go on."""
        for camera, meter in meters.items():
            self._streams[camera].meter = meter
        self.reset()
        self._activation = object()

    def reset(self) -> None:
        """Forget the past of every camera, because time jumped."""
        self._forget_frames()
        for stream in self._streams.values():
            stream.perceiver.reset()
        self._history.clear()
        self._forget_places()

    def offer(self, camera: str, message: ImageMessage) -> None:
        """Store a camera's newest image; it is perceived as soon as the model is free."""
        if self.worker.offer(camera, message):
            self._streams[camera].meter.dropped()

    def look_for_poses(self) -> None:
        """Entries may get their pose while no image comes."""
        if self.places is not None and self.places.waiting:
            self.worker.ask(self._look_for_poses)

    def drain(self) -> None:
        """Return when the step under way has ended, with nothing waiting; work is refused."""
        self._activation = None
        self._forget_frames()
        self.worker.call(lambda: self._look_for_poses(last=True))

    def _forget_frames(self) -> None:
        for camera in self.worker.forget_frames():
            self._streams[camera].meter.dropped()

    def reconfigure(self, config: PerceptionConfig) -> None:
        """Take over the settings that may change at run time."""
        self.worker.limit_rate(config.rate_hz)
        for stream in self._streams.values():
            stream.perceiver.set_selective(config.selective)
        self.memory.config = config.memory
        self._history.limit(config.history_states)

    def state_ids(self) -> dict[str, int]:
        return {camera: stream.perceiver.state_id for camera, stream in self._streams.items()}

    def close(self) -> None:
        self.worker.stop()
        if self.places is not None:
            self.places.close()
        self.memory.close()
        if self.engine.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def device_memory_mb(self) -> float:
        """What torch holds on the GPU [MB]; 0 on a CPU."""
        on_gpu = self.engine.device.startswith("cuda")
        return torch.cuda.memory_allocated(self.engine.device) / 1e6 if on_gpu else 0.0

    @property
    def action_types(self) -> tuple[str, ...]:
        """Types of actions that can be asked about; none where the model cannot imagine."""
        return self.engine.config.action_types if self.engine.can_imagine else ()

    def while_active(self, work: Work[P, R]) -> Work[P, R]:
        """The same work, to be begun now; NOT_ACTIVE from the next batch on once we stop."""
        return self._while(self._activation, work)

    def _while(self, activation: object | None, work: Work[P, R]) -> Work[P, R]:
        while True:
            if activation is None or activation is not self._activation:
                raise RequestError(
                    msg.Status.NOT_ACTIVE,
                    "the node was deactivated meanwhile; activate it and ask again",
                )
            try:
                progress = next(work)
            except StopIteration as end:
                answer: R = end.value
                return answer
            yield progress

    def info(self) -> msg.EmbeddingInfo:
        """What readers of the embeddings must know."""
        fields = info_fields(
            self.engine.config,
            space_id=self.engine.space_id,
            sha256=self.engine.sha256,
            action_types=self.action_types,
            has_decoder=self.engine.has_decoder,
        )
        return conversions.info_message(fields, self._clock.now().nanoseconds)

    # --- requests: run on the worker's thread --------------------------------------------------

    def set_query(self, cameras: Sequence[str], query: str, labels: Sequence[str]) -> None:
        """Ask something else of these cameras.

        Raises:
            RequestError: a query or label that is no usable text, or too many labels.
        """
        if len(labels) > MAX_LABELS:
            raise RequestError(
                msg.Status.TOO_MANY, f"{len(labels)} labels; at most {MAX_LABELS} can be scored"
            )
        try:
            for camera in cameras:
                self._streams[camera].perceiver.set_query(query, labels)
        except TextError as error:
            raise RequestError(msg.Status.INVALID_REQUEST, f"query or label: {error}") from error

    def describe(self, camera: str) -> tuple[msg.SemanticState, str]:
        """The newest state as it was published, and its caption.

        Raises:
            RequestError: there is no state yet.
        """
        stream = self._streams[camera]
        described = stream.perceiver.caption_now()
        if described is None or stream.newest is None:
            raise RequestError(
                msg.Status.NO_STATE,
                f"camera {camera!r} has no state yet: no usable image came since activation",
            )
        return stream.newest, described[1]

    # --- steps: run on the worker's thread -----------------------------------------------------

    def _step(self, messages: Mapping[str, ImageMessage]) -> None:
        """One step of all cameras that sent an image; what fails for one is its own matter."""
        era = self._history.era
        cameras = [camera for camera, message in messages.items() if self._take(camera, message)]
        with self._failing(cameras):
            steps = perceive([self._streams[camera].perceiver for camera in cameras])
            for camera, step in zip(cameras, steps, strict=True):
                with self._failing([camera]):
                    self._tell(camera, step, era)
            self._look_for_poses()

    def _take(self, camera: str, message: ImageMessage) -> bool:
        """Add the image to the camera's clip; True if there is something new to perceive."""
        stream = self._streams[camera]
        with self._failing([camera]):
            try:
                frame = conversions.frame_from_message(message)
                self._note_format(camera, stream, message, frame)
                stream.frame = frame
                outcome = stream.perceiver.add(frame)
            except FrameError as error:
                self._refuse(camera, error.fault.value, str(error))
                return False
            except ImageError as error:
                self._refuse(camera, Fault.SIZE.value, str(error))
                return False
            self._note_stamp(camera, stream, frame, outcome)
            if outcome is Added.RESTARTED_BACKWARD:
                self._history.clear(camera)  # its ids would be no order of time
                self._forget_places()
            return outcome.accepted
        return False

    def _tell(self, camera: str, step: Step | None, era: int) -> None:
        stream = self._streams[camera]
        if step is None:
            stream.meter.ignored("reset", "image given up: time jumped while it was looked at")
            return
        self._remember(camera, stream, step, era)
        self._publish_step(camera, stream, step)

    def _remember(self, camera: str, stream: _Stream, step: Step, era: int) -> None:
        """Before it is published, so that whoever hears of a state can ask about it."""
        tokens_BTND, state = stream.perceiver.tokens_BTND, step.state
        if tokens_BTND is not None:  # else time jumped this moment
            moment = Moment(state.state_id, state.stamp_ns, state.frame_id, tokens_BTND)
            self._history.put(camera, moment, era)

    def _publish_step(self, camera: str, stream: _Stream, step: Step) -> None:
        space_id = self.engine.space_id
        # Simulated time that has not begun stands at 0: no latency is known then.
        now_ns = self._clock.now().nanoseconds or step.state.stamp_ns
        state = conversions.state_message(
            step.state,
            space_id=space_id,
            dropped_frames=stream.meter.dropped_frames,
            now_ns=now_ns,
        )
        event = None
        if step.event is not None:
            event = conversions.event_message(step.event, space_id=space_id, now_ns=now_ns)
            stream.caption = step.event.caption
        stream.newest = state
        self._publish(camera, state, event)
        stream.meter.published(latency_ns=now_ns - step.state.stamp_ns, event=event is not None)
        self._note(camera, stream, step)
        if stream.frame is not None:
            draw = partial(debug_message, stream.frame, step.state, stream.caption)
            self._show(camera, draw)

    def _note(self, camera: str, stream: _Stream, step: Step) -> None:
        try:
            entry = self.memory.note(step)
        except MemoryStoreError as error:  # as on a full disk: seeing goes on
            self._say(stream, "memory", f"camera {camera}: {error}")
            return
        if entry is not None and self.places is not None:
            self.places.expect(entry, step.state)

    def _look_for_poses(self, *, last: bool = False) -> None:
        if self.places is not None:
            self.places.look(last=last)

    def _forget_places(self) -> None:
        """TF refuses what is older than its past, as a bag that starts over sends it."""
        if self.places is not None:
            self.places.clear()

    def _unplaced(self, camera: str, sentence: str) -> None:
        self._say(self._streams[camera], "pose", sentence)

    @contextmanager
    def _failing(self, cameras: Sequence[str]) -> Iterator[None]:
        """What is raised inside costs these cameras their image, and no others."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - reported; perception goes on
            self._failed(cameras, error)

    def _failed(self, cameras: Sequence[str], error: Exception) -> None:
        for camera in cameras:
            self._refuse(camera, "model", f"perceiving failed: {error!r}")

    def _refuse(self, camera: str, fault: str, error: str) -> None:
        stream = self._streams[camera]
        stream.meter.refused(fault, error)
        self._say(stream, fault, f"camera {camera}: {error} ({stream.meter.count(fault)} times)")

    def _note_format(
        self, camera: str, stream: _Stream, message: ImageMessage, frame: Frame
    ) -> None:
        height, width = frame.image_HWC.shape[:2]
        encoding = getattr(message, "encoding", None) or getattr(message, "format", "")
        image_format = f"{width}x{height} {encoding}"
        if stream.image_format not in ("", image_format):
            stream.meter.noted("changes of format")
            self._log.info(f"camera {camera}: now {image_format}, before {stream.image_format}")
        stream.image_format = image_format

    def _note_stamp(self, camera: str, stream: _Stream, frame: Frame, outcome: Added) -> None:
        meter = stream.meter
        if outcome in _IGNORED:
            meter.ignored(outcome.value, _IGNORED[outcome])
            self._say(stream, outcome.value, f"camera {camera}: {_IGNORED[outcome]}")
        elif outcome.restarted:
            meter.noted(f"stamps {outcome.value}")
            self._say(stream, outcome.value, f"camera {camera}: stamps {outcome.value}, clip reset")
        now_ns = self._clock.now().nanoseconds
        ahead_ns = frame.stamp_ns - now_ns
        if now_ns == 0:
            self._say(
                stream,
                "clock",
                f"camera {camera}: use_sim_time is set, but simulated time has not begun, so no "
                "latency is known; publish /clock, or set use_sim_time to false",
            )
        elif ahead_ns > FUTURE_NS:
            meter.noted("stamps in the future")
            self._say(
                stream,
                "future",
                f"camera {camera}: a stamp lies {ahead_ns / 1e9:.1f} s in the future; synchronise "
                "the clocks of camera and robot, or set use_sim_time on both sides",
            )

    def _say(self, stream: _Stream, what: str, sentence: str) -> None:
        """Warn, but of each kind at most once in a while: a broken camera says it every frame."""
        now_s = time.monotonic()
        if now_s - stream.said_s.get(what, -RECENT_S) >= RECENT_S:
            stream.said_s[what] = now_s
            self._log.warning(sentence)
