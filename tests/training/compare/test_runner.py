"""Runs that stop and go on, and the whole comparison at toy size."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from toy_comparison import Toy

from training import milestones
from training.compare import ask, learners, runner
from training.compare.__main__ import main
from training.compare.runner import Run, Runner
from training.compare.settings import LEARNERS, Comparison
from training.fit import FitConfig, fit
from training.parallel import Stage
from training.state import StateError
from vljepa_ros.config import ConfigError

LR = 1e-3


class Stopped(RuntimeError):
    pass


def a_runner(toy: Toy, out: Path, **changes: object) -> Runner:
    found = Runner(dataclasses.replace(toy.comparison, **changes), out, say=lambda _: None)  # type: ignore[arg-type]
    found.__dict__ |= {"streams": toy.streams, "test": toy.tasks, "tune": toy.tasks}
    return found


def curve(found: Runner, run: Run) -> dict[str, np.ndarray]:
    steps = found.comparison.steps
    folder = run.folder(found.out)
    each = {s: ask.load(folder / f"worth-{s:08d}.npz") for s in steps}
    return {
        f"{step} {name}": values for step, worth in each.items() for name, values in worth.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jepa", "token"])
def test_a_run_that_was_stopped_ends_in_the_same_curve(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    saved = dataclasses.replace(toy.comparison.fit, save_every_s=0.0)
    whole, broken = (a_runner(toy, tmp_path / n, fit=saved) for n in ("whole", "broken"))
    run = Run(name, 1, LR)
    whole.complete(run, whole.comparison.steps, lambda: toy.tasks)
    made = learners.make

    def dies(*args: object) -> object:
        learner = made(*args)  # type: ignore[arg-type]
        batches, calls = learner.batches(), []

        class Dying:
            def __getitem__(self, index: int) -> object:
                calls.append(index)
                if index == 3:
                    raise Stopped
                return batches[index]

        monkeypatch.setattr(learner, "batches", Dying)
        return learner

    monkeypatch.setattr(learners, "make", dies)
    with pytest.raises(Stopped):
        broken.complete(run, broken.comparison.steps, lambda: toy.tasks)
    assert not list((tmp_path / "broken").glob("*/*/worth-*"))
    monkeypatch.setattr(learners, "make", made)
    broken.complete(run, broken.comparison.steps, lambda: toy.tasks)
    wanted, found = curve(whole, run), curve(broken, run)
    assert wanted.keys() == found.keys() and len(wanted) > 10
    for key, values in wanted.items():
        assert np.array_equal(values, found[key]), key
    for step in whole.comparison.steps:
        files = [
            run.folder(r.out) / "kept" / f"step-{step:08d}.safetensors" for r in (whole, broken)
        ]
        assert tensors(files[0]) == tensors(files[1])


def tensors(path: Path) -> bytes:
    """Weights without the header, where the seconds stand."""
    data = path.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def test_a_finished_run_is_skipped(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = a_runner(toy, tmp_path)
    run = Run("symbolic", 1, LR)
    found.complete(run, found.comparison.steps, lambda: toy.tasks)

    def never(*args: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(runner, "fit", never)
    found.complete(run, found.comparison.steps, lambda: toy.tasks)
    with pytest.raises(AssertionError, match="again"):
        found.complete(Run("symbolic", 2, LR), found.comparison.steps, lambda: toy.tasks)


def test_the_learning_rate_is_the_one_that_answered_best(toy: Toy, tmp_path: Path) -> None:
    found = a_runner(toy, tmp_path, lrs=(1e-3, 2e-3, 4e-3))
    last = found.comparison.steps[-1]
    for lr, worth in ((1e-3, 0.1), (2e-3, 0.7), (4e-3, 0.3)):
        folder = Run("token", found.comparison.tuning_seed, lr).folder(tmp_path)
        blind = {"action_blind": np.ones(4)}
        ask.save(folder / f"worth-{last:08d}.npz", {"action": np.full(4, worth)} | blind)
    assert found.learning_rate("token") == found.learning_rate("token_deep") == 2e-3


def test_milestones_halve_and_end_with_the_run() -> None:
    comparison = Comparison(fit=FitConfig(steps=480))
    assert comparison.steps == (15, 30, 60, 120, 240, 480)
    assert Comparison(fit=FitConfig(steps=2)).steps == (1, 2)


def test_a_folder_holds_one_comparison_but_may_be_widened(toy: Toy, tmp_path: Path) -> None:
    a_runner(toy, tmp_path)
    a_runner(toy, tmp_path, seeds=(1, 2, 3), learners=LEARNERS)
    with pytest.raises(ConfigError, match=r"other lrs.*--out"):
        a_runner(toy, tmp_path, lrs=(0.1,))


def test_a_milestone_of_another_model_is_refused(toy: Toy, tmp_path: Path) -> None:
    dual, token = (learners.make(n, toy.frozen, toy.streams, 1).module() for n in ("dual", "token"))
    milestones.keep(tmp_path, runner_progress(5), dual)
    assert milestones.restore(tmp_path, 5, dual).seconds == 2.5
    with pytest.raises(StateError, match="another model"):
        milestones.restore(tmp_path, 5, token)
    with pytest.raises(StateError, match="keep_at"):
        milestones.restore(tmp_path, 6, dual)


def runner_progress(step: int) -> milestones.Progress:
    return milestones.Progress(step, 2.5)


def test_sharded_weights_are_no_milestones(toy: Toy, tmp_path: Path) -> None:
    stage: Stage = learners.make("symbolic", toy.frozen, toy.streams, 1)
    engine = dataclasses.replace(toy.comparison.fit.engine, sharded=True)
    config = dataclasses.replace(toy.comparison.fit, engine=engine, keep_at=(1,))
    with pytest.raises(ConfigError, match="sharded"):
        fit(stage, config, tmp_path)


def test_nothing_to_report_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--runs", str(tmp_path), "--results", str(tmp_path / "x.json")])
    assert "training.compare run" in str(stopped.value)
