"""What the running node remembers outlives it, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from ros_harness import NodeProcess, wait_until
from world_harness import NAMESPACE, WorldClient, save_dreamer

from vljepa_ros import srv

pytestmark = pytest.mark.ros


@contextmanager
def running(
    model: Path, log: Path, memory: Path | str, *more: str, namespace: str = NAMESPACE
) -> Iterator[NodeProcess]:
    process = NodeProcess(
        "vljepa_ros.ros.perception_node",
        log,
        *("-r", f"__ns:={namespace}", "-r", "__node:=perception"),
        *("-p", f"model_path:={model}", "-p", "threads:=1", "-p", f"memory.path:={memory}"),
        *more,
    )
    try:
        yield process
    finally:
        process.end()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dreamer(tmp_path_factory.mktemp("model"))


def test_what_was_seen_before_a_kill_is_found_by_the_next_process(
    model: Path, tmp_path: Path
) -> None:
    memory = tmp_path / "deep" / "memory.db"
    # Names of its own: DDS believes for 20 s that the services of a killed process are there.
    with (
        running(model, tmp_path / "log", memory, namespace="/killed") as process,
        closing(WorldClient("/killed")) as client,
    ):
        process.wait_for_log("activate: done")
        client.see(1)
        before = client.new_state(2)
        wait_until(
            lambda: client.world(srv.QueryMemory, embedding=before.embedding, k=1).entries,
            "the entry of a state",
        )
        process.process.kill()
    with (
        running(model, tmp_path / "log2", memory) as process,
        closing(WorldClient()) as client,
    ):
        process.wait_for_log("activate: done")
        (found,) = client.world(srv.QueryMemory, embedding=before.embedding, k=1).entries
        assert (found.stamp, found.state_id) == (before.header.stamp, before.state_id)
        assert found.query == "Why 2?" and found.similarity > 0.99


def test_a_memory_that_cannot_be_used_is_told_in_configure(model: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "notes.txt"
    foreign.write_text("no database " * 100)
    with running(model, tmp_path / "log", foreign) as process:
        process.wait_for_log("cannot be used as a memory")
        process.wait_for_log("set memory.path to another file")
    assert foreign.read_text() == "no database " * 100


def test_two_nodes_do_not_share_a_memory(model: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory.db"
    with running(model, tmp_path / "log", memory) as first:
        first.wait_for_log("activate: done")
        with running(model, tmp_path / "log2", memory, "-r", "__ns:=/second") as second:
            second.wait_for_log("another process writes to")
