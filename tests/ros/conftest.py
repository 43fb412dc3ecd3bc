"""One tiny model and one running perception node for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 in this Python: source setup.bash")

import torch
from ros_harness import Client, LifecycleClient, NodeProcess

from vljepa_ros.config import PerceptionConfig
from vljepa_ros.model import checkpoint, presets
from vljepa_ros.model.text import train_tokenizer
from vljepa_ros.model.vljepa import VLJepa
from vljepa_ros.settings import settings

CORPUS = ("What is the robot doing?", "Describe the scene.", "The gripper lifts the red cube.")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with random weights; tests only read it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny_model")
    checkpoint.save(VLJepa(presets.tiny()), train_tokenizer(CORPUS, 320), folder, {})
    return folder


@pytest.fixture(scope="session")
def perception(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """The process of a perception node that waits to be configured."""
    log = tmp_path_factory.mktemp("perception") / "log"
    process = NodeProcess("vljepa_ros.ros.perception_node", log, "-p", "autostart:=false")
    yield process
    process.end()


@pytest.fixture(scope="session")
def session_client(perception: NodeProcess) -> Iterator[Client]:
    client = Client(process=perception)
    yield client
    client.close()


@pytest.fixture
def fresh(perception: NodeProcess, session_client: Client, tiny_model: Path) -> Client:
    """The running node, unconfigured, with default parameters and the tiny model."""
    session_client.transition("deactivate", "cleanup")
    session_client.drop_publishers()
    defaults = {
        setting.name.replace(".", "__"): setting.ros_default
        for setting in settings(PerceptionConfig)
        if setting.name != "autostart"
    }
    result = session_client.set_parameters(**defaults | {"model_path": str(tiny_model)})
    assert result.successful, result.reason
    assert perception.process.poll() is None, perception.log
    session_client.clear()
    return session_client


@pytest.fixture
def active(fresh: Client, perception: NodeProcess) -> Client:
    """The running node, active, its counters at 0."""
    assert fresh.transition("configure", "activate"), perception.log
    return fresh


@pytest.fixture
def lifecycle() -> Iterator[LifecycleClient]:
    client = LifecycleClient()
    yield client
    client.close()
