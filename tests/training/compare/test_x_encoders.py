"""X-encoders of several ways, and what is learnt on each, asked about every renderer."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from toy_comparison import Toy

from training.compare.quick import quick_x_encoders
from training.compare.x_encoders import LEARNER, SCORES, measure, report, table
from vljepa_ros.config import ConfigError
from vljepa_ros.model import checkpoint

LEARNT = ("labels", "texts", "labels_then_texts")


def same(part: str, one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(getattr(one, part).parameters(), getattr(other, part).parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_each_way_has_its_own_x_encoder_and_the_rest_in_common(toy: Toy, tmp_path: Path) -> None:
    config = quick_x_encoders(toy.comparison)
    said: list[str] = []
    measure(config, tmp_path, said.append)
    made = {name: checkpoint.load(tmp_path / name / "model")[0] for name in config.ways}
    start = {name: checkpoint.load(tmp_path / name / "start")[0] for name in LEARNT}
    given = checkpoint.load(toy.comparison.model)[0]

    assert same("x_encoder", made["taken"], given)
    for name in LEARNT:
        assert not same("x_encoder", start[name], given)  # from nothing
        assert not same("x_encoder", made[name], start[name])  # and trained
        # A predictor that knows the tokens of another X-encoder teaches none.
        assert not same("predictor", start[name], given)
        assert same("y_encoder", made[name], given)  # the targets stay
        assert same("predictor", made[name], start[name]) == (name == "labels")
    assert not same("x_encoder", made["labels"], made["labels_then_texts"])

    found = report(tmp_path, tmp_path / "x_encoders.json")
    assert found == json.loads((tmp_path / "x_encoders.json").read_text())
    assert set(found["ways"]) == set(config.ways)
    for way in config.ways:
        scores = found["ways"][way]["scores"]["painter"]
        assert {"action_accuracy", "action_accuracy_blind", "vqa_macro"} <= set(scores)
        assert all(0 <= s["low"] <= s["value"] <= s["high"] <= 1 for s in scores.values())
        assert f"{way} asked about painter: action_accuracy " in table(found)
        assert found["ways"][way]["predictor_seeds"] == [1, 2]
    assert len(found["trained_at"]) == 1 and found["sha256"]

    again: list[str] = []
    measure(config, tmp_path, again.append)
    assert not again  # nothing is done twice
    other = dataclasses.replace(config, ways={"taken": config.ways["texts"]})
    with pytest.raises(ConfigError, match="other settings; give another --out"):
        measure(other, tmp_path, again.append)
    (tmp_path / "taken" / SCORES).unlink()
    measure(config, tmp_path, again.append)
    assert not [line for line in again if line.startswith("run ")]  # nor trained twice
    assert report(tmp_path, tmp_path / "again.json")["ways"] == found["ways"]
    for seed in (1, 2):
        assert any(line.endswith(f"{LEARNER}/lr-0.001-seed-{seed}") for line in said)
