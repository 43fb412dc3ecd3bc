"""Every topic, service and action of the nodes, declared once.

The nodes create theirs from here, and `make reference` writes docs/reference.md from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image, TimeReference
from std_msgs.msg import UInt64

from vljepa_ros import action, msg, srv
from vljepa_ros.config import PerceptionConfig, VideoCameraConfig, WorldStateConfig
from vljepa_ros.ros import qos
from vljepa_ros.ros.cameras import Camera


@dataclass(frozen=True)
class Endpoint:
    """A topic, service or action."""

    name: str
    """Before remapping; where `{camera}` is in it each camera has its own."""
    type: Any
    """Its class; as text where it is in packages that need not be installed."""
    qos: QoSProfile = field(default_factory=lambda: qos.SERVICE)
    when: str = ""
    """When there is a message; a service's own file says what it answers."""

    @property
    def type_name(self) -> str:
        """As ROS writes it: std_msgs/msg/Header."""
        if isinstance(self.type, str):
            return self.type
        package, kind = self.type.__module__.split(".")[:2]
        return f"{package}/{kind}/{self.type.__name__}"

    def of(self, camera: Camera) -> str:
        """The name for this camera."""
        return self.name.format(camera=camera.prefix)


@dataclass(frozen=True)
class Interface:
    """What one node has."""

    node: str
    config: type[Any]
    subscribes: tuple[Endpoint, ...] = ()
    hears_beside: tuple[Endpoint, ...] = ()
    """Subscribed by a hidden node of the same process, where a parameter wants it."""
    publishes: tuple[Endpoint, ...] = ()
    services: tuple[Endpoint, ...] = ()
    actions: tuple[Endpoint, ...] = ()
    is_lifecycle: bool = False


IMAGE = Endpoint(
    "{camera}image",
    Image,
    qos.image(reliable=True),
    "the camera; best effort where a publisher offers no more (parameter `reliability`). With "
    "`image_transport: compressed` it is `…/compressed`, sensor_msgs/msg/CompressedImage",
)
STATE = Endpoint(
    "~/{camera}semantic_state", msg.SemanticState, qos.STATE, "every step of the model"
)
EVENT = Endpoint(
    "~/{camera}semantic_event",
    msg.SemanticEvent,
    qos.EVENT,
    "when there is something to say; late joiners get the last ten",
)
DEBUG_IMAGE = Endpoint(
    "~/{camera}debug_image",
    Image,
    qos.STATE,
    "every step, while someone listens: what was seen, the caption, the score and its threshold",
)
INFO = Endpoint(
    "~/embedding_info", msg.EmbeddingInfo, qos.LATCHED, "in configure, once the model is loaded"
)
DIAGNOSTICS = Endpoint(
    "/diagnostics", DiagnosticArray, qos.DIAGNOSTICS, "once a second, in every lifecycle state"
)
TF = Endpoint("/tf", "tf2_msgs/msg/TFMessage", qos.TF, "with `memory.pose_frame`: by tf2_ros")
TF_STATIC = Endpoint("/tf_static", "tf2_msgs/msg/TFMessage", qos.TF_STATIC, "the same")
SET_QUERY = Endpoint("~/set_query", srv.SetQuery)
GET_STATE = Endpoint("~/get_state", srv.GetState)

QUERY_TRANSITIONS = Endpoint("~/query_transitions", srv.QueryTransitions)
EXPLAIN_TRANSITION = Endpoint("~/explain_transition", srv.ExplainTransition)
QUERY_WORLD_STATE = Endpoint("~/query_world_state", srv.QueryWorldState)
ENCODE_TEXT = Endpoint("~/encode_text", srv.EncodeText)
DECODE_EMBEDDING = Endpoint("~/decode_embedding", srv.DecodeEmbedding)
QUERY_MEMORY = Endpoint("~/query_memory", srv.QueryMemory)
ROLLOUT_TRANSITIONS = Endpoint("~/rollout_transitions", action.RolloutTransitions)

_VIDEO = qos.image(
    reliable=VideoCameraConfig.reliability == "reliable", depth=VideoCameraConfig.depth
)
VIDEO_RAW = Endpoint(
    "image", Image, _VIDEO, "every picture, with `transport: raw` or `both`; QoS by parameters"
)
VIDEO_COMPRESSED = Endpoint(
    "image/compressed", CompressedImage, _VIDEO, "the same, with `compressed` or `both`"
)
TIME_REFERENCE = Endpoint(
    "~/time_reference",
    TimeReference,
    qos.TIME_REFERENCE,
    "before each picture: the moment of the source that it shows",
)
FINISHED = Endpoint(
    "~/finished", UInt64, qos.LATCHED, "at the end of a file: the number of pictures sent"
)

PERCEPTION = Interface(
    "perception",
    PerceptionConfig,
    subscribes=(IMAGE,),
    hears_beside=(TF, TF_STATIC),
    publishes=(STATE, EVENT, DEBUG_IMAGE, INFO, DIAGNOSTICS),
    services=(SET_QUERY, GET_STATE),
    is_lifecycle=True,
)
WORLD_STATE = Interface(
    "world_state",
    WorldStateConfig,
    services=(
        *(QUERY_TRANSITIONS, EXPLAIN_TRANSITION, QUERY_WORLD_STATE),
        *(ENCODE_TEXT, DECODE_EMBEDDING, QUERY_MEMORY),
    ),
    actions=(ROLLOUT_TRANSITIONS,),
)
VIDEO_CAMERA = Interface(
    "video_camera",
    VideoCameraConfig,
    publishes=(VIDEO_RAW, VIDEO_COMPRESSED, TIME_REFERENCE, FINISHED),
)
INTERFACES = (PERCEPTION, WORLD_STATE, VIDEO_CAMERA)
