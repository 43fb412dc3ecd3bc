from __future__ import annotations

import dataclasses

import pytest
import torch
from transformers import VJEPA2Config, VJEPA2Model

from vljepa_ros.config import XEncoderConfig
from vljepa_ros.model.x_encoder import XEncoder, vjepa2_config

CONFIG = XEncoderConfig(crop_px=32, width=24, layers=2, heads=2)


def clips(batch: int, frames: int) -> torch.Tensor:
    return torch.randn(batch, frames, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_tokens_are_laid_out_by_clip_tubelet_and_place() -> None:
    x_encoder = XEncoder(CONFIG)
    pixels = clips(2, 6)
    tokens = x_encoder(pixels)
    assert tokens.shape == (2, 3, 4, 24)
    alone = x_encoder(pixels[1:, 2:4])
    torch.testing.assert_close(tokens[1, 1], alone[0, 0], atol=1e-5, rtol=1e-5)


def test_places_run_row_by_row() -> None:
    # With no layers a token sees its own patch only, so a changed patch names its token.
    x_encoder = XEncoder(dataclasses.replace(CONFIG, layers=0))
    pixels = clips(1, 2)
    changed = pixels.clone()
    changed[..., :16, 16:] += 1.0
    moved = (x_encoder(changed) - x_encoder(pixels)).abs().amax(dim=-1)[0, 0] > 1e-6
    assert moved.tolist() == [False, True, False, False]


@pytest.mark.parametrize(("heads", "frames"), [(2, 2), (1, 4)])
@torch.no_grad()
def test_rotary_tables_change_no_bit_of_v_jepa_2(heads: int, frames: int) -> None:
    config = dataclasses.replace(CONFIG, crop_px=64, heads=heads, frames_per_pass=frames)
    x_encoder = XEncoder(config).eval()
    official = VJEPA2Model(vjepa2_config(config)).encoder.eval()
    official.load_state_dict(x_encoder.backbone.state_dict())
    pixels = torch.randn(2, frames, 3, 64, 64)
    wanted = official(pixel_values_videos=pixels).last_hidden_state
    assert torch.equal(x_encoder(pixels).flatten(1, 2), wanted)


@torch.no_grad()
def test_positions_are_those_of_v_jepa_2_at_this_size() -> None:
    torch.manual_seed(0)
    size = {"crop_size": 32, "frames_per_clip": 2, "hidden_size": 24}
    depth = {"num_hidden_layers": 2, "num_attention_heads": 2, "pred_num_hidden_layers": 0}
    published = VJEPA2Model(VJEPA2Config(**size, **depth)).eval()
    x_encoder = XEncoder(CONFIG)
    published.encoder.load_state_dict(x_encoder.backbone.state_dict())
    wanted = published(clips(2, 2), skip_predictor=True).last_hidden_state
    torch.testing.assert_close(x_encoder(clips(2, 2))[:, 0], wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("frames_per_pass", [2, 4])
def test_frames_see_exactly_the_frames_of_their_pass(attention: str, frames_per_pass: int) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, frames_per_pass=frames_per_pass)
    x_encoder = XEncoder(config, attention)
    pixels = clips(1, 4)
    changed = pixels.clone()
    changed[:, 3] += 1.0
    first_tubelet_moved = (x_encoder(changed) - x_encoder(pixels))[0, 0].abs().max() > 1e-4
    assert bool(first_tubelet_moved) == (frames_per_pass == 4)


def test_attention_implementations_agree() -> None:
    torch.manual_seed(0)
    eager, sdpa = XEncoder(CONFIG, "eager"), XEncoder(CONFIG, "sdpa")
    sdpa.load_state_dict(eager.state_dict())
    torch.testing.assert_close(eager(clips(2, 2)), sdpa(clips(2, 2)), atol=1e-5, rtol=1e-4)


def test_place_in_the_image_matters() -> None:
    # Rotary positions only: equal patches give equal tokens unless positions reach attention.
    torch.manual_seed(0)
    x_encoder = XEncoder(CONFIG)
    pixels = clips(1, 2)
    swapped = torch.cat([pixels[..., 16:], pixels[..., :16]], dim=-1)
    tokens, mirrored = x_encoder(pixels)[0, 0], x_encoder(swapped)[0, 0]
    assert (tokens - mirrored[[1, 0, 3, 2]]).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 2, 3, 48, 48), "pixels must be"),
        ((1, 2, 3, 32, 48), "pixels must be"),
        ((1, 2, 1, 32, 32), "pixels must be"),
        ((1, 3, 3, 32, 32), "passes of 2"),
        ((1, 0, 3, 32, 32), "passes of 2"),
    ],
)
def test_a_size_that_would_be_silently_wrong_is_refused(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        XEncoder(CONFIG)(torch.zeros(shape))


def test_a_crop_that_patches_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of patch_px"):
        XEncoder(dataclasses.replace(CONFIG, crop_px=40))


def test_an_image_smaller_than_the_crop_is_refused() -> None:
    XEncoder(XEncoderConfig(crop_px=32, resize_px=32, width=24, layers=1, heads=2))
    with pytest.raises(ValueError, match=r"resize_px \(31\) must be 0 or at least crop_px"):
        XEncoder(XEncoderConfig(crop_px=32, resize_px=31, width=24, layers=1, heads=2))


def test_nothing_of_v_jepas_own_predictor_is_carried() -> None:
    names = set(XEncoder(CONFIG).state_dict())
    assert not [name for name in names if "predictor" in name or "mask" in name]
