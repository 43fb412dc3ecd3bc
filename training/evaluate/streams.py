"""Streams of the tabletop world as the robot would see them, and selective decoding's scores there.

Every step's embedding is the one the perceiver would give: the same clip buffer, frames prepared
one by one, the same tubelets; only batched, because the whole stream is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from training.evaluate.selective import StreamRecord, number_meanings
from training.evaluate.selective_scores import false_changes_per_hour, score
from training.tabletop import language
from training.tabletop.render import RendererName, degrade, sensor_noise
from training.tabletop.world import Episode
from vljepa_ros.config import SelectiveConfig
from vljepa_ros.model.engine import Engine, Tokens
from vljepa_ros.stream.clip_buffer import NS_PER_S, ClipBuffer
from vljepa_ros.types import Clip, Frame

STEPS_HZ = 4.0
SIZE_HW = (240, 320)
BATCH = 32
CAPTIONS_A_BATCH = 128
STEPS_A_CHUNK = 16
PACES = {"busy": 0.5, "calm": 0.8}
"""Share of idle time."""
ACTIONS_A_STREAM = 10
STILL_S = 60.0
START_NS = 1000 * NS_PER_S
"""Stamps of a camera are never 0."""

Worsen = Callable[[npt.NDArray[np.uint8], np.random.Generator], npt.NDArray[np.uint8]]
STILLS: dict[str, Worsen] = {
    "still": lambda frames, _: frames,
    "noisy": lambda frames, rng: sensor_noise(frames, rng, 5.0),
    "recompressed": degrade,
}
"""What a camera may do to a scene in which nothing happens."""


@dataclass(frozen=True, eq=False)
class Looked:
    """What the model makes of every step of a stream."""

    times_s_S: npt.NDArray[np.float64]
    embeddings_SE: npt.NDArray[np.float32]
    novelty_S: npt.NDArray[np.float32]
    texts_S: Sequence[str]
    """The caption of each step."""


def score_streams(
    engine: Engine,
    seed: int,
    streams: int,
    split: str,
    config: SelectiveConfig | None = None,
    renderer: RendererName = "painter",
) -> dict[str, float]:
    """Selective decoding's scores at every pace, and false changes where nothing happens."""
    config = config or SelectiveConfig()
    scores: dict[str, float] = {}
    for pace in PACES:
        seen = records(engine, seed, streams, split, pace, renderer)
        got = score(seen, config, seed=seed)
        scores |= {
            f"selective_gain_{pace}": got.selective_gain,
            f"selective_gain_{pace}_low": got.selective_gain_low,
            f"selective_gain_{pace}_high": got.selective_gain_high,
            f"decodes_per_event_{pace}": got.decodes_per_event,
            f"uniform_decodes_per_event_{pace}": got.uniform_decodes_per_event,
            f"oracle_decodes_per_event_{pace}": got.oracle_decodes_per_event,
            f"tuned_decodes_per_event_{pace}": got.tuned_decodes_per_event,
            f"quality_{pace}": got.quality,
            f"target_quality_{pace}": got.target_quality,
            f"every_step_quality_{pace}": got.every_step_quality,
            f"hits_{pace}": got.hits,
            f"every_step_hits_{pace}": got.every_step_hits,
            f"delay_s_p50_{pace}": got.delay_s_p50,
        }
    for kind in STILLS:
        stills = still_records(engine, seed, max(streams // 5, 1), split, kind, renderer)
        scores[f"false_changes_per_hour_{kind}"] = false_changes_per_hour(stills, config)
    return scores


def records(
    engine: Engine,
    seed: int,
    streams: int,
    split: str,
    pace: str,
    renderer: RendererName = "painter",
) -> list[StreamRecord]:
    """Streams of one pace, of `streams` seeds from `seed` on."""
    return [
        record(engine, Episode.generate(each, split, PACES[pace], ACTIONS_A_STREAM, renderer), pace)
        for each in range(seed, seed + streams)
    ]


def still_records(
    engine: Engine,
    seed: int,
    streams: int,
    split: str,
    kind: str,
    renderer: RendererName = "painter",
) -> list[StreamRecord]:
    """Scenes in which nothing happens, of `streams` seeds from `seed` on; kind as in STILLS."""
    return [
        record_still(engine, Episode.generate(each, split, renderer=renderer), STILLS[kind])
        for each in range(seed, seed + streams)
    ]


def record(engine: Engine, episode: Episode, pace: str = "") -> StreamRecord:
    """What every step of an episode would say, at STEPS_HZ with a random phase."""
    return as_record(engine, episode, look(engine, episode), pace)


def look(engine: Engine, episode: Episode) -> Looked:
    """Run the model on every step of an episode, at STEPS_HZ with a random phase."""
    rng = np.random.default_rng([episode.seed, 11])
    times_s = np.arange(rng.uniform(0.0, 1.0 / STEPS_HZ), episode.duration_s, 1.0 / STEPS_HZ)
    images = episode.frames(times_s, SIZE_HW, rng)
    embeddings_SE, novelty_S = embed(engine, images, times_s)
    return Looked(times_s, embeddings_SE, novelty_S, decode(engine, embeddings_SE))


def as_record(engine: Engine, episode: Episode, looked: Looked, pace: str = "") -> StreamRecord:
    """What the model made of an episode, beside the truth."""
    decoded_S, truth_G = number_meanings(
        [language.parse(text) for text in looked.texts_S],
        [segment.meaning for segment in episode.segments],
    )
    return StreamRecord(
        times_s_S=looked.times_s_S,
        embeddings_SE=looked.embeddings_SE,
        decoded_S=decoded_S,
        starts_s_G=np.array([segment.onset_s for segment in episode.segments]),
        truth_G=truth_G,
        end_s=episode.duration_s,
        pace=pace,
        log_probability=_log_probability(engine, looked.texts_S, looked.embeddings_SE),
        novelty_S=looked.novelty_S,
        clarity_S=engine.clarity(looked.embeddings_SE),
    )


def record_still(engine: Engine, episode: Episode, worsen: Worsen) -> StreamRecord:
    """The first moment of an episode for STILL_S, in which nothing happens."""
    rng = np.random.default_rng([episode.seed, 12])
    times_s = np.arange(0.0, STILL_S, 1.0 / STEPS_HZ)
    image = episode.render(0.0, SIZE_HW)
    images = worsen(np.broadcast_to(image, (len(times_s), *image.shape)).copy(), rng)
    embeddings_SE, novelty_S = embed(engine, images, times_s)
    texts = decode(engine, embeddings_SE)
    return StreamRecord(
        times_s_S=times_s,
        embeddings_SE=embeddings_SE,
        decoded_S=np.zeros(len(times_s), dtype=np.int64),
        starts_s_G=np.zeros(1),
        truth_G=np.zeros(1, dtype=np.int64),
        end_s=STILL_S,
        log_probability=_log_probability(engine, texts, embeddings_SE),
        novelty_S=novelty_S,
        clarity_S=engine.clarity(embeddings_SE),
    )


class LogProbability:
    """Of one stream's captions, computed where it is asked for, some steps at a time."""

    def __init__(
        self, engine: Engine, texts_S: Sequence[str], embeddings_SE: npt.NDArray[np.float32]
    ) -> None:
        self._engine = engine
        self._texts_S = texts_S
        self._embeddings_SE = embeddings_SE
        self._known: dict[tuple[str, int], npt.NDArray[np.float64]] = {}

    def __call__(self, spoken: int, step: int) -> float:
        """Of the caption decoded at `spoken`, under the embedding at `step`."""
        text = self._texts_S[spoken]
        chunk, at = divmod(step, STEPS_A_CHUNK)
        if (text, chunk) not in self._known:
            some_SE = self._embeddings_SE[chunk * STEPS_A_CHUNK : (chunk + 1) * STEPS_A_CHUNK]
            self._known[text, chunk] = self._engine.caption_log_probability(text, some_SE)
        return float(self._known[text, chunk][at])


def _log_probability(
    engine: Engine, texts_S: Sequence[str], embeddings_SE: npt.NDArray[np.float32]
) -> LogProbability | None:
    return LogProbability(engine, texts_S, embeddings_SE) if engine.has_decoder else None


def embed(
    engine: Engine, images_SHWC: npt.NDArray[np.uint8], times_s_S: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Embeddings (S, E) under the caption query, a step an image, and the scenes' novelty (S,)."""
    config = engine.config
    buffer = ClipBuffer(
        config.clip_frames, config.clip_rate_hz, pass_frames=config.x_encoder.frames_per_pass
    )
    clips: list[Clip] = []
    for image_HWC, time_s in zip(images_SHWC, times_s_S, strict=True):
        stamp_ns = START_NS + round(float(time_s) * NS_PER_S)
        buffer.add(Frame(stamp_ns, engine.prepare(image_HWC)))
        clip = buffer.clip()
        if clip is None or clip.stamp_ns != stamp_ns:
            raise ValueError("times of a stream must rise strictly")
        clips.append(clip)
    embeddings, novelty = [], []
    for tokens_BTND in _tokens(engine, clips):
        embeddings.append(engine.predict(tokens_BTND, [config.caption_query] * len(tokens_BTND)))
        novelty.append(engine.scene_novelty(tokens_BTND))
    return np.concatenate(embeddings), np.concatenate(novelty)


def decode(engine: Engine, embeddings_SE: npt.NDArray[np.float32]) -> list[str]:
    """The caption of every step."""
    starts = range(0, len(embeddings_SE), CAPTIONS_A_BATCH)
    batches = [embeddings_SE[at : at + CAPTIONS_A_BATCH] for at in starts]
    return [text for batch in batches for text in engine.decode(batch)]


def _tokens(engine: Engine, clips: Sequence[Clip]) -> Iterator[Tokens]:
    """Tokens of the clips in batches, each tubelet encoded once where that is possible."""
    if not engine.tubelets_are_independent:
        for at in range(0, len(clips), BATCH):
            yield engine.encode_clips(_stack([clip.frames for clip in clips[at : at + BATCH]]))
        return
    frames = engine.config.x_encoder.tubelet_frames
    tubelets = [
        [clip.frames[at : at + frames] for at in range(0, len(clip.frames), frames)]
        for clip in clips
    ]
    distinct = {_key(tubelet): tubelet for row in tubelets for tubelet in row}
    rows = list(distinct.values())
    known: dict[tuple[int, ...], Tokens] = {}
    for at in range(0, len(rows), BATCH * len(tubelets[0])):
        some = rows[at : at + BATCH * len(tubelets[0])]
        known |= zip(map(_key, some), engine.encode_tubelets(_stack(some)), strict=True)
    for at in range(0, len(clips), BATCH):
        batch = [
            engine.stack_tubelets([known[_key(tubelet)] for tubelet in row])
            for row in tubelets[at : at + BATCH]
        ]
        yield torch.cat(batch)


def _stack(groups: Sequence[tuple[Frame, ...]]) -> npt.NDArray[np.uint8]:
    return np.stack([np.stack([frame.image_HWC for frame in group]) for group in groups])


def _key(group: tuple[Frame, ...]) -> tuple[int, ...]:
    return tuple(frame.stamp_ns for frame in group)
