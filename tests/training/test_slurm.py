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
    # As srun does: a SIGTERM of its own is no message to the step, but the step's end.
    "srun": """trap 'kill -KILL "$step"' TERM; "$@" & step=$!; echo $step > "$CALLS.new"; """
    'mv "$CALLS.new" "$CALLS.step"; until wait "$step"; [ ! -d "/proc/$step" ]; do :; done',
    "scancel": 'echo "scancel $@" >> "$CALLS"; kill -TERM "$(cat "$CALLS.step")"',
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
    step = tmp_path / "calls.step"
    while not (calls.exists() and "torchrun" in calls.read_text() and step.exists()):
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    job.wait()
    asked, started, told, saved, requeued = calls.read_text().splitlines()
    assert asked == "scontrol show hostnames node[7-8]"
    assert "--nnodes 2 --nproc-per-node 8" in started
    assert "--rdzv-endpoint node7:29500" in started
    assert started.endswith("-m training.train paper --last sft")
    assert told == "scancel --signal=TERM 42"
    assert (saved, requeued) == ("saved", "scontrol requeue 42")
