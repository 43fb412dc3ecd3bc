"""The process of the perception node: how it starts by itself, ends, and refuses to start."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rcl_interfaces.srv import GetParameters
from ros_harness import PATIENCE_S, Client, NodeProcess, image, picture, wait_until

pytestmark = pytest.mark.ros
NODE = "vljepa_ros.ros.perception_node"


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client("/perception_alone")
    yield client
    client.close()


STARTED: list[NodeProcess] = []


@pytest.fixture(autouse=True)
def nobody_left_behind() -> Iterator[None]:
    """A test that fails half-way leaves no node running."""
    yield
    while STARTED:
        STARTED.pop().end()


def start(tmp_path: Path, *arguments: str) -> NodeProcess:
    # Another name than the shared node of the other tests, which may still be running.
    process = NodeProcess(NODE, tmp_path / "log", "-r", "__node:=perception_alone", *arguments)
    STARTED.append(process)
    return process


def test_it_brings_itself_to_active_and_two_sigints_while_it_works_end_it_well(
    tmp_path: Path, tiny_model: Path, client: Client
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(
        "/**/perception_alone:\n"
        "  ros__parameters:\n"
        f"    model_path: {tiny_model}\n"
        "    labels: []\n"
        "    selective: {threshold: 1, trust: 0, max_interval_s: 0.001}\n"
    )
    process = start(tmp_path, "--params-file", str(params), "-r", "image:=/eye/image_raw")
    process.wait_for_log("activate: done")
    publisher = client.publisher(topic="/eye/image_raw")

    def working() -> bool:
        publisher.publish(image(picture(), client.now_ns()))
        return len(client.states) > 20

    wait_until(working, "states")
    assert client.states[-1].change_threshold == 1.0
    wait_until(lambda: client.events[1:] and client.events[-1].reason == 2, "a heartbeat event")
    process.signal(signal.SIGINT, signal.SIGINT, apart_s=0.005)
    assert process.wait() == 0, process.log
    assert "Traceback" not in process.log and "rror" not in process.log, process.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_and_while_the_model_is_loaded_ends_it_well(
    tmp_path: Path, tiny_model: Path, number: signal.Signals
) -> None:
    process = start(tmp_path, "-p", f"model_path:={tiny_model}")
    # The parameters are read, so the signal handlers stand; the model is not there yet.
    wait_until(lambda: _has_threads(process), "the node's threads")
    process.signal(number, number)
    assert process.wait() == 0, process.log
    assert "Traceback" not in process.log


def test_world_state_takes_its_time_from_where_perception_does(
    tmp_path: Path, client: Client
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(
        "/**/perception_alone:\n"
        "  ros__parameters: {use_sim_time: true, autostart: false}\n"
        "/**/world_state:\n"
        "  ros__parameters: {deadline_s: 3}\n"
    )
    start(tmp_path, "--params-file", str(params), "-r", "__ns:=/apart")
    service = client.node.create_client(GetParameters, "/apart/world_state/get_parameters")
    assert service.wait_for_service(PATIENCE_S)
    asked = service.call_async(GetParameters.Request(names=["use_sim_time", "deadline_s"]))
    wait_until(asked.done, "the parameters of world_state")
    taken = asked.result().values
    assert taken[0].bool_value and taken[1].double_value == 3.0


def _has_threads(process: NodeProcess) -> bool:
    names = [
        (task / "comm").read_text()
        for task in Path(f"/proc/{process.process.pid}/task").iterdir()
        if (task / "comm").exists()
    ]
    return len(names) > 12  # two participants of Fast DDS


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("-p", "selective.treshold:=0.5"), "did you mean selective.threshold?"),
        (("-p", "selective.threshold:=7.5"), "selective.threshold must lie in 0 … 1, not 7.5"),
        (("-p", "rate_hz:=.nan"), "rate_hz must"),
        (("-p", "reliability:=sometimes"), "one of auto, reliable, best_effort"),
        (("-p", "device:=7"), "device must be a text"),
        (("-p", "labels:=[1, 2]"), "labels must be a list of texts"),
        (("-p", "camera:=''"), "camera is empty"),
        (("-p", "deadline_s:=-1.0"), "deadline_s must lie in 0.001 … 86400"),
    ],
)
def test_a_parameter_that_cannot_be_used_ends_the_start_with_a_reason(
    tmp_path: Path, arguments: tuple[str, ...], word: str
) -> None:
    process = start(tmp_path, *arguments)
    assert process.wait() == 1
    assert word in process.log and "Traceback" not in process.log


def test_a_missing_model_leaves_it_alive_and_waiting(tmp_path: Path, client: Client) -> None:
    process = start(tmp_path, "-p", "model_path:=/nowhere/at/all")
    try:
        process.wait_for_log("cannot configure")
        assert "/nowhere/at/all" in process.log
        client.wait_for_health("model", lambda level, text, _: level == 2 and "/nowhere" in text)
        assert process.process.poll() is None
    finally:
        process.signal(signal.SIGTERM)
    assert process.wait() == 0
