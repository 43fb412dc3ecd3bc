"""Kept tokens equal fresh ones, and each tubelet is encoded once."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.model.engine import Engine
from vljepa_ros.stream.clip_buffer import FRAMES_PER_PERIOD, NS_PER_S, ClipBuffer
from vljepa_ros.stream.token_cache import TokenCache
from vljepa_ros.types import Frame

START_NS = 100 * NS_PER_S


def prepared(engine: Engine, images: np.ndarray, index: int, rate_hz: float) -> Frame:
    stamp_ns = START_NS + round(index * NS_PER_S / rate_hz)
    return Frame(stamp_ns, engine.prepare(images[index % len(images)]))


def buffer_of(engine: Engine) -> ClipBuffer:
    config = engine.config
    passes = config.x_encoder.frames_per_pass
    return ClipBuffer(config.clip_frames, config.clip_rate_hz, pass_frames=passes)


@pytest.mark.parametrize("rate_hz", [2.0, 4.0, 12.0, 30.0])
def test_kept_tokens_equal_fresh_ones(engine: Engine, images: np.ndarray, rate_hz: float) -> None:
    buffer, cache = buffer_of(engine), TokenCache(engine)
    for index in range(40):
        buffer.add(prepared(engine, images, index, rate_hz))
        clip = buffer.clip()
        assert clip is not None
        kept = cache.tokens(clip)
        fresh = engine.encode_clips(np.stack([f.image_HWC for f in clip.frames])[None])
        assert kept.shape == fresh.shape
        np.testing.assert_allclose(kept.numpy(), fresh.numpy(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rate_hz", [4.0, 8.0, 10.0, 15.0, 30.0])
def test_each_frame_is_encoded_once(engine: Engine, images: np.ndarray, rate_hz: float) -> None:
    buffer, cache = buffer_of(engine), TokenCache(engine)
    for index in range(60):
        buffer.add(prepared(engine, images, index, rate_hz))
        clip = buffer.clip()
        assert clip is not None
        cache.tokens(clip)
    assert cache.encoded == 60


def test_steps_at_the_clip_rate_on_a_faster_camera_encode_one_tubelet_each(
    engine: Engine, images: np.ndarray
) -> None:
    buffer, cache = buffer_of(engine), TokenCache(engine)
    for index in range(160):
        buffer.add(prepared(engine, images, index, 20.0))
        if index % 5 == 0:
            clip = buffer.clip()
            assert clip is not None
            cache.tokens(clip)
    assert cache.encoded == 32


def test_memory_is_bounded(engine: Engine, images: np.ndarray) -> None:
    buffer, cache = buffer_of(engine), TokenCache(engine)
    for index in range(200):
        buffer.add(prepared(engine, images, index, 30.0))
        clip = buffer.clip()
        assert clip is not None
        cache.tokens(clip)
    assert len(cache) <= 1.75 * 30 + 3


def test_memory_is_bounded_on_a_camera_with_crowded_stamps(
    engine: Engine, images: np.ndarray
) -> None:
    buffer, cache = buffer_of(engine), TokenCache(engine)
    most = (engine.config.clip_frames + 1) * FRAMES_PER_PERIOD
    for index in range(most + 50):
        buffer.add(prepared(engine, images, index, 1e6))
        clip = buffer.clip()
        assert clip is not None
        cache.tokens(clip)
    assert len(cache) <= most


def test_clear_forgets(engine: Engine, images: np.ndarray) -> None:
    cache = TokenCache(engine)
    for images_of_run in (images[:1], images[1:2]):
        buffer = buffer_of(engine)
        buffer.add(prepared(engine, images_of_run, 0, 4.0))
        clip = buffer.clip()
        assert clip is not None
        fresh = engine.encode_clips(np.stack([f.image_HWC for f in clip.frames])[None])
        np.testing.assert_allclose(cache.tokens(clip).numpy(), fresh.numpy(), atol=1e-6)
        cache.clear()
        assert len(cache) == 0


def test_clips_are_encoded_whole_where_tubelets_see_each_other(
    whole_clip_engine: Engine, images: np.ndarray
) -> None:
    buffer, cache = buffer_of(whole_clip_engine), TokenCache(whole_clip_engine)
    for index in range(10):
        buffer.add(prepared(whole_clip_engine, images, index, 4.0))
        clip = buffer.clip()
        assert clip is not None
        fresh = whole_clip_engine.encode_clips(np.stack([f.image_HWC for f in clip.frames])[None])
        np.testing.assert_array_equal(cache.tokens(clip).numpy(), fresh.numpy())
    assert len(cache) == 0
