"""One node, several cameras, over DDS: topics, ids, queries, requests, memory, rates, silence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ros_harness import (
    LATCHED,
    Client,
    LifecycleClient,
    NodeProcess,
    endpoints_declared,
    endpoints_of,
    image,
    picture,
    wait_until,
)
from sensor_msgs.msg import Image
from vljepa_ros.msg import Status
from world_harness import NAMESPACE, WorldClient, candidate, save_dreamer

from vljepa_ros import msg, srv
from vljepa_ros.ros.cameras import Camera
from vljepa_ros.ros.interface import PERCEPTION, WORLD_STATE

pytestmark = pytest.mark.ros
CAMERAS = ("left", "right", "dead")


class Onlooker(WorldClient):
    """Hears every camera on topics of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, list[msg.SemanticState]] = {camera: [] for camera in CAMERAS}
        self.events_of: dict[str, list[msg.SemanticEvent]] = {camera: [] for camera in CAMERAS}
        subscribe = self.node.create_subscription
        for camera in CAMERAS:
            topic = f"{self.name}/{camera}"
            subscribe(msg.SemanticState, f"{topic}/semantic_state", self.of[camera].append, 1000)
            subscribe(
                msg.SemanticEvent,
                f"{topic}/semantic_event",
                self.events_of[camera].append,
                LATCHED,
            )

    def look(self, camera: str, seed: int = 0) -> msg.SemanticState:
        """Show this camera one image; its state."""
        stamp_ns = self.now_ns()
        self.show(image(picture(seed), stamp_ns), topic=f"/{camera}/image")
        return wait_until(lambda: self.heard(camera, stamp_ns), f"a state of {camera}")

    def heard(self, camera: str, stamp_ns: int) -> msg.SemanticState | None:
        stamp = divmod(stamp_ns, 10**9)
        for state in reversed(self.of[camera]):
            if (state.header.stamp.sec, state.header.stamp.nanosec) == stamp:
                return state
        return None


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    folder = tmp_path_factory.mktemp("cameras")
    process = NodeProcess(
        "vljepa_ros.ros.perception_node",
        folder / "log",
        *("-r", f"__ns:={NAMESPACE}", "-r", "__node:=perception"),  # as launch names it
        *("-p", f"model_path:={save_dreamer(folder / 'model')}", "-p", "threads:=1"),
        *("-p", f"cameras:=[{', '.join(CAMERAS)}]"),
    )
    process.wait_for_log("activate: done")
    yield process
    process.end()


@pytest.fixture(scope="module")
def onlooker(process: NodeProcess) -> Iterator[Onlooker]:
    client = Onlooker()
    yield client
    client.close()


@pytest.fixture
def both(process: NodeProcess, onlooker: Onlooker) -> Iterator[Onlooker]:
    """Left and right have a state each; the node lives afterwards."""
    onlooker.look("left", 1)
    onlooker.look("right", 2)
    yield onlooker
    assert process.process.poll() is None, process.log


def test_each_camera_speaks_on_its_own_topics_with_ids_of_its_own(both: Onlooker) -> None:
    before = {camera: both.of[camera][-1].state_id for camera in ("left", "right")}
    assert both.set_query("Why not?", camera="left").success
    left, right = both.look("left", 1), both.look("right", 2)
    assert (left.camera, left.state_id, left.query) == ("left", before["left"] + 1, "Why not?")
    assert (right.camera, right.state_id) == ("right", before["right"])
    assert right.query != left.query
    assert {s.camera for s in both.of["left"]} == {"left"}
    event = wait_until(
        lambda: next((e for e in both.events_of["left"] if e.state_id == left.state_id), None),
        "an event of the left camera",
    )
    assert (event.camera, event.header) == ("left", left.header)
    assert all(e.camera == "right" for e in both.events_of["right"])
    assert not both.states, "nobody speaks on the topic of a single camera"


def test_the_nodes_have_what_is_declared_and_nothing_else(both: Onlooker) -> None:
    cameras = [Camera(name, f"{name}/") for name in CAMERAS]
    perceives = endpoints_declared(PERCEPTION, NAMESPACE, cameras)
    # ~/get_state is served by a second participant (docs/decisions/0040).
    beside = ("serves", f"{NAMESPACE}/perception/get_state", "vljepa_ros/srv/GetState")
    declared = {
        "perception": perceives - {beside},
        "_perception_second": {beside},
        "world_state": endpoints_declared(WORLD_STATE, NAMESPACE),
    }
    for name, wanted in declared.items():
        # DDS hears of another process's endpoints one by one.
        wait_until(lambda n=name, w=wanted: endpoints_of(both.node, n, NAMESPACE) >= w, name)
        assert endpoints_of(both.node, name, NAMESPACE) == wanted


def test_a_query_without_a_camera_is_asked_of_all(both: Onlooker) -> None:
    assert both.set_query("What is it?", "a cup").success
    for camera in ("left", "right"):
        state = both.look(camera)
        assert state.query == "What is it?" and [s.label for s in state.labels] == ["a cup"]


def test_get_state_needs_to_know_which(both: Onlooker) -> None:
    for camera in ("left", "right"):
        state = both.look(camera, 3)
        answer = both.get_state(camera)
        assert answer.status.success and answer.state == state
    assert both.get_state("dead").status.error_code == Status.NO_STATE
    for camera, word in (("", "several"), ("elbow", "'elbow'")):
        status = both.get_state(camera).status
        assert status.error_code == Status.INVALID_REQUEST
        assert word in status.error_msg and "left, right, dead" in status.error_msg
        assert both.transitions(camera=camera).status.error_code == Status.INVALID_REQUEST
    status = both.set_query("Why?", camera="elbow")
    assert status.error_code == Status.INVALID_REQUEST and "left, right" in status.error_msg


def test_planners_ask_of_the_past_of_one_camera(both: Onlooker) -> None:
    past = {camera: both.of[camera][-1] for camera in ("left", "right")}
    assert both.set_query("And now?").success
    new = {camera: both.look(camera, 5) for camera in past}
    for camera, old in past.items():
        answer = both.transitions(candidate(), camera=camera, state_id=old.state_id)
        assert answer.status.success, answer.status
        assert (answer.state_header, answer.state_id) == (old.header, old.state_id)
        latest = both.world(srv.QueryWorldState, camera=camera, candidates=["a", "b"])
        assert latest.status.success and latest.state_header == new[camera].header
        explained = both.world(
            srv.ExplainTransition,
            camera=camera,
            initial_state_id=old.state_id,
            final_state_id=new[camera].state_id,
            actions=[candidate()],
        )
        assert explained.status.success, explained.status
    assert both.transitions(camera="dead").status.error_code == Status.NO_STATE


def test_what_is_remembered_knows_its_camera(both: Onlooker) -> None:
    assert both.set_query("Remember?").success
    for camera in ("left", "right"):
        state = both.look(camera, 6)
        found = wait_until(
            lambda camera=camera, state=state: [
                entry
                for entry in both.world(
                    srv.QueryMemory, camera=camera, embedding=state.embedding, k=50
                ).entries
                if entry.stamp == state.header.stamp
            ],
            f"an entry of {camera}",
        )
        assert (found[0].camera, found[0].state_id) == (camera, state.state_id)
    everything = both.world(srv.QueryMemory, text="anything", k=50).entries
    assert {entry.camera for entry in everything} == {"left", "right"}


def test_a_fast_camera_does_not_starve_a_slow_one(both: Onlooker) -> None:
    before = len(both.of["left"])
    publisher = both.publisher(Image, f"{NAMESPACE}/left/image")
    over = threading.Event()

    def flood() -> None:
        while not over.wait(0.002):
            publisher.publish(image(picture(1), both.now_ns()))

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        states = [both.look("right", 2) for _ in range(10)]
    finally:
        over.set()
        flooding.join()
    assert [state.dropped_frames for state in states] == [states[0].dropped_frames] * 10
    assert len(both.of["left"]) > before


def test_a_dead_camera_is_stale_and_the_others_go_on(both: Onlooker) -> None:
    assert both.set_parameters(stale_after_s=0.5).successful
    wait_until(
        lambda: both.diagnostics and both.health("dead")[0] == 3, "diagnostics of a dead camera"
    )
    _, text, figures = both.health("dead")
    assert "no image" in text and figures["topic"] == f"{NAMESPACE}/dead/image"
    assert both.set_parameters(stale_after_s=3600.0).successful
    both.look("left")
    both.wait_for_health("left", lambda level, text, _: (level, text) == (0, "perceiving"))
    assert both.look("right").state_id > 0


def test_ids_of_every_camera_go_on_after_a_cleanup(both: Onlooker) -> None:
    before = {camera: both.of[camera][-1].state_id for camera in ("left", "right")}
    assert both.transition("deactivate", "cleanup", "configure", "activate")
    for camera, state_id in before.items():
        assert both.look(camera).state_id == state_id + 1


@pytest.mark.parametrize(
    ("cameras", "word"),
    [(["left", "left"], "twice"), (["left eye"], "begin with a letter"), (["model"], "another")],
)
def test_a_list_that_cannot_be_is_refused_with_the_mend(
    fresh: Client, cameras: list[str], word: str
) -> None:
    result = fresh.set_parameters(cameras=cameras)
    assert not result.successful and word in result.reason


def test_a_list_can_be_set_while_unconfigured_only(
    fresh: Client, lifecycle: LifecycleClient
) -> None:
    assert fresh.set_parameters(cameras=["one"]).successful
    assert fresh.transition("configure", "activate"), lifecycle.state()
    refused = fresh.set_parameters(cameras=["one", "two"])
    assert not refused.successful and "unconfigured" in refused.reason
    fresh.show(image(picture(), fresh.now_ns()), topic="/one/image")
    answer = wait_until(
        lambda: (found := fresh.get_state()).status.success and found, "a state of the only one"
    )
    assert answer.state.camera == "one"


def test_a_process_with_a_bad_list_ends_with_one_sentence(tmp_path: Path) -> None:
    process = NodeProcess(
        "vljepa_ros.ros.perception_node", tmp_path / "log", "-p", "cameras:=[left, left]"
    )
    try:
        assert process.wait() == 1
        assert "parameter cameras holds 'left' twice" in process.log
        assert "Traceback" not in process.log
    finally:
        process.end()
