import numpy as np
import pytest
import torch

from training.grounding import GroundingHeads, HiddenStates
from training.runs import tabletop_tiny
from training.tabletop.batches import UNKNOWN
from training.tabletop.grounding import named, named_masks
from training.tabletop.names import COLOURS, SHAPES
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.vljepa import VLJepa

GRID = 24


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    return VLJepa(tabletop_tiny().model).predictor


def _batch(rows: int) -> dict[str, torch.Tensor]:
    unknown = torch.full((rows, GRID, GRID), UNKNOWN, dtype=torch.uint8)
    named_BMGG = torch.full((rows, 2, GRID, GRID), UNKNOWN, dtype=torch.uint8)
    return {
        "named_BMGG": named_BMGG,
        "colour_after_BGG": unknown.clone(),
        "shape_after_BGG": unknown.clone(),
    }


@pytest.mark.parametrize(
    ("query", "things"),
    [
        ("Is the red cube left of the violet sphere?", [("red", "cube"), ("purple", "ball")]),
        ("Push the turquoise tube away.", [("cyan", "cylinder")]),
        ("What shape is the white object?", [("white", None)]),
        ("How many cones are there?", [(None, "cone")]),
        ("What colour is the object in the gripper?", []),
        ("Open the drawer.", []),
    ],
)
def test_things_are_named_in_their_order(
    query: str, things: list[tuple[str | None, str | None]]
) -> None:
    assert named(query) == things


def test_masks_hold_exactly_the_things_named() -> None:
    labels = np.zeros((2, 4, 4), np.uint8)
    red, blue = 1 + COLOURS.index("red"), 1 + COLOURS.index("blue")
    cube, ball = 1 + SHAPES.index("cube"), 1 + SHAPES.index("ball")
    labels[:, 0, 0], labels[:, 1, 1], labels[:, 2, 2] = (red, cube), (red, ball), (blue, ball)
    masks = named_masks("is the blue ball left of the red ball", labels)
    assert masks is not None
    assert np.argwhere(masks[0]).tolist() == [[2, 2]]
    assert np.argwhere(masks[1]).tolist() == [[1, 1]]
    balls = named_masks("how many balls can be seen", labels)
    assert balls is not None and balls[0].sum() == 2 and not balls[1].any()
    assert named_masks("go home", labels) is None


def test_rows_of_which_nothing_is_known_teach_nothing(predictor: Predictor) -> None:
    heads = GroundingHeads(predictor, GRID)
    batch = _batch(3)
    batch["named_BMGG"][1] = 0
    batch["colour_after_BGG"][2] = 4
    middle, last = (torch.randn(3, 50, 32, requires_grad=True) for _ in range(2))
    loss, metrics = heads.loss(middle, last, batch)
    loss.backward()
    assert middle.grad is not None and last.grad is not None
    assert middle.grad.abs().sum(dim=(1, 2)).gt(0).tolist() == [False, True, False]
    assert last.grad.abs().sum(dim=(1, 2)).gt(0).tolist() == [False, False, True]
    assert set(metrics) == {"named_overlap", "colour_after"}
    nothing, metrics = heads.loss(middle, last, _batch(3))
    assert nothing.item() == 0 and not metrics


def test_the_right_place_is_learnt(predictor: Predictor) -> None:
    """A token that tells its own place lets the heads find a thing that always lies there."""
    heads = GroundingHeads(predictor, GRID)
    batch = _batch(4)
    batch["named_BMGG"][:] = 0
    batch["named_BMGG"][:, 0, 5:9, 3:8] = 1
    outputs = torch.eye(36, 32).expand(4, -1, -1)
    optimiser = torch.optim.Adam(heads.parameters(), 0.1)
    for _ in range(60):
        loss, metrics = heads.loss(outputs, outputs, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert metrics["named_overlap"] > 0.95


def test_hidden_states_of_every_call_and_of_none_afterwards(predictor: Predictor) -> None:
    predictor.eval()
    tokens = torch.randn(2, predictor.tubelets, predictor.places, 32)
    ids = torch.randint(0, 50, (2, 3))
    mask = torch.ones_like(ids)
    with HiddenStates(predictor) as hidden, torch.no_grad():
        visual, query = predictor.hidden(tokens, ids, mask)
        predictor(tokens, ids, mask)
    assert hidden.middle_BNW.shape == (4, 39, 32)
    torch.testing.assert_close(hidden.last_BNW[:2], torch.cat([visual, query], dim=1))
    predictor(tokens, ids, mask)
    assert len(hidden.last_BNW) == 4
