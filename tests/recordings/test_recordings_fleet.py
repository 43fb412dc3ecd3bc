"""Many recordings under a real Ray on this machine: what one after the other gives, and no less."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bag_harness import files, film, read_bag, write_bag

from vljepa_ros.cli.main import main
from vljepa_ros.config import PerceptionConfig
from vljepa_ros.model.engine import Engine
from vljepa_ros.recordings import fleet
from vljepa_ros.recordings.replay import ReplayOptions, replay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of two CPUs, started once for all of these tests."""
    pytest.importorskip("ray.data", reason="needs Ray Data: pip install '.[ray]'")
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100_000_000,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield ray
        ray.shutdown()


@pytest.fixture
def bags(tmp_path: Path) -> list[Path]:
    """Three recordings, of which the second cannot be read."""
    made = [write_bag(tmp_path / name, film()) for name in ("one", "two", "three")]
    (made[1] / "metadata.yaml").rename(tmp_path / "metadata.yaml")
    return made


class Dies(fleet.Replayer):
    """A worker that the recording `two` kills, as one that needs more memory than there is."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if Path(row["source"]).name == "two":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(row)


@pytest.mark.usefixtures("ray")
def test_each_is_what_a_replay_alone_gives_and_a_broken_one_stops_no_other(
    bags: list[Path], model: Path, engine: Engine, tmp_path: Path
) -> None:
    config = PerceptionConfig(model_path=str(model), device="cpu", threads=1)
    pairs = [(bag, tmp_path / "out" / f"{bag.name}.mcap") for bag in bags]
    before = [files(bag) for bag in bags]
    options = ReplayOptions(node="/again")
    outcomes = {o.source.name: o for o in fleet.replay_many(pairs, config, options)}
    assert len(outcomes) == 3 and "ros2 bag reindex" in outcomes["two"].error
    assert outcomes["two"].replayed is None and not pairs[1][1].exists()
    for bag, output in (pairs[0], pairs[2]):
        alone = tmp_path / f"{bag.name}.mcap"
        told = replay(bag, alone, engine, config, options)
        assert read_bag(output).raw == read_bag(alone).raw and len(read_bag(output).raw) == 5
        done = outcomes[bag.name].replayed
        assert done is not None and done.output == output and not outcomes[bag.name].error
        assert (done.topic, done.tally, done.notes) == (told.topic, told.tally, told.notes)
    assert [files(bag) for bag in bags] == before


@pytest.mark.usefixtures("ray")
def test_a_worker_that_dies_costs_its_recording_alone(
    bags: list[Path], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "Replayer", Dies)
    config = PerceptionConfig(model_path=str(model), device="cpu", threads=1)
    pairs = [(bag, tmp_path / "out" / f"{bag.name}.mcap") for bag in bags]
    spread = fleet.FleetOptions(workers=1)
    errors = {o.source.name: o.error for o in fleet.replay_many(pairs, config, fleet=spread)}
    assert errors["one"] == errors["three"] == "" and "its worker died" in errors["two"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["one.mcap", "three.mcap"]


@pytest.mark.usefixtures("ray")
def test_the_command_tells_failures_at_the_end_and_resumes(
    bags: list[Path], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["replay", *map(str, bags), "-o", str(out), "--model", str(model), "--device", "cpu"]
    command += ["--ray", "--ray-workers", "1"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert f"1 of 3 recordings failed; mend them and run again with --resume: {bags[1]}" in said.err
    assert said.err.count("reindex") == 1 and len(said.out.splitlines()) == 2
    first = {path.name: path.stat() for path in out.iterdir()}
    shutil.move(tmp_path / "metadata.yaml", bags[1] / "metadata.yaml")
    assert main([*command, "--resume"]) == 0
    assert len(read_bag(out / "two.mcap").states()) == 8
    assert {name: (out / name).stat() for name in first} == first
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.usefixtures("ray")
def test_a_model_that_cannot_be_loaded_is_told(
    bags: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["replay", str(bags[0]), "-o", str(tmp_path / "out.mcap"), "--ray"]
    assert main([*command, "--model", str(tmp_path / "none"), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "none") in said and said.count("\n") == 1
