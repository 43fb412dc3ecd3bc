"""X-encoders of several ways, and what is learnt on each, asked about every renderer."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from toy_comparison import Toy

from training.compare.quick import quick_transfer
from training.compare.transfer import LEARNER, measure
from vljepa_ros.model import checkpoint


def test_each_way_has_its_own_x_encoder_and_the_rest_in_common(toy: Toy, tmp_path: Path) -> None:
    transfer = quick_transfer(toy.comparison)
    said: list[str] = []
    measure(transfer, tmp_path, tmp_path / "transfer.json", said.append)
    own, taken = (checkpoint.load(tmp_path / name / "model")[0] for name in ("own", "taken"))
    start = checkpoint.load(tmp_path / "own" / "start")[0]
    given = checkpoint.load(toy.comparison.model)[0]

    def same(part: str, one: torch.nn.Module, other: torch.nn.Module) -> bool:
        pairs = zip(getattr(one, part).parameters(), getattr(other, part).parameters(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)

    assert same("x_encoder", taken, given)
    assert not same("x_encoder", start, given)  # from nothing
    assert not same("x_encoder", own, start)  # and trained
    assert all(same("y_encoder", one, given) for one in (own, taken))

    found = json.loads((tmp_path / "transfer.json").read_text())
    for way in ("own", "taken"):
        scores = found["scores"][way]["painter"]
        assert {"action_accuracy", "action_accuracy_blind", "vqa_macro"} <= set(scores)
        assert all(0 <= s["low"] <= s["value"] <= s["high"] <= 1 for s in scores.values())

    again: list[str] = []
    measure(transfer, tmp_path, tmp_path / "again.json", again.append)
    assert not [line for line in again if line.startswith("run ")]  # nothing was trained twice
    assert (tmp_path / "again.json").read_text() == (tmp_path / "transfer.json").read_text()
    assert any(line.endswith(f"{LEARNER}/lr-0.001-seed-1") for line in said)
