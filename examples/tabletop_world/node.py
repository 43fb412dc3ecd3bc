"""The node `tabletop`: owns a simulated table, shows it to a camera and acts on words.

| topic | type | |
|---|---|---|
| pub `image` | sensor_msgs/Image | what its camera sees, stamped when taken |
| sub `~/act` | std_msgs/String | a skill to carry out, in words |
| pub `~/act_status` | std_msgs/String | JSON: `action`, `phase`, `reason` of what was asked for |
| pub `~/skills` (latched) | std_msgs/String | JSON list: what can be asked for in this scene |
| pub `~/truth` (latched) | std_msgs/String | JSON: the true scene when nothing moves; for judges |

`phase` is `started`, then `finished`; or `refused`, with the reason, when nothing moves for it.
That a skill has finished says nothing of how it went: the camera shows that. The parameter
`scene_seed` may be set at any time and puts another scene on the table at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String

from examples.tabletop_world.skills import SkillError
from examples.tabletop_world.table import Table
from examples.tabletop_world.truth import write_truth
from training.tabletop.splits import SPLITS, TEST_SEEDS
from vljepa_ros.config import setting
from vljepa_ros.ros import conversions, qos
from vljepa_ros.ros.parameters import Parameters
from vljepa_ros.ros.process import Finish, run

NS_PER_S = 1_000_000_000
RELIABLE = QoSProfile(depth=10)
"""rclpy's default is reliable and volatile."""


@dataclass(frozen=True)
class TabletopConfig:
    """Parameters of the node `tabletop`."""

    scene_seed: int = setting(
        TEST_SEEDS.start, "Scene on the table; setting it resets", low=0, high=2**31 - 1, live=True
    )
    split: str = setting("test", "What scene, camera and look are drawn from", choices=SPLITS)
    rate_hz: float = setting(15.0, "Images per second [Hz]", low=0.1, high=120.0)
    width: int = setting(320, "Width of the images [px]", low=32, high=4096)
    height: int = setting(240, "Height of the images [px]", low=32, high=4096)
    frame_id: str = setting("camera", "frame_id of every image")


class Tabletop:
    """The node. Everything happens on its executor's thread, one thing at a time."""

    def __init__(self, _finish: Finish) -> None:
        """
        Raises:
            ConfigError: a parameter that cannot be used.
        """
        self.node = Node("tabletop")
        self._log = self.node.get_logger()
        self._config = Parameters(self.node, TabletopConfig, changed=self._reset).config
        create = self.node.create_publisher
        self._images = create(Image, "image", qos.image(reliable=True, depth=5))
        self._status = create(String, "~/act_status", RELIABLE)
        self._skills = create(String, "~/skills", qos.LATCHED)
        self._truth = create(String, "~/truth", qos.LATCHED)
        self.node.create_subscription(String, "~/act", self._on_act, RELIABLE)
        self._acting = ""
        self._reset(self._config)

    def start(self) -> None:
        self.node.create_timer(1.0 / self._config.rate_hz, self._on_timer)

    def close(self) -> None:
        """Nothing is left open."""

    def _now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def _reset(self, config: TabletopConfig) -> None:
        if self._acting:
            self._say("refused", self._acting, "another scene was put on the table")
        self._table = Table(config.scene_seed, config.split)
        self._acting = ""
        self._skills.publish(String(data=json.dumps(self._table.skills)))
        self._say_truth()
        self._log.info(f"scene {config.scene_seed}: {len(self._table.skills)} skills")

    def _on_act(self, message: String) -> None:
        try:
            self._table.act(message.data, self._now_ns() / NS_PER_S)
        except SkillError as error:
            self._say("refused", message.data, str(error))
            return
        self._acting = message.data
        self._say("started", message.data)

    def _on_timer(self) -> None:
        when_ns = self._now_ns()
        finished = self._table.advance(when_ns / NS_PER_S)
        size_hw = self._config.height, self._config.width
        image_HWC = self._table.picture(when_ns / NS_PER_S, size_hw)
        self._images.publish(
            conversions.image_message(
                image_HWC, when_ns=when_ns, frame_id=self._config.frame_id, encoding="rgb8"
            )
        )
        if finished:
            action, self._acting = self._acting, ""
            self._say("finished", action)
            self._say_truth()

    def _say(self, phase: str, action: str, reason: str = "") -> None:
        status = {"action": action, "phase": phase, "reason": reason}
        self._status.publish(String(data=json.dumps(status)))
        self._log.info(f"{phase}: {action}{': ' if reason else ''}{reason}")

    def _say_truth(self) -> None:
        self._truth.publish(String(data=write_truth(self._table.seed, self._table.rest)))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code of the process."""
    return run(Tabletop, args)
