"""What is measured, and by which command. Nothing is measured here.

Each result is a file of docs/results: of the checkpoint in the repository, of finished runs of
training, or of the running nodes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from training.tabletop.splits import SPLITS, TEST_SEEDS

SEED = ("--seed", str(TEST_SEEDS.start))
ONE_THREAD = ("--threads", "1")
PARTS = ("retrieval", "actions", "captions", "streams", "transitions", "inverse", "questions",
         "rollouts", "novelty")  # fmt: skip
LOOKS = ("retrieval", "actions", "captions", "transitions", "inverse", "questions")
"""What is asked of held-out splits and of another renderer's pictures."""
WORDED = ("retrieval", "transitions", "inverse", "questions")
"""What is heard or read in new words: labels and the model's own queries have one wording."""
UNTOUCHED = 6_000_000
"""Of test streams by which nothing was ever decided: models were compared on those of `SEED`."""
FEW = ("--episodes", "4")


@dataclass(frozen=True)
class Result:
    """One file `<name>.json`, and the command that makes it."""

    name: str
    command: tuple[str, ...]
    """Module and arguments. The last line that it prints is its JSON, unless it has `out`."""
    quick: tuple[str, ...] | None = None
    """Further arguments for toy size; None = it has a test of its own, or `training.compare quick`
    makes it."""
    out: str = ""
    """Option by which it writes the file itself."""
    picture: str = ""
    """Option by which it writes `<name>.png`."""
    runs: str = ""
    """Folder of the finished runs that it tells of."""
    trained_by: str = ""
    """What makes those runs."""
    package: str = ""
    """Optional package that it needs."""

    def missing(self) -> str:
        """Why it cannot be measured here, and the mend; empty = it can."""
        if self.runs and not Path(self.runs).is_dir():
            return f"no finished runs in {self.runs}; first: {self.trained_by}"
        if self.package and importlib.util.find_spec(self.package) is None:
            return (
                f"{self.package} is not installed; "
                f"pip install -r requirements/optional/{self.package}.txt"
            )
        return ""


def _tabletop(
    name: str, episodes: int, parts: tuple[str, ...], *more: str, seed: int = TEST_SEEDS.start
) -> Result:
    """Some of the scores of training/evaluate/tabletop.py."""
    off = [word for part in PARTS if part not in parts for word in (f"--parts.{part}", "false")]
    asked = ("--seed", str(seed), "--episodes", str(episodes), *ONE_THREAD)
    command = ("training.evaluate.tabletop", *asked)
    return Result(name, (*command, *more, *off), FEW)


def _of_checkpoint() -> Iterator[Result]:
    """Scores of `models/tabletop`."""
    yield _tabletop("tabletop", 60, ("retrieval", "actions", "captions"))
    yield _tabletop("world", 60, ("transitions", "inverse", "questions", "rollouts", "novelty"))
    untouched = _tabletop("untouched", 30, LOOKS, seed=UNTOUCHED)
    yield replace(untouched, quick=None)
    for split in SPLITS:
        if split.startswith("heldout_"):
            parts = WORDED if split == "heldout_wording" else LOOKS
            held_out = _tabletop(split, 30, parts, "--split", split)
            # At toy size one of them stands for all.
            yield held_out if split == "heldout_wording" else replace(held_out, quick=None)
    yield replace(_tabletop("mujoco", 30, LOOKS, "--renderer", "mujoco"), package="mujoco")
    few_streams = ("--streams", "2")
    selective = _tabletop("selective", 1, ("streams",), "--streams", "20")
    yield replace(selective, quick=few_streams)
    evaluate = "training.evaluate"
    yield Result(
        "selective_curve",
        (f"{evaluate}.selective_curve", *SEED, "--streams", "20", *ONE_THREAD),
        (*few_streams, "--actions", "4", "--idle_fractions", "[0.5]"),
        out="--out",
    )
    yield Result(
        "reliability",
        (f"{evaluate}.reliability", *SEED, "--episodes", "25", *ONE_THREAD),
        FEW,
        picture="--out",
    )
    rare = (f"{evaluate}.rare", *SEED, "--episodes", "3000", *ONE_THREAD)
    yield Result("rare", rare, ("--episodes", "60"))
    leaks = (f"{evaluate}.leaks", *SEED, "--episodes", "3000")
    yield Result("leaks", leaks, (*FEW, "--trained", "[[0, 20]]"))
    memory = (f"{evaluate}.memory", *SEED, "--streams", "20", *ONE_THREAD)
    yield Result("memory", memory, ("--streams", "1"))
    yield Result("planner", ("examples.planner", "--offline"), ("--goals", "1"))


def _of_runs() -> Iterator[Result]:
    """What training taught in several ways."""
    report, train = ("training.compare", "report", "--of"), "python -m training.compare"
    yield Result(
        "compare",
        (*report, "comparison"),
        out="--results",
        picture="--picture",
        runs="runs/compare",
        trained_by=f"{train} run",
    )
    seen = "compare-seen"
    more = "--comparison.y_encoder null --comparison.learners"
    yield Result(
        "compare_seen",
        (*report, "comparison", "--runs", f"runs/{seen}"),
        out="--results",
        picture="--picture",
        runs=f"runs/{seen}",
        trained_by=f"{train} run --out runs/{seen} {more} "
        "'[jepa,token,dual,symbolic,jepa_own,token_deep]'",
    )
    for name, runs, word in (
        ("ablations", "runs/ablate", "ablate"),
        ("x_encoders", "runs/x-encoders", "x_encoders"),
    ):
        trained_by = f"{train} {word}"
        command = (*report, name)
        yield Result(name, command, out="--results", runs=runs, trained_by=trained_by)


def _of_machine() -> Iterator[Result]:
    """What nodes and training cost; only of a machine on which nothing else runs."""
    bench = "vljepa_ros.ros.bench"
    yield Result("bench", (bench,), out="--out")
    yield Result("cameras", (f"{bench}.cameras",), out="--out")
    yield Result("demo", ("examples.demo", "--plain"))
    speed = ("training.evaluate.memory_speed", "--entries", "1000000")
    yield Result("memory_speed", speed, ("--entries", "2000"))
    yield Result("training", ("training.bench",), out="--out")


RESULTS = (*_of_checkpoint(), *_of_runs(), *_of_machine())
