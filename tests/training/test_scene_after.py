"""What the scene query answers after an action, learnt from rows of which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from training.scene_after import Rows, learn
from training.small_network import NetworkRun
from training.tabletop.effects import by_effect
from training.tabletop.meaning import scene_meaning
from training.tabletop.world import Episode

RUN = NetworkRun(hidden=32, steps=300, batch_size=256, lr=5e-3, weight_decay=0.0, dropout=0.0)


def some_rows(count: int = 3000) -> Rows:
    """Actions of two kinds: one leads from an answer in its own direction, one nowhere."""
    torch.manual_seed(0)
    moves_R1 = (torch.rand(count, 1) < 0.5).float()
    before_RE = normalize(torch.randn(count, 6), dim=1)
    step_RE = moves_R1 * before_RE.roll(1, dims=1)
    # Neither of unit size nor about 0, and one that never varies.
    pooled_RW = torch.cat([3.0 + 0.01 * moves_R1, torch.full((count, 1), 5.0)], dim=1)
    return Rows(pooled_RW, before_RE, step_RE, torch.arange(count) // 10)


def test_it_learns_where_an_action_leads_and_that_another_leads_nowhere() -> None:
    rows = some_rows()
    seen_R = rows.stream_R < 200
    found = learn(rows, seen_R, RUN)
    told_RE = found(rows.pooled_RW, rows.before_RE)[~seen_R]
    after_RE = normalize(rows.before_RE + rows.step_RE, dim=1)[~seen_R]
    still_R = (rows.step_RE == 0).all(dim=1)[~seen_R]
    for same_R in (still_R, ~still_R):
        assert float((told_RE * after_RE).sum(dim=1)[same_R].mean()) > 0.97
    change_R = 1 - (told_RE * rows.before_RE[~seen_R]).sum(dim=1)
    assert float(change_R[still_R].quantile(0.95)) < float(change_R[~still_R].quantile(0.05))


def test_unlearnt_it_says_that_nothing_changes() -> None:
    rows = some_rows(20)
    found = learn(rows, rows.stream_R >= 0, NetworkRun(hidden=8, steps=0))
    assert torch.allclose(found(rows.pooled_RW, rows.before_RE), rows.before_RE, atol=1e-6)


@pytest.mark.parametrize("seed", [4_000_001, 4_000_002])
def test_an_effect_is_another_thing_to_say(seed: int) -> None:
    episode = Episode.generate(seed)
    counted = {True: 0, False: 0}
    for segment in episode.segments:
        state = segment.state(segment.onset_s)
        for changes, acted in by_effect(state).items():
            for _, after in acted:
                counted[changes] += 1
                assert (scene_meaning(after) != scene_meaning(state)) is changes
    assert np.all([counted[True], counted[False]])
