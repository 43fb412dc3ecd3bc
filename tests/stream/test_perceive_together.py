"""Several cameras in one batch: what each sees is its own, and the model runs once for all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vljepa_ros.config import PerceptionConfig, SelectiveConfig
from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.stream.clip_buffer import NS_PER_S, ClipBuffer
from vljepa_ros.stream.perceiver import Perceiver, perceive
from vljepa_ros.types import Frame, Step

START_NS = 50 * NS_PER_S
QUIET = SelectiveConfig(threshold=1.0, distance_threshold=1.0, trust=0.0, max_interval_s=0.0)
EAGER = SelectiveConfig(threshold=0.0, trust=0.0, settle=10.0, min_interval_s=0.0, noise_factor=0.0)
CAMERAS = ("left", "right", "wrist")


def perceivers_of(engine: Engine, selective: SelectiveConfig = QUIET) -> list[Perceiver]:
    return [Perceiver(engine, PerceptionConfig(selective=selective), name) for name in CAMERAS]


def frame(images: np.ndarray, index: int, camera: int = 0) -> Frame:
    """Cameras of one rate, out of phase, each seeing something else."""
    stamp_ns = START_NS + index * NS_PER_S // 8 + camera * 1_000_000
    return Frame(stamp_ns, images[(index + 50 * camera) % len(images)], f"lens {camera}")


def must(step: Step | None) -> Step:
    assert step is not None
    return step


@pytest.fixture(params=["tubelets kept", "clips whole"])
def any_engine(request: pytest.FixtureRequest) -> Engine:
    name = "engine" if request.param == "tubelets kept" else "whole_clip_engine"
    engine: Engine = request.getfixturevalue(name)
    return engine


def bare_embedding(
    engine: Engine, buffer: ClipBuffer, kept: dict[tuple[int, ...], Tokens]
) -> np.ndarray:
    """What one camera's step computes, written out: only new tubelets, one clip, one query."""
    clip = buffer.clip()
    assert clip is not None
    pairs = list(zip(clip.frames[::2], clip.frames[1::2], strict=True))
    if engine.tubelets_are_independent:
        new = {(a.stamp_ns, b.stamp_ns): (a, b) for a, b in pairs}
        new = {stamps: pair for stamps, pair in new.items() if stamps not in kept}
        images_BTHWC = np.stack([np.stack([f.image_HWC for f in pair]) for pair in new.values()])
        kept.update(zip(new, engine.encode_tubelets(images_BTHWC), strict=True))
        tokens_BTND = engine.stack_tubelets([kept[a.stamp_ns, b.stamp_ns] for a, b in pairs])
    else:
        tokens_BTND = engine.encode_clips(np.stack([f.image_HWC for f in clip.frames])[None])
    embedding_E: np.ndarray = engine.predict(tokens_BTND, [engine.config.caption_query])[0]
    return embedding_E


def test_one_camera_computes_to_the_bit_what_the_bare_model_does(
    any_engine: Engine, images: np.ndarray
) -> None:
    config = any_engine.config
    passes = config.x_encoder.frames_per_pass
    buffer = ClipBuffer(config.clip_frames, config.clip_rate_hz, pass_frames=passes)
    kept: dict[tuple[int, ...], Tokens] = {}
    perceiver = Perceiver(any_engine, PerceptionConfig(selective=QUIET))
    for index in range(12):
        seen = frame(images, index)
        buffer.add(Frame(seen.stamp_ns, any_engine.prepare(seen.image_HWC)))
        perceiver.add(seen)
        (step,) = perceive([perceiver])
        expected_E = bare_embedding(any_engine, buffer, kept)
        np.testing.assert_array_equal(must(step).state.embedding_E, expected_E)


def test_together_each_camera_sees_what_it_sees_alone(
    any_engine: Engine, images: np.ndarray
) -> None:
    together, alone = (perceivers_of(any_engine, EAGER) for _ in range(2))
    for perceivers in (together, alone):
        perceivers[1].set_query("What is the robot doing?", ["a cup", "nothing happens"])
    events = 0
    for index in range(12):
        seeing = [c for c in range(len(CAMERAS)) if (index + c) % 3]  # not always the same ones
        for camera in seeing:
            together[camera].add(frame(images, index, camera))
        steps = [must(step) for step in perceive([together[camera] for camera in seeing])]
        for camera, step in zip(seeing, steps, strict=True):
            expected = must(alone[camera].step(frame(images, index, camera)))
            one, other = step.state, expected.state
            np.testing.assert_allclose(one.embedding_E, other.embedding_E, atol=1e-5)
            assert (one.camera, one.frame_id) == (CAMERAS[camera], f"lens {camera}")
            assert (one.stamp_ns, one.state_id) == (other.stamp_ns, other.state_id)
            assert (one.query, len(one.labels)) == (other.query, len(other.labels))
            assert (step.event is None) == (expected.event is None)
            if step.event is not None and expected.event is not None:
                events += 1
                assert step.event.caption == expected.event.caption
                assert step.event.camera == CAMERAS[camera]
    assert events > len(CAMERAS)


def test_the_model_runs_once_for_all_cameras(
    engine: Engine, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    perceivers = perceivers_of(engine)
    batches: list[tuple[str, int]] = []

    def noting(name: str) -> object:
        def note(_module: object, arguments: tuple[torch.Tensor, ...], _result: object) -> None:
            batches.append((name, len(arguments[0])))

        return note

    decode = engine.decode

    def decode_noted(embeddings: np.ndarray) -> list[str]:
        batches.append(("y_decoder", len(embeddings)))
        return decode(embeddings)

    monkeypatch.setattr(engine, "decode", decode_noted)
    parts = {name: getattr(engine._model, name) for name in ("x_encoder", "predictor")}
    hooks = [part.register_forward_hook(noting(name)) for name, part in parts.items()]
    try:
        for index in range(2):
            for camera, perceiver in enumerate(perceivers):
                perceiver.add(frame(images, 2 * index, camera))
            perceive(perceivers)
    finally:
        for hook in hooks:
            hook.remove()
    # The first step opens a state on each camera; in the second there is nothing new to say.
    first, second = batches[:3], batches[3:]
    assert first == [("x_encoder", 3), ("predictor", 3), ("y_decoder", 3)]
    assert [name for name, _ in second] == ["x_encoder", "predictor"]
    assert dict(second)["predictor"] == 3


def test_a_camera_without_anything_new_has_no_step_and_holds_nobody_up(
    engine: Engine, images: np.ndarray
) -> None:
    left, silent, wrist = perceivers_of(engine)
    assert perceive([]) == []
    assert perceive([left, silent]) == [None, None]
    for index in range(3):
        left.add(frame(images, index))
        wrist.add(frame(images, index, 2))
        steps = perceive([left, silent, wrist])
        assert [step is None for step in steps] == [False, True, False]
        assert [must(steps[at]).state.camera for at in (0, 2)] == ["left", "wrist"]
    silent.add(frame(images, 3, 1))
    assert perceive([left, silent, wrist])[1:] == [silent.latest, None]
    assert must(silent.latest).state.state_id == 1


def test_what_one_camera_keeps_holds_no_memory_of_the_others(
    any_engine: Engine, images: np.ndarray
) -> None:
    perceivers = perceivers_of(any_engine)
    for camera, perceiver in enumerate(perceivers):
        perceiver.add(frame(images, 0, camera))
    perceive(perceivers)
    for perceiver in perceivers:
        tokens = perceiver.tokens_BTND
        assert tokens is not None and len(tokens) == 1
        assert tokens.untyped_storage().nbytes() == tokens.numel() * tokens.element_size()


def test_a_jump_of_one_cameras_time_resets_that_camera_only(
    engine: Engine, images: np.ndarray
) -> None:
    left, right, _ = perceivers_of(engine)
    for index in (20, 24):
        left.add(frame(images, index))
        right.add(frame(images, index, 1))
        perceive([left, right])
    left.add(frame(images, 2))  # back by more than a clip's period
    right.add(frame(images, 28, 1))
    one, other = (must(step).state for step in perceive([left, right]))
    assert (one.state_id, one.changed, one.clip_start_ns) == (2, True, one.stamp_ns)
    assert (other.state_id, other.changed) == (1, False)
    assert other.clip_start_ns < other.stamp_ns
