from dataclasses import replace

import numpy as np
import pytest
import torch

from training.grounding import GroundingHeads, HiddenStates
from training.runs import tabletop_tiny
from training.tabletop.batches import UNKNOWN
from training.tabletop.grounding import LABELS, named, named_masks, order
from training.tabletop.meaning import Item, Meaning
from training.tabletop.names import COLOURS, SHAPES, ObjectName
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.vljepa import VLJepa

GRID = 24


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    return VLJepa(tabletop_tiny().model).predictor


def _batch(rows: int) -> dict[str, torch.Tensor]:
    unknown = torch.full((rows, GRID, GRID), UNKNOWN, dtype=torch.uint8)
    masks = torch.full((rows, 2, GRID, GRID), UNKNOWN, dtype=torch.uint8)
    maps = ("order", *(f"{name}_after" for name in LABELS))
    batch = {f"{name}_BMGG": masks.clone() for name in ("named", "answered")}
    return batch | {f"{name}_BGG": unknown.clone() for name in maps}


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
    labels = np.zeros((3, 4, 4), np.uint8)
    red, blue = 1 + COLOURS.index("red"), 1 + COLOURS.index("blue")
    cube, ball = 1 + SHAPES.index("cube"), 1 + SHAPES.index("ball")
    labels[:2, 0, 0], labels[:2, 1, 1], labels[:2, 2, 2] = (red, cube), (red, ball), (blue, ball)
    masks = named_masks("is the blue ball left of the red ball", labels)
    assert masks is not None
    assert np.argwhere(masks[0]).tolist() == [[2, 2]]
    assert np.argwhere(masks[1]).tolist() == [[1, 1]]
    balls = named_masks("how many balls can be seen", labels)
    assert balls is not None and balls[0].sum() == 2 and not balls[1].any()
    assert named_masks("go home", labels) is None


def test_things_lie_in_the_order_of_the_caption() -> None:
    labels = np.zeros((3, 4, 4), np.uint8)
    red, blue, cube, ball = ObjectName("red", "cube"), ObjectName("blue", "ball"), 1, 2
    assert (SHAPES[cube - 1], SHAPES[ball - 1]) == ("cube", "ball")
    for column, (colour, shape) in enumerate((("red", 1), ("blue", 2), ("green", 1))):
        labels[:2, 1, column] = 1 + COLOURS.index(colour), shape
    green = ObjectName("green", "cube")
    side_by_side = Meaning("scene", items=(Item(red), Item(blue)), held=green)
    assert order(side_by_side, labels)[1].tolist() == [1, 2, 0, 0]
    stacked = Meaning("scene", items=(Item(blue), Item(green, top=red)))
    assert order(stacked, labels)[1].tolist() == [2, 1, 2, 0]
    assert not order(stacked, labels)[[0, 2, 3]].any()


def test_rows_of_which_nothing_is_known_teach_nothing(predictor: Predictor) -> None:
    heads = GroundingHeads(predictor, GRID)
    batch = _batch(4)
    batch["named_BMGG"][1] = 0
    batch["order_BGG"][3] = 0
    batch["colour_after_BGG"][2] = 4
    batch["answered_BMGG"][0] = 1
    middle, late = (torch.randn(4, 50, 32, requires_grad=True) for _ in range(2))
    loss, metrics = heads.loss(middle, late, batch)
    loss.backward()
    assert middle.grad is not None and late.grad is not None
    assert middle.grad.abs().sum(dim=(1, 2)).gt(0).tolist() == [False, True, False, True]
    assert late.grad.abs().sum(dim=(1, 2)).gt(0).tolist() == [True, False, True, False]
    assert set(metrics) == {"named_overlap", "answered_overlap", "order", "colour_after"}
    nothing, metrics = heads.loss(middle, late, _batch(4))
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
    # Of one layer, the last: what the final norm makes the predictor's outputs of.
    outputs = predictor.backbone.norm(hidden.late_BNW[:2])
    torch.testing.assert_close(outputs, torch.cat([visual, query], dim=1))
    predictor(tokens, ids, mask)
    assert len(hidden.late_BNW) == 4


def test_the_late_layer_is_read_by_the_last() -> None:
    config = tabletop_tiny().model
    deep = replace(config, predictor=replace(config.predictor, layers=5))
    predictor = VLJepa(deep).predictor.eval()
    ids = torch.randint(0, 50, (1, 3))
    with HiddenStates(predictor) as hidden, torch.no_grad():
        tokens = torch.randn(1, predictor.tubelets, predictor.places, 32)
        visual, query = predictor.hidden(tokens, ids, torch.ones_like(ids))
    seen = {name: getattr(hidden, f"{name}_BNW") for name in ("middle", "late")}
    assert not torch.allclose(seen["middle"], seen["late"])
    outputs = predictor.backbone.norm(seen["late"])
    assert not torch.allclose(outputs, torch.cat([visual, query], dim=1))
