"""The job script saves and queues itself again; Slurm's programs are stand-ins that note calls."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.sbatch"
PROGRAMS = {
    "scontrol": 'echo "scontrol $@" >> "$CALLS"; [ "$1" != show ] || printf "node7\\nnode8\\n"',
    "srun": 'exec "$@"',
    "torchrun": 'trap \'echo saved >> "$CALLS"; exit 75\' TERM; echo "torchrun $@" >> "$CALLS"; '
    "while true; do sleep 0.05; done",
}


def test_a_job_that_is_told_to_end_saves_then_queues_itself_again(tmp_path: Path) -> None:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    env = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_NNODES": "2",
        "SLURM_JOB_ID": "42",
    }
    job = subprocess.Popen(["bash", SCRIPT, "paper", "--last", "sft"], cwd=tmp_path, env=env)
    while not calls.exists() or "torchrun" not in calls.read_text():
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    job.wait()
    asked, started, saved, requeued = calls.read_text().splitlines()
    assert asked == "scontrol show hostnames node[7-8]"
    assert "--nnodes 2 --nproc-per-node 8" in started
    assert "--rdzv-endpoint node7:29500" in started
    assert started.endswith("-m training.train paper --last sft")
    assert (saved, requeued) == ("saved", "scontrol requeue 42")
