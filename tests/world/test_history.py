"""States that were seen: found by id, evicted in order, forgotten when time jumps."""

from __future__ import annotations

import pytest
import torch

from vljepa_ros.world.history import History, HistoryError, Moment


def moment(state_id: int, stamp_ns: int = 0) -> Moment:
    return Moment(state_id, stamp_ns, "lens", torch.zeros(1, 1, 1, 1))


def history_of(*state_ids: int, length: int = 3) -> History:
    history = History(["left", "right"], length)
    for state_id in state_ids:
        history.put("left", moment(state_id), history.era)
    return history


def test_a_state_is_its_newest_clip_and_zero_the_latest() -> None:
    history = history_of(1, 2)
    newer = moment(2, stamp_ns=5)
    history.put("left", newer, history.era)
    assert history.get("left", 2) is history.get("left") is newer
    assert history.get("left", 1).state_id == 1


def test_the_oldest_go_and_the_error_names_the_oldest_held() -> None:
    history = history_of(1, 2, 3, 4, 5)
    assert [history.get("left", n).state_id for n in (3, 4, 5)] == [3, 4, 5]
    for lost in (1, 2, 6):
        with pytest.raises(HistoryError, match=f"state {lost} .* oldest held is 3, the latest 5"):
            history.get("left", lost)
    history.limit(1)
    with pytest.raises(HistoryError, match="oldest held is 5"):
        history.get("left", 4)


def test_cameras_do_not_mix() -> None:
    history = history_of(1, 2)
    history.put("right", moment(7), history.era)
    assert history.cameras == ("left", "right")
    assert (history.get("left").state_id, history.get("right").state_id) == (2, 7)
    history.clear("left")
    with pytest.raises(HistoryError, match="'left' has no state yet"):
        history.get("left")
    assert history.get("right", 7).state_id == 7


def test_what_was_seen_before_time_jumped_does_not_come_in_after_it() -> None:
    history = history_of(1, 2)
    before = history.era
    history.clear()
    history.put("left", moment(3), before)
    with pytest.raises(HistoryError, match="no state yet"):
        history.get("left")
    history.put("left", moment(4), history.era)
    assert history.get("left").state_id == 4
