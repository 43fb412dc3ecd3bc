"""No work is lost: a run continues bit for bit, whatever was cut off or damaged."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.bench.interrupted import CONFIG, Slow, train
from training.bench.processes import in_processes
from training.distributed import Ranks
from training.fit import fit
from training.state import MANIFEST, STATES_FOLDER, Progress, StateError, States, progress_of
from training.stop import INTERRUPTED_EXIT, LossError


def steps_of(out: Path) -> list[int]:
    return sorted(int(p.name[5:]) for p in (out / STATES_FOLDER).glob("step-????????"))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> list[torch.Tensor]:
    return train(tmp_path_factory.mktemp("unbroken"))


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_as_if_unbroken(
    tmp_path: Path, unbroken: list[torch.Tensor]
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.bench.interrupted"])
    for kill in range(6):
        child = context.Process(target=train, args=(tmp_path, 0.02))
        child.start()
        # Once it has saved something new, at a moment that differs from time to time.
        before = max(steps_of(tmp_path), default=0)
        while max(steps_of(tmp_path), default=0) <= before and child.is_alive():
            time.sleep(0.003 * (kill + 1))
        child.kill()
        child.join()
    assert progress_of(tmp_path).step > 0
    assert same(train(tmp_path), unbroken)


@pytest.mark.slow
def test_a_damaged_state_is_passed_over(
    tmp_path: Path, unbroken: list[torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path)
    newest = steps_of(tmp_path)[-1]
    weights = next((tmp_path / STATES_FOLDER / f"step-{newest:08d}").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-50])
    assert same(train(tmp_path), unbroken)
    assert "damaged" in capsys.readouterr().out


@pytest.mark.slow
def test_a_state_that_was_cut_off_is_no_state(tmp_path: Path, unbroken: list[torch.Tensor]) -> None:
    train(tmp_path)
    newest = tmp_path / STATES_FOLDER / f"step-{CONFIG.steps:08d}"
    newest.rename(newest.with_suffix(".partial"))
    assert same(train(tmp_path), unbroken)
    assert not list((tmp_path / STATES_FOLDER).glob("*.partial"))


@pytest.mark.slow
def test_as_many_states_are_kept_as_asked(tmp_path: Path) -> None:
    train(tmp_path)
    assert steps_of(tmp_path) == [CONFIG.steps - 1, CONFIG.steps]


def test_a_state_is_what_it_was_when_it_was_asked_for(tmp_path: Path) -> None:
    """Training goes on while it is written."""
    stage = Slow(width=20_000)
    optimiser = torch.optim.AdamW(stage.module().parameters())
    states = States(tmp_path)
    first = next(stage.module().parameters())
    before = first.detach().clone()
    states.save(Progress(1, 0.0), stage.module(), optimiser)
    with torch.no_grad():
        first.add_(1.0)
    states.wait()
    states.load(stage.module(), optimiser)
    assert torch.equal(first, before)


@pytest.mark.slow
def test_a_state_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(StateError, match=r"0\.bias.*--out"):
        fit(Slow(width=3), CONFIG, tmp_path, say=lambda _: None)


@pytest.mark.slow
def test_a_state_of_other_data_is_refused_by_name(tmp_path: Path) -> None:
    train(tmp_path)
    for setting in ({"batch_size": 16}, {"seed": 1}):
        with pytest.raises(StateError, match=f"{next(iter(setting))} .* --out"):
            fit(Slow(), replace(CONFIG, **setting), tmp_path, say=lambda _: None)


@pytest.mark.slow
def test_a_state_of_another_torch_is_gone_on_from_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unbroken: list[torch.Tensor]
) -> None:
    train(tmp_path)
    for path in tmp_path.glob(f"{STATES_FOLDER}/*/{MANIFEST}"):
        path.write_text(path.read_text().replace(torch.__version__, "2.6.0"))
    assert same(train(tmp_path), unbroken)
    assert "written by torch 2.6.0" in capsys.readouterr().out


def test_a_full_disk_ends_the_run_and_keeps_the_states_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Slow()
    optimiser = torch.optim.AdamW(stage.module().parameters())
    states = States(tmp_path)
    states.save(Progress(1, 0.0), stage.module(), optimiser)
    states.wait()
    big = Slow(width=200_000)
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        states.save(Progress(2, 0.0), big.module(), torch.optim.AdamW(big.module().parameters()))
        with pytest.raises(StateError, match="make room"):
            states.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert States(tmp_path).load(stage.module(), optimiser) == Progress(1, 0.0)


IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
FULL = """
mount -t tmpfs -o size=3m none "$1"
exec python -c '
import subprocess, sys
from dataclasses import replace
from pathlib import Path
from training.bench.interrupted import CONFIG, Slow
from training.fit import fit
from training.state import StateError, progress_of

disk = Path(sys.argv[1])
config = replace(CONFIG, lr=1e-5)
try:
    fit(Slow(width=11_000), config, disk / "run")
except StateError as error:
    print("ended:", error)
print("step", progress_of(disk / "run").step)
subprocess.run(["mount", "-o", "remount,size=12m", str(disk)], check=True)
fit(Slow(width=11_000), replace(config, steps=2), disk / "run", say=lambda _: None)
(disk / "fill").write_bytes(bytes(100))
with (disk / "fill").open("ab", buffering=0) as file:
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass
try:
    fit(Slow(), replace(config, steps=30, save_every_s=1e6), disk / "other")
except StateError as error:
    print("ended:", error)
' "$1"
"""


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*IN_NAMESPACE, "true"], check=False).returncode != 0,
    reason="needs a mount namespace of its own",
)
def test_a_disk_that_fills_up_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    """A small tmpfs: the second state does not fit, and later not even the log."""
    ran = subprocess.run(
        [*IN_NAMESPACE, "bash", "-ec", FULL, "full", str(tmp_path)],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stdout
    lines = ran.stdout.splitlines()
    at = lines.index("step 1")
    assert lines[at - 1].startswith("ended: the state of step 2")
    assert "(rank 0: [Errno 28]" in lines[at - 1] and "training goes on" in ran.stdout
    assert lines[-1].startswith("ended: the state of step 30")


def torchrun(
    world: int, out: Path, save_every_s: float = 0.0, workers: int = 0
) -> subprocess.Popen[bytes]:
    """What it says on stderr lies in `out`.said."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(world)]
    command += ["--master-port", "0", "--standalone", "-m", "training.bench.interrupted"]
    command += [str(out), "0.05", str(save_every_s), str(workers)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with said_by(out).open("wb") as said:
        return subprocess.Popen(command, env=env, stderr=said)


def said_by(out: Path) -> Path:
    return out.with_suffix(".said")


def wait_for(out: Path, pattern: str) -> None:
    while not list(out.glob(pattern)):
        time.sleep(0.02)


@pytest.mark.slow
def test_sigterm_saves_and_another_number_of_ranks_goes_on(tmp_path: Path) -> None:
    """Also where workers load, which get the signal as well; nothing had been saved before."""
    run = torchrun(2, tmp_path, save_every_s=1e6, workers=1)
    wait_for(tmp_path, "log.jsonl")
    run.send_signal(signal.SIGTERM)
    assert run.wait() != 0
    stopped = progress_of(tmp_path).step
    assert 0 < stopped < CONFIG.steps
    train(tmp_path)
    assert progress_of(tmp_path).step == CONFIG.steps
    logged = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").open()]
    assert logged[-1] == CONFIG.steps - 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rank_that_dies_stops_the_others_and_the_run_goes_on_exactly(tmp_path: Path) -> None:
    out = tmp_path / "killed"
    run = torchrun(2, out)
    wait_for(out, f"{STATES_FOLDER}/step-????????")
    pids = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    workers = [pid for pid in pids if b"interrupted" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(workers[-1]), signal.SIGKILL)
    assert run.wait(timeout=90) != 0
    assert f"Signal 9 (SIGKILL) received by PID {workers[-1]}" in said_by(out).read_text()
    assert not Path(f"/proc/{workers[0]}").exists()
    assert 0 < progress_of(out).step < CONFIG.steps
    found = in_processes(2, partial(resumed_and_unbroken, folder=tmp_path), tmp_path)[1]
    assert all(torch.equal(found[f"{n} resumed"], found[f"{n} unbroken"]) for n in range(4))


def resumed_and_unbroken(ranks: Ranks, folder: Path) -> dict[str, torch.Tensor]:
    """Weights by number, of the run in `folder`/killed and of one that nobody stopped."""
    runs = {"resumed": train(folder / "killed"), "unbroken": train(folder / "new", 0.0, 1e6)}
    return {f"{n} {name}": w for name, ws in runs.items() for n, w in enumerate(ws)}


@pytest.mark.slow
def test_sigusr1_saves_and_says_to_run_again(
    tmp_path: Path, unbroken: list[torch.Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    class Asked(Slow):
        def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
            if batch["x"][0, 0] == asked_at:
                os.kill(os.getpid(), signal.SIGUSR1)
            return super().loss(batch)

    asked_at = Slow().batches()[7]["x"][0, 0]
    with pytest.raises(SystemExit) as stopped:
        fit(Asked(), CONFIG, tmp_path, say=lambda _: None)
    assert stopped.value.code == INTERRUPTED_EXIT
    assert progress_of(tmp_path).step == 8
    assert "run it again" in capsys.readouterr().out
    assert same(train(tmp_path), unbroken)


def test_a_loss_that_explodes_stops_the_run_with_its_batch(tmp_path: Path) -> None:
    class Exploding(Slow):
        def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
            loss, metrics = super().loss(batch)
            return loss * (1000.0 if batch["x"][0, 0] == bad else 1.0), metrics

    bad = Slow().batches()[9]["x"][0, 0]
    with pytest.raises(LossError, match=r"step 9 .*stopped_batch"):
        fit(Exploding(), CONFIG, tmp_path, say=lambda _: None)
    kept = load_file(tmp_path / "stopped_batch" / "rank-0-part-0.safetensors")
    assert torch.equal(kept["x"], Slow().batches()[9]["x"])
    shutil.rmtree(tmp_path / "stopped_batch")


@pytest.mark.slow
def test_agents_of_two_nodes_train_one_run(tmp_path: Path) -> None:
    """Two torchrun agents that meet on loopback, as those of two machines do."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    command += ["--local-addr", "127.0.0.1"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    command += ["-m", "training.bench.interrupted", str(tmp_path), "0", "0", "0"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    agents = [subprocess.Popen(command, env=env) for _ in range(2)]
    assert [agent.wait() for agent in agents] == [0, 0]
    newest = tmp_path / STATES_FOLDER / f"step-{CONFIG.steps:08d}"
    assert json.loads((newest / MANIFEST).read_text())["world"] == 2
