import torch

from training.x_encoder import DenseHeads, to_patches


def test_cells_of_a_patch_stay_together() -> None:
    # 6 x 6 cells in 3 x 3 patches; each cell holds the number of its patch.
    row = torch.arange(6) // 2
    number_of_patch = row[:, None] * 3 + row[None, :]
    patches = to_patches(number_of_patch[None], patches_per_side=3)
    assert patches.shape == (1, 9, 4)
    assert torch.equal(patches[0], torch.arange(9)[:, None].expand(9, 4))


def test_cells_are_read_row_by_row() -> None:
    cells = torch.arange(16).reshape(1, 4, 4)
    assert to_patches(cells, patches_per_side=2)[0, 1].tolist() == [2, 3, 6, 7]


def test_pose_is_read_from_the_tokens_that_attend_to_it() -> None:
    torch.manual_seed(0)
    heads = DenseHeads(width=8, cells_per_patch=4)
    tokens = torch.randn(2, 9, 8)
    maps, pose = heads(tokens)
    assert maps["colour"].shape == (2, 9, 4, 9)
    assert pose.shape == (2, 7)
    with torch.no_grad():
        heads.where.weight.zero_()
        heads.where.bias.zero_()
    _, even = heads(tokens)
    assert torch.allclose(even, heads.pose(tokens).mean(dim=1), atol=1e-6)
